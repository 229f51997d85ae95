"""Fixtures of the rows about the wire: agents that tests only read from, callers, a scripted server."""
import json
import os
import pathlib
import tempfile

import pytest

from foreign import Foreign
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


def federation(foreign, file, url="https://127.0.0.1:1/"):
    """The agent's configuration for a trust domain whose bundle is in `file`; nobody answers at `url`."""
    file.write_text(json.dumps(foreign.document()))
    return {"trust_domain": foreign.name, "url": url, "profile": "https_spiffe",
            "endpoint_spiffe_id": foreign.id("endpoint"), "bundle_file": str(file)}


@pytest.fixture(scope="module")
def foreign():
    return Foreign("other.example")


@pytest.fixture(scope="module")
def third():
    """A foreign trust domain with X.509 roots only."""
    domain = Foreign("third.example")
    domain.keys, domain.others = {}, {}
    return domain


@pytest.fixture(scope="module")
def trusting(serve, us, foreign, third, tmp_path_factory):
    """An agent with two identities of ours, which federates with both."""
    folder = tmp_path_factory.mktemp("bundles")
    names = [foreign.name, third.name]
    return serve([identity("web", us, federates_with=names), identity("db", us, federates_with=names)],
                 federation=[federation(one, folder / one.name) for one in (foreign, third)])
