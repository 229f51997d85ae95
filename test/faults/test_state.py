"""A disk that fails under the sealed state of the real daemon."""
import os
import pathlib
import subprocess

import pytest

from kit import sealed, workload
from kit.agent import identity
from kit.process import IS_ROOT, wait_until

OTHER_UID = 61003


def mount(*args):
    done = subprocess.run(["mount", *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@pytest.fixture
def secret(folder):
    key = folder / "state.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    return key


@pytest.fixture
def agent(make_agent, own_uid, secret):
    return make_agent([identity("web", own_uid)], state={"sealed": {"key_file": str(secret)}})


@pytest.fixture
def small_disk(agent):
    """The state directory on a file system of its own, of 64 KiB."""
    if not IS_ROOT:
        pytest.skip("needs root: mounts a file system")
    mount("-t", "tmpfs", "-o", "size=64k,mode=0700", "nodepilot-test", agent.state)
    yield agent.state
    agent.stop()
    subprocess.run(["umount", agent.state], check=True)


def serial(agent):
    return next(iter(agent.serials().values()))


def stored_serial(agent, secret):
    stored = sealed.read_all(agent.state / "sealed", secret.read_bytes())
    return next((svid.serial for svid in stored.values()), None)


def serve_one(agent, secret):
    """The serial of an SVID that is served and on the disk."""
    workload.fetch(agent.address)
    return wait_until("the SVID on the disk", lambda: stored_serial(agent, secret) == serial(agent) and serial(agent))


def failure(agent):
    return agent.json("status")["state"]["last_error"]


def fill(file):
    with open(file, "wb", buffering=0) as out, pytest.raises(OSError):
        while True:
            out.write(bytes(512))


def test_fault_62_a_full_disk_costs_nobody_an_svid_shows_and_is_tried_again(agent, small_disk, secret):
    agent.start()
    first = serve_one(agent, secret)
    fill(small_disk / "ballast")

    agent.rotate()
    error = wait_until("the error to show", lambda: failure(agent))

    assert "No space left on device" in error
    assert serial(agent) != first
    workload.fetch(agent.address)
    assert stored_serial(agent, secret) == first
    assert agent.log.read_text().count("sealed state not written") == 1

    (small_disk / "ballast").unlink()
    wait_until("the state on the disk again", lambda: not failure(agent), 30)
    assert stored_serial(agent, secret) == serial(agent)


def test_fault_63_a_read_only_disk_is_served_from_and_mended_while_the_agent_runs(agent, small_disk, secret):
    agent.start()
    first = serve_one(agent, secret)
    agent.kill()
    mount("-o", "remount,ro", small_disk)

    agent.start()
    assert serial(agent) == first
    workload.fetch(agent.address)
    agent.rotate()
    assert "Read-only file system" in wait_until("the error to show", lambda: failure(agent))

    mount("-o", "remount,rw", small_disk)
    wait_until("the state on the disk again", lambda: not failure(agent), 30)
    assert stored_serial(agent, secret) == serial(agent) != first


def test_fault_64_damaged_files_are_set_aside_and_the_agent_starts_afresh(agent, secret):
    agent.start()
    first = serve_one(agent, secret)
    agent.kill()
    files = [path for path in (agent.state / "sealed").iterdir() if not path.name.startswith(".")]
    for path in files:
        path.write_bytes(path.read_bytes()[:-1])

    agent.start()
    workload.fetch(agent.address)

    assert serial(agent) != first
    for path in files:
        assert pathlib.Path(f"{path}.bad").exists()
    assert agent.log.read_text().count("stored file set aside") == len(files) == 2


@pytest.mark.skipif(not IS_ROOT, reason="needs root: gives files to another user")
def test_fault_70_state_of_another_owner_is_refused(agent, secret):
    agent.start()
    first = serve_one(agent, secret)
    agent.kill()
    file = next((agent.state / "sealed").glob("*.svid"))
    os.chown(file, OTHER_UID, OTHER_UID)

    agent.start()
    workload.fetch(agent.address)

    assert serial(agent) != first
    assert f"belongs to uid {OTHER_UID}" in failure(agent)
    assert file.stat().st_uid == OTHER_UID
    agent.stop()

    os.chown(agent.state / "sealed", OTHER_UID, OTHER_UID)
    process = agent.launch()
    assert process.popen.wait(15) == 1
    assert f"belongs to uid {OTHER_UID}" in process.output()


def test_fault_70_a_node_key_that_a_group_may_read_is_refused(agent, secret):
    secret.chmod(0o640)

    process = agent.launch()

    assert process.popen.wait(15) == 1
    assert f"chmod 0600 {secret}" in process.output()


def test_fault_77_what_was_served_before_kill_9_is_served_after_it(agent, secret):
    agent.start()
    for _ in range(5):
        before = serve_one(agent, secret)
        agent.kill()
        agent.start()
        assert serial(agent) == before
        agent.rotate()
