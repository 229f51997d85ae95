"""A kubelet of our own: HTTPS GET /pods with its own CA, credentials that it checks, and faults on demand."""
import http.server
import ipaddress
import json
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit.certificates import FileCa


def status(name, container_id):
    return {"name": name, "ready": True, "restartCount": 0, "image": f"registry.example/{name}:1.2",
            "imageID": f"registry.example/{name}@sha256:{'d' * 64}", "containerID": f"containerd://{container_id}",
            "state": {"running": {"startedAt": "2026-11-27T10:00:00Z"}}, "lastState": {}}


def pod(uid, container_id, name="web-0", namespace="shop", account="web", node="node-1", phase="Running", **labels):
    """A pod with one container, as a kubelet lists it."""
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": {"app": "web", **labels},
                         "annotations": {"kubernetes.io/config.source": "api"},
                         "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
                                              "uid": "e5", "controller": True}]},
            "spec": {"nodeName": node, "serviceAccountName": account,
                     "containers": [{"name": "web", "image": "registry.example/web:1.2"}]},
            "status": {"phase": phase, "containerStatuses": [status("web", container_id)]}}


class Kubelet:
    """Serves the pods in `pods` to whoever shows `token`. `fault` may be a status, "malformed" or seconds to wait;
    `padding` makes the list larger by that many bytes."""

    def __init__(self, folder, token="kubelet-token", name="node-1"):
        self.pods, self.token, self.fault, self.padding, self.asked = [], token, None, 0, 0
        self.ca_file = folder / "ca.crt"
        certificate, key = self._issue(FileCa(folder), folder, name)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._port = 0
        self.token_file = folder / "token"
        self.token_file.write_text(token)
        self.start()

    @staticmethod
    def _issue(ca, folder, name):
        """As a kubelet's: for the node's name and an address that is not loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("10.0.0.5"))])
        builder = ca._builder(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"system:node:{name}")]), key)
        (folder / "kubelet.crt").write_bytes(ca._sign(builder.add_extension(names, critical=False)))
        (folder / "kubelet.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return folder / "kubelet.crt", folder / "kubelet.key"

    @property
    def url(self):
        return f"https://127.0.0.1:{self._port}"

    def config(self, **more):
        return {"kubelet": self.url, "node_name": "node-1", "ca_file": str(self.ca_file),
                "token_file": str(self.token_file), **more}

    def list(self):
        filler = [{"metadata": {"name": f"f{i}", "namespace": "x", "uid": f"f-{i}",
                                "annotations": {"filler": "x" * 5000}}, "spec": {"nodeName": "node-1"}, "status": {}}
                  for i in range(self.padding // 5120)]
        return json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": filler + self.pods}).encode()

    def start(self):
        kubelet = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                kubelet.asked += 1
                fault = kubelet.fault
                if isinstance(fault, float):
                    time.sleep(fault)
                allowed = self.headers["Authorization"] == f"Bearer {kubelet.token}"
                code = fault if isinstance(fault, int) else 200 if allowed else 401
                body = b"Unauthorized" if code != 200 else kubelet.list()
                if fault == "malformed":
                    body = body[:-10]
                self.send_response(code if self.path == "/pods" else 404)
                self.send_header("Content-Type", "application/json" if code == 200 else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True,
                                                    do_handshake_on_connect=False)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
