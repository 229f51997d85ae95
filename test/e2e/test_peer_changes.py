"""A caller that becomes somebody else while its stream is open gets no further key."""
import os
import pathlib
import signal
import sys

import pytest

from conftest import NOBODY_UID, needs_root
from kit.agent import identity
from kit.process import wait_until

CHANGELING = pathlib.Path(__file__).parent / "clients" / "python" / "changeling.py"
pytestmark = needs_root


@pytest.fixture
def agent(make_agent, own_uid):
    return make_agent([identity("web", own_uid)]).start()


@pytest.fixture
def start_changeling(agent, start_client):
    def start():
        client = start_client([sys.executable, CHANGELING, agent.address, NOBODY_UID])
        client.wait_update()
        return client
    return start


@pytest.fixture(params=["cgroup2", "cgroup"])
def other_cgroup(request):
    """A new cgroup in a mounted hierarchy of this sort; removed once nobody is in it."""
    mounts = [line.split() for line in open("/proc/mounts")]
    folders = [pathlib.Path(mount[1]) for mount in mounts if mount[2] == request.param]
    if not folders:
        pytest.skip(f"no file system of type {request.param} is mounted")
    cgroup = folders[0] / f"nodepilot-e2e-{os.getpid()}"
    try:
        cgroup.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield cgroup

    def removed():
        try:
            cgroup.rmdir()
        except OSError:
            return False
        return True
    wait_until(f"{cgroup} to be empty", removed)


def check_only_the_changed_one_is_dropped(agent, changed, bystander, what):
    had = [client.updates()[-1]["serial"] for client in (changed, bystander)]

    agent.rotate()

    assert bystander.wait_update(other_than=had[1])
    wait_until("the end of the stream", changed.errors)
    assert changed.errors() == ["UNAVAILABLE"]
    assert changed.updates()[-1]["serial"] == had[0]
    assert not bystander.errors()
    assert f"its {what} changed after it connected" in agent.log.read_text()


def test_fault_40_a_caller_that_became_another_user_gets_no_new_key(agent, start_changeling):
    changed, bystander = start_changeling(), start_changeling()
    os.kill(changed.process.pid, signal.SIGUSR1)
    wait_until("the change", lambda: {"event": "changed"} in changed.lines())

    check_only_the_changed_one_is_dropped(agent, changed, bystander, "uid")


def test_fault_40_a_caller_that_was_moved_to_another_cgroup_gets_no_new_key(agent, start_changeling, other_cgroup):
    changed, bystander = start_changeling(), start_changeling()
    (other_cgroup / "cgroup.procs").write_text(str(changed.process.pid))
    try:
        check_only_the_changed_one_is_dropped(agent, changed, bystander, "cgroup")
    finally:
        changed.process.kill()
