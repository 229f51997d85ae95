"""Two real Envoys with mutual TLS between them, their certificates by SDS from the agent."""
import dataclasses
import json
import pathlib
import subprocess
import urllib.request

from kit.process import Process, wait_until

TYPE = "type.googleapis.com/envoy."
ROUTER = {"name": "envoy.filters.http.router",
          "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router"}}


@dataclasses.dataclass(frozen=True)
class Secrets:
    """What an Envoy asks the agent for, and how."""
    certificate: str = "default"
    trust: str = "ROOTCA"
    delta: bool = False
    on_demand: bool = False  # the certificate is fetched by the first handshake that needs it
    names_peer: bool = True  # Envoy's own configuration names the one peer that it accepts
    metadata: dict = dataclasses.field(default_factory=dict)


def binary():
    """The Envoy of this Python environment, or None."""
    try:
        import envoy
    except ImportError:
        return None
    found = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
    return found if found.exists() else None


def version(path):
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return out.rpartition("version:")[2].split("/")[1]


def _endpoint(address):
    return {"lb_endpoints": [{"endpoint": {"address": address}}]}


def _tcp(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name, address, protocol, **more):
    options = TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions"
    return {"name": name, "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [_endpoint(address)]},
            "typed_extension_protocol_options": {options.removeprefix("type.googleapis.com/"): {
                "@type": options, **protocol}},
            **more}


def agent_cluster(socket):
    protocol = {"explicit_http_config": {"http2_protocol_options": {
        "connection_keepalive": {"interval": "10s", "timeout": "5s"}}}}
    return _cluster("agent", {"pipe": {"path": str(socket)}}, protocol)


def _sds_config(delta):
    return {"resource_api_version": "V3", "initial_fetch_timeout": "30s", "api_config_source": {
        "api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3", "grpc_services": [
            {"envoy_grpc": {"cluster_name": "agent", "retry_policy": {
                "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}}}]}}


def _certificate(secrets):
    if not secrets.on_demand:
        return {"tls_certificate_sds_secret_configs": [
            {"name": secrets.certificate, "sds_config": _sds_config(secrets.delta)}]}
    tls = TYPE + "extensions.transport_sockets.tls."
    mapper = {"name": "envoy.tls.certificate_mappers.static_name", "typed_config": {
        "@type": tls + "cert_mappers.static_name.v3.StaticName", "name": secrets.certificate}}
    return {"custom_tls_certificate_selector": {
        "name": "envoy.tls.certificate_selectors.on_demand_secret", "typed_config": {
            "@type": tls + "cert_selectors.on_demand_secret.v3.Config",
            "config_source": _sds_config(secrets.delta), "certificate_mapper": mapper}}}


def _common_tls(peer_id, secrets):
    """Our own certificate; the peer must chain to the agent's roots and, if told so, be exactly `peer_id`."""
    peer = {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer_id}}]}
    return {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            **_certificate(secrets),
            "combined_validation_context": {
                "default_validation_context": peer if secrets.names_peer else {},
                "validation_context_sds_secret_config": {
                    "name": secrets.trust, "sds_config": _sds_config(secrets.delta)}}}


def _listener(prefix, cluster, headers, **chain):
    """Every answer tells in its headers what the TLS layer saw of the peer."""
    manager = {"@type": TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
               "stat_prefix": prefix, "http_filters": [ROUTER],
               "route_config": {"virtual_hosts": [{
                   "name": prefix, "domains": ["*"],
                   "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}],
                   "response_headers_to_add": [{"header": {"key": key, "value": value}}
                                               for key, value in headers.items()]}}
    return {"name": prefix, "address": _tcp(0), "filter_chains": [{
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}], **chain}]}


def _bootstrap(name, listener, clusters, secrets):
    return {"node": {"id": name, "cluster": name, "metadata": secrets.metadata}, "admin": {"address": _tcp(0)},
            "static_resources": {"listeners": [listener], "clusters": clusters}}


def server_config(agent_socket, client_id, app_port, secrets):
    tls = {"@type": TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
           "require_client_certificate": True, "disable_stateless_session_resumption": True,
           "disable_stateful_session_resumption": True, "common_tls_context": _common_tls(client_id, secrets)}
    listener = _listener("server", "app",
                         {"x-client-id": "%DOWNSTREAM_PEER_URI_SAN%", "x-client-serial": "%DOWNSTREAM_PEER_SERIAL%"},
                         transport_socket={"name": "envoy.transport_sockets.tls", "typed_config": tls})
    app = _cluster("app", _tcp(app_port), {"explicit_http_config": {"http_protocol_options": {}}})
    return _bootstrap("server", listener, [app, agent_cluster(agent_socket)], secrets)


def client_config(agent_socket, server_id, server_port, requests_per_connection, secrets):
    tls = {"@type": TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
           "max_session_keys": 0, "common_tls_context": _common_tls(server_id, secrets)}
    # Few requests on each connection: handshakes, and so certificates in use, never pause.
    protocol = {"explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"max_requests_per_connection": requests_per_connection}}
    listener = _listener("client", "web",
                         {"x-server-id": "%UPSTREAM_PEER_URI_SAN%", "x-tls": "%UPSTREAM_TLS_VERSION%"})
    web = _cluster("web", _tcp(server_port), protocol,
                   transport_socket={"name": "envoy.transport_sockets.tls", "typed_config": tls})
    return _bootstrap("client", listener, [web, agent_cluster(agent_socket)], secrets)


class Envoy:
    """One Envoy; listener and admin ports are chosen by the kernel and asked back."""

    def __init__(self, path, folder, config, uid=None):
        self.name = config["node"]["id"]
        folder = pathlib.Path(folder)
        config_file = folder / f"{self.name}.json"
        config_file.write_text(json.dumps(config, indent=2))
        config_file.chmod(0o644)
        self.admin_file = folder / f"{self.name}.admin"
        self.admin_file.write_text("")
        self.admin_file.chmod(0o666)  # Envoy, another user, writes the address here
        argv = [path, "-c", config_file, "--admin-address-path", self.admin_file, "--concurrency", "1",
                "--disable-hot-restart", "--log-level", "warning"]
        self.process = Process(self.name, argv, folder / f"{self.name}.log", uid)

    def admin(self, path):
        """An answer of the admin interface, or "" while there is none."""
        address = self.admin_file.read_text().strip()
        if not address:
            return ""
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as reply:
                return reply.read().decode()
        except OSError:
            return ""

    def wait_ready(self, seconds=20):
        """Ready means that it holds its certificates: it waits for its secrets before that."""
        def ready():
            if not self.process.running():
                raise RuntimeError(f"Envoy {self.name} ended:\n{self.process.tail()}")
            return self.admin("/ready").startswith("LIVE")
        wait_until(f"Envoy {self.name}", ready, seconds)
        return self

    def port(self):
        listeners = json.loads(self.admin("/listeners?format=json"))
        return listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]

    def counter(self, name):
        """A statistic, by its whole name."""
        for line in self.admin(f"/stats?filter=^{name}$").splitlines():
            return int(line.rpartition(": ")[2])
        return 0

    def stop(self):
        return self.process.stop(5)


class MutualTls:
    """client Envoy (plain HTTP in) -> mutual TLS -> server Envoy -> app. Both have the agent at `agent_socket`, but
    for the client if it is given one of its own."""

    def __init__(self, envoys, folder, agent_socket, app_port, web_id, client_id, *, uids=(None, None),
                 expected_web=None, expected_client=None, requests_per_connection=5, client_socket=None,
                 server_secrets=Secrets(), client_secrets=Secrets()):
        server_binary, client_binary = envoys
        self.parts = []
        server = server_config(agent_socket, expected_client or client_id, app_port, server_secrets)
        self.server = self._run(Envoy(server_binary, folder, server, uids[0]))
        client = client_config(client_socket or agent_socket, expected_web or web_id, self.server.port(),
                               requests_per_connection, client_secrets)
        self.client = self._run(Envoy(client_binary, folder, client, uids[1]))

    def _run(self, envoy):
        self.parts.append(envoy)
        try:
            return envoy.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for envoy in reversed(self.parts):
            envoy.stop()
