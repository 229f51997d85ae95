"""Fixtures of the rows about the wire: agents that tests only read from, callers, a scripted server."""
import os
import pathlib
import tempfile

import pytest

from kit.agent import Agent, identity
from kit.process import IS_ROOT, install_copy
from kit.setting import CLIENT_UID, WEB_UID
from scripted import ScriptedServer

pytest_plugins = ["kit.fixtures"]


@pytest.fixture(scope="module")
def serve(nodepilot, shared_folder):
    """serve(identities, **sections): a running agent for all tests of a module, which leave it as it is."""
    agents = []

    def start(identities, **sections):
        home = pathlib.Path(tempfile.mkdtemp(dir=shared_folder))
        home.chmod(0o755)
        agents.append(Agent.configured(nodepilot, home, identities, **sections))
        return agents[-1].start()

    yield start
    for agent in agents:
        agent.stop()


@pytest.fixture(scope="module")
def us():
    """The selector of this process."""
    return f"unix:uid:{os.geteuid()}"


@pytest.fixture(scope="module")
def agent(serve, us):
    """Two identities are ours."""
    return serve([identity("web", us, hint="internal"), identity("db", us)])


@pytest.fixture(scope="module")
def stranger(serve):
    """No identity is ours."""
    return serve([identity("web", "unix:uid:4294967294")])


@pytest.fixture
def two_callers(nodepilot, folder):
    """(selector, how to run it) of two callers: two users, or for want of root two executables."""
    if IS_ROOT:
        return [(f"unix:uid:{uid}", {"uid": uid}) for uid in (WEB_UID, CLIENT_UID)]
    copies = [install_copy(nodepilot, folder / name) for name in ("first", "second")]
    return [(f"unix:path:{copy}", {"binary": copy}) for copy in copies]


@pytest.fixture
def scripted(folder):
    """scripted(METHOD=answer...): a Workload API that answers as told."""
    servers = []

    def start(**answers):
        servers.append(ScriptedServer(folder / f"scripted{len(servers)}.sock", answers))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
