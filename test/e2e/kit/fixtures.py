"""Fixtures that every suite shares: real agents on directories of their own. A pytest plugin."""
import os
import pathlib
import shutil
import tempfile

import pytest

from kit.agent import Agent
from kit.process import install_copy
from kit.setting import ROOT, parts


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


@pytest.fixture
def own_uid():
    return f"unix:uid:{os.geteuid()}"
