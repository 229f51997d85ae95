"""Requests over TLS that trust files."""
import http.client
import socket
import ssl
import threading

NAME = "web.example.org"


def get(port, roots, chain=None, key=None):
    """One request on a connection of its own, verified against the file `roots`: (status, serial)."""
    context = ssl.create_default_context(cafile=str(roots))
    if chain:
        context.load_cert_chain(str(chain), str(key))
    connection = http.client.HTTPSConnection(NAME, port, timeout=10, context=context)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname=NAME)
    try:
        serial = connection.sock.getpeercert()["serialNumber"]
        connection.request("GET", "/")
        reply = connection.getresponse()
        reply.read()
        return reply.status, serial.lower()
    finally:
        connection.close()


class TlsLoad:
    """Requests without a pause on some threads, each with a handshake of its own, until the end."""

    def __init__(self, threads, *request):
        self.request = request
        self.made = 0
        self.failures = []
        self.serials = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self):
        while not self._stop.is_set():
            try:
                status, serial = get(*self.request)
                failure = None if status == 200 else str(status)
            except (OSError, http.client.HTTPException) as error:
                serial, failure = None, repr(error)
            with self._lock:
                self.made += 1
                self.serials.add(serial)
                if failure:
                    self.failures.append(failure)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(15)
