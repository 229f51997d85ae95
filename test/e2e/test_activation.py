"""Sockets that systemd holds or keeps: restarts refuse nobody, and what does not fit is refused."""
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

from kit import systemd, workload
from kit.agent import identity
from kit.process import wait_until

ROUNDS = 100


@pytest.fixture
def agent(make_agent):
    return make_agent([identity("web", f"unix:uid:{os.getuid()}")])


@pytest.fixture
def sockets(agent):
    made = {"public": systemd.listening(agent.public, 0o666), "admin": systemd.listening(agent.admin, 0o660)}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def launch(agent):
    """launch(sockets, env): the daemon with these sockets, and its log; killed at the end if it still runs."""
    running = []

    def start(sockets, env=None):
        log = agent.home.parent / f"passed{len(running)}.log"
        running.append(systemd.launch([agent.binary, "run", *agent.run_args], log, sockets, env))
        return running[-1], log

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def ready(process, log):
    wait_until("the agent", lambda: "is ready" in log.read_text() or process.poll() is not None)
    assert process.poll() is None, log.read_text()


def restart_over_and_over(launch, callers, sockets, env=None):
    begun = time.monotonic()
    for _ in range(ROUNDS):
        process, log = launch(sockets() if callable(sockets) else sockets, env)
        ready(process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, log.read_text()
    took = time.monotonic() - begun
    process, log = launch(sockets() if callable(sockets) else sockets, env)  # for who waits in the queue
    ready(process, log)
    load = callers.end()
    print(f"{ROUNDS} restarts in {took:.1f} s, {load['connects']} connects, {load['updates']} updates")
    assert load["refused"] == []
    # Not every life is long enough for a stream, but each had its connects.
    assert load["updates"] > 8 and load["connects"] > ROUNDS


def test_who_connects_before_the_agent_runs_is_served(agent, sockets, launch):
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(agent.public))
    waiting.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))

    ready(*launch(sockets))

    waiting.settimeout(5)
    assert waiting.recv(9)[3] == 4  # its SETTINGS: it knows who we are
    waiting.close()
    assert workload.fetch(agent.address)
    assert agent.json("status")["identities"]


def test_fault_86_hundred_restarts_on_sockets_of_systemd_refuse_nobody(agent, sockets, launch, start_callers):
    first, log = launch(sockets)
    ready(first, log)
    callers = start_callers(agent)
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0

    restart_over_and_over(launch, callers, sockets)

    assert agent.public.is_socket() and agent.admin.is_socket()


def test_fault_86_hundred_restarts_on_stored_sockets_refuse_nobody(agent, launch, start_callers, folder):
    notified = systemd.Notified(folder / "notify")
    env = {"NOTIFY_SOCKET": str(notified.path)}
    try:
        first, log = launch({}, env)
        ready(first, log)
        wait_until("the store", lambda: sorted(notified.store) == ["stored-admin", "stored-public"])
        inode = os.stat(agent.public).st_ino
        callers = start_callers(agent)
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 0

        def stored():
            wait_until("the store", lambda: len(notified.store) == 2)
            return dict(notified.store)

        restart_over_and_over(launch, callers, stored, env)
        assert os.stat(agent.public).st_ino == inode
    finally:
        notified.close()


@pytest.mark.parametrize("name, told", [("api", 'a socket named \\"api\\"'), ("public", "is bound at")])
def test_a_socket_that_does_not_fit_is_refused(agent, launch, folder, name, told):
    with systemd.listening(folder / "other.sock", 0o666) as other:
        process, log = launch({name: other})

        assert process.wait(10) == 1
        assert told.replace("\\", "") in log.read_text().replace("\\", "")


def test_a_socket_without_pass_credentials_works_and_is_told_of(agent, folder):
    """systemd-socket-activate cannot set it: who came before the agent is closed, who comes later is served."""
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("no systemd-socket-activate")
    log = folder / "activate.log"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            ["systemd-socket-activate", "-l", str(agent.public), "-l", str(agent.admin), "--fdname=public:admin",
             agent.binary, "run", *map(str, agent.run_args)], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        wait_until("the socket", agent.public.exists)

        def accepts():
            with socket.socket(socket.AF_UNIX) as one:
                return one.connect_ex(str(agent.public)) == 0
        wait_until("the activator", accepts)
        ready(process, log)
        assert "lacks PassCredentials=yes" in log.read_text()
        assert workload.fetch(agent.address)
    finally:
        process.terminate()
        process.wait(10)
