"""Callers of whom the kernel does not tell who they are: nobody's identity is theirs."""
import os
import pathlib
import subprocess
import sys

import pytest

from kit.agent import identity, spiffe_id
from kit.process import Process, wait_until
from kit.setting import needs_root

CLIENTS = pathlib.Path(__file__).parent / "clients" / "python"
USER = 61003
OVERFLOW = pathlib.Path("/proc/sys/kernel/overflowuid").read_text().strip()


def contained(agent, *wrapper):
    """The agent, started by `wrapper`, and killed with it: unshare does not pass SIGTERM on."""
    script = agent.home / "contained"
    script.write_text(f'#!/bin/sh\nexec {" ".join(wrapper)} {agent.binary} "$@"\n')
    script.chmod(0o755)
    agent.binary, agent.plain = script, agent.binary
    return agent.start()


def fetch(agent, *wrapper):
    """`nodepilot fetch`, started by `wrapper`."""
    return subprocess.run([*wrapper, getattr(agent, "plain", agent.binary), "fetch", "x509", "--timeout", "5s"],
                          capture_output=True, text=True, timeout=30, cwd="/", stdin=subprocess.DEVNULL,
                          env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": agent.address})


AS_USER = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")


@pytest.mark.parametrize("match", ["its uid", "another path"])
def test_fault_42_a_caller_without_its_main_thread_is_unavailable_and_not_denied(make_agent, own_uid, match):
    """What the kernel tells of it, its uid as well, is what that thread had last."""
    agent = make_agent([identity("web", own_uid if match == "its uid" else "unix:path:/none")]).start()

    done = subprocess.run([sys.executable, CLIENTS / "headless.py", agent.address], capture_output=True, text=True,
                          timeout=30)

    assert done.stdout == "UNAVAILABLE\n", done.stderr
    assert "its main thread has exited" in agent.log.read_text()


ORPHAN = """
import os, socket, sys
from kit.raw_call import CALL, GREETING, granted
client, caller = socket.socket(socket.AF_UNIX), os.getpid()
client.connect(sys.argv[1])
if sys.argv[2] == "child":
    if os.fork():
        os._exit(0)
    while os.getppid() == caller:
        pass
try:
    client.sendall(GREETING + CALL)
    print("granted" if granted(client) else "refused", flush=True)
except ConnectionError:
    print("refused", flush=True)
"""


@pytest.mark.parametrize("sender, result", [("caller", "granted\n"), ("child", "refused\n")])
def test_fault_42_what_the_child_of_a_zombie_sends_is_not_answered(make_agent, own_uid, folder, sender, result):
    agent = make_agent([identity("web", own_uid)]).start()
    caller = Process("caller", [sys.executable, "-c", ORPHAN, agent.public, sender], folder / "caller.log",
                     env={**os.environ, "PYTHONPATH": str(CLIENTS.parents[1])})

    wait_until("the answer", caller.output)

    assert caller.output() == result
    if sender == "child":  # nobody has waited for it yet
        assert "\nState:\tZ" in pathlib.Path(f"/proc/{caller.pid}/status").read_text()
    caller.stop()


@needs_root
def test_fault_42_a_caller_outside_of_the_agents_pid_namespace_has_no_pid(make_agent):
    agent = contained(make_agent([identity("web", "unix:uid:0")]),
                      "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    try:
        outside = fetch(agent)
        [inner] = pathlib.Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
        inside = fetch(agent, "nsenter", "--pid", "--mount", f"--target={inner}")
    finally:
        agent.kill()

    assert "UNAVAILABLE" in outside.stderr and "spiffe://" not in outside.stdout
    assert "peer process 0: is outside our pid namespace" in agent.log.read_text()
    assert spiffe_id("web") in inside.stdout, inside.stderr


@needs_root
def test_fault_42_uids_that_the_agents_user_namespace_folds_into_one_are_nobodys(make_agent):
    agent = contained(make_agent([identity("web", f"unix:uid:{OVERFLOW}"), identity("root", "unix:uid:0")]),
                      "unshare", "--user", "--map-root-user")

    folded, mapped = fetch(agent, *AS_USER), fetch(agent)

    assert "UNAVAILABLE" in folded.stderr and "spiffe://" not in folded.stdout
    assert "its uid is outside our user namespace" in agent.log.read_text()
    assert spiffe_id("root") in mapped.stdout, mapped.stderr


@needs_root
def test_fault_42_a_caller_whose_own_namespace_maps_no_uid_is_known_by_the_one_that_it_has(make_agent):
    """There it is the overflow uid to itself, and may be root of that namespace, but the kernel tells us who it is."""
    agent = make_agent([identity("web", f"unix:uid:{USER}"), identity("nobody", f"unix:uid:{OVERFLOW}"),
                        identity("root", "unix:uid:0")]).start()

    for mapping in ((), ("--map-root-user",)):
        done = fetch(agent, *AS_USER, "unshare", "--user", *mapping)

        assert "Received 1 svid" in done.stdout and spiffe_id("web") in done.stdout, done.stderr
