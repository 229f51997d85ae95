#!/usr/bin/env python3
"""The demo once everything is built: started by ./demo, which says what it shows. Standard library only."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from kit import envoy, load
from kit.agent import Agent, spiffe_id
from kit.process import IS_ROOT, Process, install_copy, wait_until

WEB, CLIENT = spiffe_id("web"), spiffe_id("client")
WEB_UID, CLIENT_UID, INTRUDER_UID = (61001, 61002, 65534) if IS_ROOT else (None, None, None)
REQUESTS = 500


class Broken(Exception):
    """A step that did not hold."""


def require(held, message):
    if not held:
        raise Broken(message)


def openssl(*args, given=None):
    done = subprocess.run(["openssl", *map(str, args)], input=given, capture_output=True, timeout=20)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def served_serial(port):
    """Of the certificate that a TLS server shows on a new connection."""
    shown = openssl("s_client", "-connect", f"127.0.0.1:{port}", given=b"")
    serial = re.search("serial=([0-9A-F]+)", openssl("x509", "-noout", "-serial", given=shown.encode()))
    require(serial, f"no certificate on port {port}: {shown}")
    return serial[1]


class Demo:
    def __init__(self, options):
        self.started = options.started / 1e6
        self.binary = options.binary
        self.once = options.once
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="nodepilot-demo-"))
        self.home.chmod(0o755)
        self.cleanup = [lambda: shutil.rmtree(self.home, ignore_errors=True)]
        self.next = []

    def step(self, name, text):
        print(f"[{time.time() - self.started:5.1f}s] {name:<12} {text}", flush=True)

    def run(self):
        try:
            self.start_agent()
            path = envoy.binary() or shutil.which("envoy")
            if path:
                self.with_envoy(path)
            else:
                self.step("envoy", "neither on PATH nor to be had by pip: openssl s_server and s_client instead")
                self.with_openssl()
            self.refuse_intruder()
            self.finish()
        finally:
            for undo in reversed(self.cleanup):
                undo()

    def start_agent(self):
        # Root can be several users; otherwise the executable's path tells the two sides apart.
        server, client = self.home / "server-proxy", self.home / "client-proxy"
        self.copies = (server, client)
        match = ([f"unix:uid:{WEB_UID}", f"unix:uid:{CLIENT_UID}"] if IS_ROOT
                 else [f"unix:path:{server}", f"unix:path:{client}"])
        binary = install_copy(self.binary, self.home / "nodepilot")
        self.agent = Agent.dev(binary, self.home / "agent", [f"{WEB}={match[0]}", f"{CLIENT}={match[1]}"], "30s")
        self.cleanup.append(self.agent.stop)
        self.agent.start()
        self.step("agent", f"ready   {self.agent.address}   trust domain dev.local, certificates live 30 s")

    def with_envoy(self, path):
        for copy in self.copies:
            install_copy(path, copy)
        app = load.App()
        self.cleanup.append(app.stop)
        pair = envoy.MutualTls(self.copies, self.home, self.agent.public, app.port, WEB, CLIENT,
                               uids=(WEB_UID, CLIENT_UID))
        self.cleanup.append(pair.stop)
        self.step("envoy", f"{envoy.version(path)}, server and client ready, certificates by SDS")

        port = pair.client.port()
        reply = load.get(port)
        seen = reply.headers
        require(reply.status == 200, f"the request got {reply.status}: {reply.body}")
        require(seen["x-client-id"] == CLIENT, f"the server saw {seen['x-client-id']}")
        require(seen["x-server-id"] == WEB, f"the client saw {seen['x-server-id']}")
        self.step("GET /", f'200 "{reply.body}"   {seen["x-client-id"]} -> {seen["x-server-id"]}   {seen["x-tls"]}')
        self.rotate_under_load(pair.server.port(), port)
        self.next.append(f"curl -i http://127.0.0.1:{port}/")

    def rotate_under_load(self, server_port, client_port):
        server_before = served_serial(server_port)
        client_before = load.get(client_port).headers["x-client-serial"]
        with load.Load(client_port, rate=500) as requests:
            wait_until("the first requests", lambda: requests.made >= REQUESTS / 4, 60)
            rotated = self.rotate()
            # Enough that every connection of before has been used up.
            enough = max(REQUESTS, requests.made + 50)
            wait_until("the last requests", lambda: requests.made >= enough, 60)
        require(not requests.failures, f"{len(requests.failures)} requests failed, the first: {requests.failures[:1]}")
        require(served_serial(server_port) != server_before, "the server still shows its old certificate")
        require(load.get(client_port).headers["x-client-serial"] != client_before,
                "the client still shows its old certificate")
        self.step("rotate --all", f"{rotated}; {requests.made} requests during it, 0 failed; "
                                  "new connections show new serials")

    def rotate(self):
        begun = time.monotonic()
        done = self.agent.command("rotate", "--all", "--wait", "10s")
        require(done.returncode == 0, f"rotate ended with {done.returncode}: {done.stderr}")
        return f"2 rotated in {(time.monotonic() - begun) * 1000:.0f} ms"

    def with_openssl(self):
        """The same proof with files: each side fetches its own, openssl does the handshake."""
        server, client = (install_copy(self.binary, copy) for copy in self.copies)
        before = self.handshake(server, client, "first")
        rotated = self.rotate()
        require(self.handshake(server, client, "second") != before, "the server still shows its old certificate")
        self.step("rotate --all", f"{rotated}; a new connection shows a new serial")

    def fetch(self, binary, uid, folder):
        folder.mkdir()
        if uid is not None:
            os.chown(folder, uid, uid)
        done = subprocess.run([binary, "fetch", "x509", "--socket", self.agent.address, "--write", folder],
                              capture_output=True, text=True, timeout=30, user=uid, group=uid,
                              extra_groups=[] if uid else None)
        require(done.returncode == 0, f"fetch ended with {done.returncode}: {done.stderr}")
        return [arg for name, file in (("-cert", "svid.0.pem"), ("-key", "svid.0.key"), ("-CAfile", "bundle.0.pem"))
                for arg in (name, folder / file)]

    def handshake(self, server, client, name):
        server_files = self.fetch(server, WEB_UID, self.home / f"{name}-server")
        client_files = self.fetch(client, CLIENT_UID, self.home / f"{name}-client")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        listening = Process("s_server", ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-Verify", "2",
                                         "-verify_return_error", "-www", *server_files],
                            self.home / f"{name}-s_server.log")
        self.cleanup.append(listening.stop)
        wait_until("s_server", lambda: "ACCEPT" in listening.output())
        shown = openssl("s_client", "-connect", f"127.0.0.1:{port}", "-verify_return_error", *client_files, given=b"")
        require("Verify return code: 0 (ok)" in shown, f"the handshake failed: {shown}")
        require(WEB in openssl("x509", "-noout", "-text", given=shown.encode()), f"not {WEB}: {shown}")
        tls = re.search(r"New, (\S+),", shown)
        self.step("openssl", f"{CLIENT} -> {WEB}   {tls[1] if tls else ''}")
        return served_serial(port)

    def refuse_intruder(self):
        done = self.agent.command("fetch", "x509", uid=INTRUDER_UID)
        require(done.returncode == 4, f"the intruder's fetch ended with {done.returncode}, not 4: {done.stderr}")
        who = f"uid {INTRUDER_UID}" if IS_ROOT else "another executable"
        self.step("intruder", f"{who} refused (exit 4): {done.stderr.splitlines()[0]}")

    def finish(self):
        program = pathlib.Path(self.binary)
        if program.is_relative_to(pathlib.Path.cwd()):
            program = program.relative_to(pathlib.Path.cwd())
        if self.once:
            print(f"PROOF OK.  Next: ./demo | ./check | {program} run --dev")
            return
        admin = f"--admin-socket {self.agent.admin}"
        print("PROOF OK.  Next, in another terminal (Ctrl-C here stops and cleans up):")
        for command in [f"{program} status {admin}", f"{program} rotate --all --wait 10s {admin}", *self.next]:
            print(f"  {command}")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            self.step("stopped", "cleaning up")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--started", type=int, required=True, help="microseconds since the epoch")
    parser.add_argument("--once", action="store_true")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo(parser.parse_args())
    try:
        demo.run()
    except KeyboardInterrupt:
        return 130
    except (Broken, OSError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
        demo.step("FAILED", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
