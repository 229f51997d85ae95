"""Fixtures of the faults that need the real daemon: an istiod that goes wrong, and an agent that asks it."""
import os

import pytest

from kit.agent import identity
from kit.istiod import FakeIstiod

pytest_plugins = ["kit.fixtures"]


class ProjectedToken:
    """A token as the kubelet projects it: token -> ..data/token, ..data -> a directory of its own."""

    def __init__(self, folder, token):
        self.folder = folder / "token"
        self.folder.mkdir()
        self.file = self.folder / "token"
        self.file.symlink_to("..data/token")
        self.swap(token)

    def swap(self, token):
        version = self.folder / f"..{token}"
        version.mkdir()
        (version / "token").write_text(token + "\n")
        (self.folder / "..new").symlink_to(version.name)
        (self.folder / "..new").rename(self.folder / "..data")


@pytest.fixture
def token(folder):
    return ProjectedToken(folder, "first.token")


@pytest.fixture
def istiod(request, folder):
    binary = request.config.getoption("--binary").parent / "test" / "fake_istiod"
    started = FakeIstiod(binary, folder)
    started.trust("first.token")
    yield started
    started.stop()


@pytest.fixture
def agent(make_agent, istiod, token):
    """Not started; one identity, of this process, for ten seconds at a time."""
    ca = {"addresses": [istiod.address], "token_file": str(token.file), "root_file": str(istiod.root_file),
          "server_name": "istiod.istio-system.svc", "ask_as": "node_agent", "timeout": "1s"}
    return make_agent([identity("ns/shop/sa/web", f"unix:uid:{os.geteuid()}", ttl="10s")], ca={"istiod": ca})
