"""Run as the first process of a pid namespace: `pid_reuse.py NODEPILOT HOME UID ROUNDS`. Serves UID an identity, then
has clients of that uid connect and die, and gives their pids to processes that hold their sockets. Prints JSON."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from kit.raw_call import CALL, GREETING, SETTINGS, granted  # noqa: E402

BINARY, HOME, UID, ROUNDS = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


def forked(work):
    """A child that does `work` and ends."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def as_caller(work):
    def run():
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        work()
    return forked(run)


def stop(agent):
    """Returns once the agent stands still."""
    agent.send_signal(signal.SIGSTOP)
    os.waitpid(agent.pid, os.WUNTRACED)


def recycle(pid, work):
    """Starts `work` in a process that has `pid`; None if somebody else was faster."""
    pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
    child = forked(work)
    os.waitpid(child, 0)
    return child == pid


def one_round(path, agent, accepted):
    """(recycled, granted): the heir of the pid sends what the dead caller would have sent. When the agent wakes it
    finds the death, the heir and the bytes all at once; `accepted`: on a connection that it has greeted."""
    ready, go = os.pipe(), os.pipe()
    with socket.socket(socket.AF_UNIX) as client:
        def call():
            client.connect(path)
            if accepted:
                client.send(GREETING)
                client.recv(1)
            os.write(ready[1], b"x")
            os.read(go[0], 1)

        def steal():
            try:
                client.send(CALL if accepted else GREETING + CALL)
            except OSError:
                pass

        if not accepted:
            stop(agent)
        pid = as_caller(call)
        os.read(ready[0], 1)
        if accepted:
            stop(agent)
        os.write(go[1], b"x")
        os.waitpid(pid, 0)
        recycled = recycle(pid, steal)
        agent.send_signal(signal.SIGCONT)
        for end in (*ready, *go):
            os.close(end)
        return recycled, granted(client)


def honest(path):
    """The control: a live caller with the same bytes is served."""
    def work():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.send(GREETING + CALL)
            if not granted(client):
                raise SystemExit(1)
    return os.waitstatus_to_exitcode(os.waitpid(as_caller(work), 0)[1]) == 0


def main():
    path = str(HOME / "public" / "api.sock")
    with open(HOME.parent / "agent.log", "ab") as log:
        agent = subprocess.Popen([BINARY, "run", "--dev", "--dev-dir", str(HOME), "--identity", f"/web=unix:uid:{UID}"],
                                 stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    served = honest(path)
    recycled = wrong = 0
    for number in range(ROUNDS):
        reused, got = one_round(path, agent, accepted=number % 2 == 0)
        recycled += reused
        wrong += got
    served = served and honest(path)
    agent.terminate()
    agent.wait(10)
    print(json.dumps({"rounds": ROUNDS, "recycled": recycled, "granted": wrong, "honest": served}))


main()
