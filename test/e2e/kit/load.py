"""The application behind the server Envoy, and a steady load on the client Envoy."""
import http.client
import http.server
import threading
import time


class App:
    """Answers "hello" to every GET, on a port that the kernel chooses."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or each answer waits for a delayed ACK

        def do_GET(self):
            body = b"hello"
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    def __init__(self):
        self.server = self.Server(("127.0.0.1", 0), self.Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body


def get(port, connection=None):
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        own.request("GET", "/")
        reply = own.getresponse()
        return Reply(reply.status, reply.headers, reply.read().decode(errors="replace"))
    finally:
        if connection is None:
            own.close()


class Load:
    """Requests one after another on a thread, at most `rate` a second, until stop()."""

    def __init__(self, port, rate=200):
        self.port = port
        self.pause = 1 / rate
        self.made = 0
        self.failures = []
        self.client_serials = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._stop.is_set():
            try:
                reply = get(self.port, connection)
                if reply.status != 200:
                    self.failures.append(f"{reply.status} {reply.body}")
                self.client_serials.add(reply.headers.get("x-client-serial"))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            self.made += 1
            time.sleep(self.pause)
        connection.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(15)
