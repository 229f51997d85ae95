"""What federation needs beside agents: certificates of the Web PKI, open streams, publishers that misbehave."""
import base64
import http.server
import json
import socket
import ssl
import subprocess
import threading

import grpc

from kit import workload


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def web_certificate(folder):
    """(certificate, key) files for localhost, self-signed: who trusts the certificate trusts the host."""
    certificate, key = folder / "web.pem", folder / "web.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o600)
    return certificate, key


def der(pem):
    """Of the one certificate in a PEM text."""
    return base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-----")))


def document(pem, sequence):
    """A SPIFFE bundle with one root."""
    jwk = {"use": "x509-svid", "kty": "EC", "x5c": [base64.b64encode(der(pem)).decode()]}
    return json.dumps({"keys": [jwk], "spiffe_sequence": sequence, "spiffe_refresh_hint": 1}).encode()


class BundleStream:
    """A workload's open stream of bundles, and the newest answer on it."""

    def __init__(self, address):
        self.newest = b""
        self._channel = workload.channel(address)
        self._answers = workload.stream(self._channel, "FetchX509Bundles", timeout=120)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        try:
            for answer in self._answers:
                self.newest = answer
        except grpc.RpcError:
            pass

    def close(self):
        self._answers.cancel()
        self._thread.join()
        self._channel.close()


class Publisher:
    """An HTTPS server on localhost. `answers`: path -> function of the request handler."""

    def __init__(self, certificate, key):
        self.answers = {}
        self.ended = threading.Event()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    def _handler(self):
        answers = self.answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answers[self.path](self)

            def log_message(self, *_):
                pass

        return Handler

    def stop(self):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


def say(body, kind="application/json", status=200, length=None, **headers):
    """An answer of a Publisher."""
    def answer(request):
        request.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": length or len(body), **headers}.items():
            request.send_header(name, str(value))
        request.end_headers()
        request.wfile.write(body)
    return answer
