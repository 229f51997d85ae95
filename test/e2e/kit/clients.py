"""Workloads written with other people's libraries, as processes that print JSON lines."""
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys

from kit.process import Process, wait_until


class Missing(Exception):
    """Why a client cannot be run."""


def find(name, root):
    """((address, mode) -> command line, version) of a client that ./check has installed."""
    source = root / "test" / "e2e" / "clients"
    if name == "go-spiffe":
        program = root / ".cache" / "go-client"
        if not program.exists():
            raise Missing("not built; ./check builds it where Go is")
        version = re.search(r"go-spiffe/v2 (\S+)", (source / "go" / "go.mod").read_text())[1]
        return lambda address, mode: [program, address, mode], version
    if name == "py-spiffe":
        return lambda address, mode: [sys.executable, source / "python" / "client.py", address, mode], \
            importlib.metadata.version("spiffe")
    folder = root / ".cache" / "js"
    package = folder / "node_modules" / "@grpc" / "grpc-js" / "package.json"
    if not package.exists() or not shutil.which("node"):
        raise Missing("not installed; ./check installs it where Node is")
    proto = root / "proto" / "spiffe" / "workload.proto"
    version = json.loads(package.read_text())["version"]
    return lambda address, mode: ["node", folder / "client.js", address, mode, proto], version


def build_static_go(root, target):
    """go-spiffe's client as one file that runs in an empty container."""
    if not shutil.which("go"):
        raise Missing("no Go to build the client with")
    built = subprocess.run(["go", "build", "-o", target, "."], cwd=root / "test/e2e/clients/go", timeout=300,
                           capture_output=True, text=True, env={**os.environ, "CGO_ENABLED": "0"})
    if built.returncode != 0:
        raise Missing(f"the Go client cannot be built: {built.stderr[-300:]}")
    return target


class Client:
    """A running client and what it has printed."""

    def __init__(self, argv, log, uid=None):
        self.process = Process("client", argv, log, uid)

    def lines(self):
        return [json.loads(line) for line in self.process.output().splitlines() if line.startswith("{")]

    def updates(self):
        return [line for line in self.lines() if line["event"] == "update"]

    def errors(self):
        return [line["error"] for line in self.lines() if line["event"] == "error"]

    def wait_update(self, other_than=None, by="serial", seconds=20):
        """The newest update, once what it has `by` that name is not `other_than`."""
        def newest():
            updates = self.updates()
            return updates and updates[-1][by] != other_than and updates[-1]
        try:
            return wait_until("an update", newest, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the client printed:\n{self.process.output()}") from None
