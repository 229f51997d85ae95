"""A bundle endpoint of Python's own HTTPS server, which serves what a test puts there."""
import http.server
import json
import ssl
import threading

import pki


class Endpoint:
    """`pages`: path -> document to serve, or text that begins with "/" or "http": a redirect to it."""

    def __init__(self, folder, certificate, key):
        self.asked = []  # the paths, in order
        self.pages = {}
        self.open = threading.Event()  # until then requests wait
        self.open.set()
        self._folder = folder
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificate, key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True,
                                                    do_handshake_on_connect=False)
        self.port = self._server.server_port
        self.url = f"https://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    def show(self, certificate, key):
        """The certificate that later connections get."""
        for name, content in (("tls.pem", pki.pem(certificate)), ("tls.key", pki.key_pem(key))):
            (self._folder / name).write_bytes(content)
        self._tls.load_cert_chain(self._folder / "tls.pem", self._folder / "tls.key")

    def _handler(self):
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                endpoint.asked.append(self.path)
                endpoint.open.wait(20)
                page = endpoint.pages.get(self.path)
                body = json.dumps(page).encode() if isinstance(page, dict) else b""
                self.send_response(404 if page is None else 200 if body else 301)
                if isinstance(page, str):
                    self.send_header("Location", page)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        return Handler

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
