"""Every command that the README shows is run as it stands."""
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from conftest import ROOT
from kit.agent import Agent
from kit.process import Process, wait_until

# Covered elsewhere: these two run this test.
SCRIPTS = {"./demo", "./demo --once", "./check", "./check --quick"}


def commands():
    readme = ROOT / "README.md"
    text = readme.read_text() if readme.exists() else ""
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and (words[0].startswith("./") or words[0] == "nodepilot"):
                yield " ".join(words)


@pytest.fixture
def agent(nodepilot, folder):
    agent = Agent.dev(nodepilot, folder / "dev", [], "1h").start()
    agent.command("fetch", "x509")
    (folder / "agent.yaml").write_text((ROOT / "systemd" / "agent.yaml").read_text())
    yield agent
    agent.stop()


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_a_command_of_the_readme_works(command, agent, folder):
    words = command.split()
    if command in SCRIPTS:
        assert os.access(ROOT / words[0], os.X_OK)
        assert subprocess.run(["bash", "-n", ROOT / words[0]]).returncode == 0
        return
    assert words[0] == "nodepilot", f"no way to run {command!r} is known"
    env = {**os.environ, "NODEPILOT_ADMIN_SOCKET": str(agent.admin), "SPIFFE_ENDPOINT_SOCKET": agent.address}
    if words[1] == "run":
        serves(agent.binary, words[1:], folder, env)
        return

    done = subprocess.run([agent.binary, *words[1:]], cwd=folder, env=env, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stdout + done.stderr


def serves(binary, args, folder, env):
    """A command that does not end by itself: it prints its sockets, serves, and ends by SIGTERM."""
    process = Process("run", [binary, *args], folder / "run.log", env=env)
    try:
        printed = wait_until("a socket in the output", lambda: re.search(r"unix://(\S+)", process.output()), 10)
        assert pathlib.Path(printed[1]).is_socket()
    finally:
        assert process.stop() == 0
