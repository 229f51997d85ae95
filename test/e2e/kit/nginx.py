"""A real nginx that serves TLS out of files, and a client that trusts files."""
import http.client
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading

from kit.process import Process, wait_until

NAME = "web.example.org"


def binary():
    return shutil.which("nginx") or next((p for p in ("/usr/sbin/nginx",) if pathlib.Path(p).exists()), None)


def version(path):
    told = subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stderr
    return "nginx " + re.search(r"nginx/(\S+)", told).group(1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """One server on loopback, with the files of `directory` (profile tls). With `clients`, a file of
    roots, it asks for client certificates."""

    def __init__(self, path, home, directory, clients=None):
        self.path = path
        self.home = home
        self.port = free_port()
        self.pid_file = home / "nginx.pid"
        self.config = home / "nginx.conf"
        verify = f"ssl_verify_client on; ssl_client_certificate {clients};" if clients else ""
        scratch = "".join(f"{kind}_temp_path {home}/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.config.write_text(f"""
            daemon off;
            worker_processes 2;
            pid {self.pid_file};
            error_log {home}/error.log;
            events {{}}
            http {{
              access_log off; {scratch}
              server {{
                listen 127.0.0.1:{self.port} ssl;
                ssl_certificate {directory}/tls.crt;
                ssl_certificate_key {directory}/tls.key;
                {verify}
                location / {{ return 200 "hello"; }}
              }}
            }}""")
        self.process = None

    @property
    def reload_argv(self):
        return [self.path, "-c", str(self.config), "-s", "reload"]

    def start(self):
        self.process = Process("nginx", [self.path, "-c", self.config], self.home / "nginx.log")
        wait_until("nginx", self._ready)
        return self

    def _ready(self):
        if not self.process.running():
            raise RuntimeError(f"nginx ended:\n{self.process.tail()}")
        with socket.socket() as probe:
            return self.pid_file.exists() and probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            self.process.stop()


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
