"""Starting, stopping, restarting, and starting twice."""
import os
import socket

import grpc
import pytest

from conftest import NOBODY_UID, needs_root
from kit import workload
from kit.agent import accepts, identity, spiffe_id
from kit.process import wait_until


@pytest.fixture
def agent(make_agent, own_uid):
    return make_agent([identity("web", own_uid)])


def start_and_fail(agent):
    """The exit code and the output of an agent that must not come up."""
    process = agent.launch()
    return process.popen.wait(15), process.output()


def test_sigterm_ends_open_streams_and_removes_the_sockets(agent):
    agent.start()
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened)
        next(answers)

        code = agent.stop()

        with pytest.raises(grpc.RpcError) as end:
            next(answers)
    assert code == 0
    assert end.value.code() == grpc.StatusCode.UNAVAILABLE
    assert not agent.public.exists()
    assert not agent.admin.exists()


def test_systemd_hears_of_readiness_and_of_the_end(agent, folder):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(10)
        agent.launch(env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "1000000"})

        heard = []
        while not any("WATCHDOG=1" in line for line in heard):
            heard.append(manager.recv(4096).decode())
        assert any("READY=1" in line for line in heard)
        assert agent.command("fetch", "x509").returncode == 0

        agent.process.popen.terminate()
        while not any("STOPPING=1" in line for line in heard):
            heard.append(manager.recv(4096).decode())
    assert agent.process.popen.wait(10) == 0


def test_fault_44_a_second_agent_on_the_same_socket_is_refused_and_the_first_untouched(agent, make_agent, own_uid):
    agent.start()
    inode = agent.public.stat().st_ino
    second = make_agent([identity("web", own_uid)], home="second",
                        listen={"path": str(agent.public), "mode": "0666"})

    code, output = start_and_fail(second)

    assert code == 1
    assert str(agent.public) in output
    assert agent.public.stat().st_ino == inode
    assert agent.command("fetch", "x509").returncode == 0


def test_fault_43_a_killed_agent_leaves_a_socket_that_the_next_one_replaces_and_the_same_root(agent):
    agent.start()
    roots = agent.json("status")["roots"]
    agent.kill()
    assert agent.public.exists()

    agent.start()

    assert agent.command("fetch", "x509").returncode == 0
    assert agent.json("status")["roots"] == roots


def test_a_state_directory_open_to_others_is_refused_and_nothing_written(agent):
    agent.state.chmod(0o777)

    code, output = start_and_fail(agent)

    assert code == 1
    assert str(agent.state) in output
    assert os.listdir(agent.state) == []
    assert not agent.public.exists()


@needs_root
def test_a_state_directory_of_another_user_is_refused_and_nothing_written(agent):
    os.chown(agent.state, NOBODY_UID, NOBODY_UID)

    code, output = start_and_fail(agent)

    assert code == 1
    assert str(agent.state) in output
    assert os.listdir(agent.state) == []


@pytest.mark.parametrize("spoil", ["readable", "cut short"])
def test_a_bad_ca_file_is_refused_by_name_and_left_as_it_is(agent, spoil):
    agent.start()
    assert agent.stop() == 0
    ca = agent.state / "local-ca.pem"
    if spoil == "readable":
        ca.chmod(0o644)
    else:
        ca.write_text(ca.read_text()[:200])
    before = ca.read_bytes(), ca.stat().st_mode, os.listdir(agent.state)

    code, output = start_and_fail(agent)

    assert code == 1
    assert str(ca) in output
    assert (ca.read_bytes(), ca.stat().st_mode, os.listdir(agent.state)) == before


def test_fault_46_a_socket_directory_that_others_may_write_is_refused(agent):
    agent.public.parent.chmod(0o777)

    code, output = start_and_fail(agent)

    assert code == 1
    assert str(agent.public.parent) in output
    assert os.listdir(agent.public.parent) == []


@needs_root
def test_fault_46_a_socket_directory_of_another_user_is_refused(agent):
    os.chown(agent.public.parent, NOBODY_UID, NOBODY_UID)

    code, output = start_and_fail(agent)

    assert code == 1
    assert f"{agent.public.parent} belongs to uid {NOBODY_UID}" in output
    assert os.listdir(agent.public.parent) == []


def test_fault_46_a_socket_directory_that_is_a_link_is_refused(agent):
    real = agent.public.parent.with_name("real")
    agent.public.parent.rename(real)
    agent.public.parent.symlink_to(real)

    code, output = start_and_fail(agent)

    assert code == 1
    assert f"{agent.public.parent} is a symlink" in output
    assert os.listdir(real) == []


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_fault_45_a_path_that_is_changed_is_back_and_earlier_connections_live_on(agent, how):
    agent.start()
    with workload.channel(agent.address) as opened, socket.socket(socket.AF_UNIX) as foreign:
        answers = workload.stream(opened, timeout=30)
        first = next(answers)
        inode = agent.public.stat().st_ino
        agent.public.unlink()
        if how == "replaced":
            foreign.bind(str(agent.public))  # and does not listen

        wait_until("the path to be back", lambda: accepts(agent.public), 10)

        assert agent.public.stat().st_ino != inode
        assert agent.command("fetch", "x509").returncode == 0
        agent.rotate()
        assert next(answers) != first


def test_fault_46_missing_directories_are_made(agent):
    for made in (agent.public.parent, agent.admin.parent, agent.state):
        made.rmdir()

    agent.start()

    assert agent.state.stat().st_mode & 0o777 == 0o700
    assert agent.command("fetch", "x509").returncode == 0


def test_a_thousand_connections_leave_no_descriptor_behind(agent):
    agent.start()
    try:
        workload.fetch(agent.address)
        before = agent.open_files()
    except PermissionError:
        pytest.skip("the agent's descriptors can be counted by root only")

    for _ in range(1000):
        assert spiffe_id("web").encode() in workload.fetch(agent.address)

    wait_until("the descriptors to go", lambda: agent.open_files() <= before, seconds=10)
    assert agent.process.running()


def test_no_key_gets_into_the_log(agent):
    agent.start()
    assert agent.command("fetch", "x509").returncode == 0
    agent.rotate()
    agent.stop()

    assert "PRIVATE" not in agent.process.output()
