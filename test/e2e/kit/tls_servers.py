"""Real servers that serve TLS out of files, on loopback."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

from kit import envoy
from kit.process import Process, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """With the certificate and the roots of its clients in `directory`."""
    suffix = "conf"

    def __init__(self, path, home, directory):
        self.path = path
        self.home = home
        self.directory = directory
        self.port = free_port()
        self.pid_file = home / f"{self.name}.pid"
        self.log = home / f"{self.name}.log"
        self.config = home / f"{self.name}.{self.suffix}"
        self.config.write_text(self.text())
        self.process = None

    @classmethod
    def binary(cls):
        path = pathlib.Path("/usr/sbin") / cls.name
        return str(path) if path.exists() else shutil.which(cls.name)

    @classmethod
    def version(cls, path):
        flag, pattern = cls.told_version
        told = subprocess.run([path, flag], capture_output=True, text=True, check=True)
        return f"{cls.name} " + re.search(pattern, told.stdout + told.stderr).group(1)

    def signal(self, name):
        return {"signal": {"name": name, "pid_file": str(self.pid_file), "executable": os.path.realpath(self.path)}}

    def start(self):
        self.process = Process(self.name, self.argv(), self.log)
        wait_until(self.name, self._ready)
        return self

    def _ready(self):
        if not self.process.running():
            raise RuntimeError(f"{self.name} ended:\n{self.process.tail()}")
        with socket.socket() as probe:
            return self.has_started() and probe.connect_ex(("127.0.0.1", self.port)) == 0

    def has_started(self):
        return self.pid_file.exists()

    def stop(self):
        if self.process:
            self.process.stop()


class Nginx(Server):
    """With the files of the profile tls."""
    name, profile = "nginx", "tls"
    told_version = ("-v", r"nginx/(\S+)")

    def argv(self):
        return [self.path, "-c", self.config]

    def hooks(self, how):
        if how == "exec":
            return [{"exec": [self.path, "-c", str(self.config), "-s", "reload"]}]
        return [self.signal("SIGHUP")]

    def text(self):
        home, directory = self.home, self.directory
        scratch = "".join(f"{kind}_temp_path {home}/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
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
                ssl_verify_client on;
                ssl_client_certificate {directory}/ca.crt;
                location / {{ return 200 "hello"; }}
              }}
            }}"""


class Haproxy(Server):
    """A master and its worker, with the files of the profile bundle."""
    name, profile = "haproxy", "bundle"
    told_version = ("-v", r"version ([^\s-]+)")

    def argv(self):
        return [self.path, "-W", "-f", self.config, "-p", self.pid_file]

    def hooks(self, how):
        assert how == "signal"
        return [self.signal("SIGUSR2")]

    def text(self):
        return f"""
global
  log stderr format raw local0 notice
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend web
  bind 127.0.0.1:{self.port} ssl crt {self.directory}/credential-bundle.pem ca-file {self.directory}/ca.crt verify required
  http-request return status 200 content-type text/plain string hello
"""


class Envoy(Server):
    """Without SDS from the agent: it watches the directory of files of the profile pem."""
    name, profile, suffix = "envoy", "pem", "json"

    @classmethod
    def binary(cls):
        return envoy.binary() or shutil.which("envoy")

    @classmethod
    def version(cls, path):
        return envoy.version(path)

    def argv(self):
        return [self.path, "--config-path", self.config, "--disable-hot-restart", "--concurrency", "2",
                "--log-level", "warning"]

    def hooks(self, how):
        assert how == "watch"
        return []

    def has_started(self):
        return True

    def _secret(self, name, secret):
        """A secret in a file of its own, as Envoy wants it for watched_directory."""
        path = self.home / f"{name}.json"
        watched = {**secret, "watched_directory": {"path": str(self.directory)}}
        kind = "tls_certificate" if "private_key" in secret else "validation_context"
        path.write_text(json.dumps({"resources": [{
            "@type": envoy.TYPE + "extensions.transport_sockets.tls.v3.Secret", "name": name, kind: watched}]}))
        return {"name": name, "sds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}}

    def text(self):
        def file(name):
            return {"filename": str(self.directory / name)}

        tls = {"@type": envoy.TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
               "require_client_certificate": True,
               "common_tls_context": {
                   "tls_certificate_sds_secret_configs": [self._secret("web", {
                       "certificate_chain": file("svid.pem"), "private_key": file("svid_key.pem")})],
                   "validation_context_sds_secret_config": self._secret("roots", {"trusted_ca": file("bundle.pem")})}}
        manager = {"@type": envoy.TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                   "stat_prefix": "web", "http_filters": [envoy.ROUTER],
                   "route_config": {"virtual_hosts": [{"name": "web", "domains": ["*"], "routes": [{
                       "match": {"prefix": "/"},
                       "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}]}]}}
        listener = {"name": "web",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": self.port}},
                    "filter_chains": [{
                        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
                        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}]}
        return json.dumps({"node": {"id": "files", "cluster": "files"}, "static_resources": {"listeners": [listener]}})
