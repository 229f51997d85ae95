"""Two workloads of a mesh on one node, `web` and `client`, each with a real Envoy that is started with what
`nodepilot envoy bootstrap` prints."""
import json
import socket
import subprocess

from kit.agent import identity
from kit.envoy import Envoy

NAMESPACE = "shop"
HOST = "web.shop.svc.cluster.local"


def free_ports(count):
    """All held until all are known, so that they are distinct."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def peer_authentication(name, namespace, mode=None, app=None, ports=None):
    spec = {}
    if mode:
        spec["mtls"] = {"mode": mode}
    if app:
        spec["selector"] = {"matchLabels": {"app": app}}
    if ports:
        spec["portLevelMtls"] = {str(port): {"mode": mode} for port, mode in ports.items()}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def destination_rule(ports=None, **tls):
    """`ports`: {port of the service: tls}."""
    policy = {"tls": tls} if tls else {}
    if ports:
        policy["portLevelSettings"] = [{"port": {"number": port}, "tls": one} for port, one in ports.items()]
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {"host": HOST, "trafficPolicy": policy}}


def curl(url, *args):
    """(exit code, HTTP status): (0, "200"), or (56, "000") if the server hangs up."""
    done = subprocess.run(["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
                           "--max-time", "10", *args, url], capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout


class Mesh:
    """`port` and `other` are ports of web; the client's application calls web at `service`."""

    def __init__(self, make_agent, envoys, selectors, uids, folder, app_port, account="/ns/shop/sa/web",
                 endpoints=None, other_protocol="http"):
        self.port, self.other, self.service, *admins = free_ports(5)
        self.envoys, self.uids, self.folder = envoys, uids, folder
        self.policy = folder / "policy"
        self.policy.mkdir()
        web = {"name": "web", "namespace": NAMESPACE, "labels": {"app": "web"}, "identity": "/ns/shop/sa/web",
               "admin": f"127.0.0.1:{admins[0]}",
               "ports": [{"port": port, "listen": "127.0.0.1", "app": f"127.0.0.1:{app_port}", "protocol": protocol}
                         for port, protocol in ((self.port, "http"), (self.other, other_protocol))]}
        proxied = {"address": f"127.0.0.1:{self.port}", "proxy": True, "labels": {"app": "web"}}
        client = {"name": "client", "namespace": NAMESPACE, "identity": "/ns/shop/sa/client",
                  "admin": f"127.0.0.1:{admins[1]}",
                  "services": [{"host": HOST, "port": 80, "listen": f"127.0.0.1:{self.service}", "protocol": "http",
                                "service_accounts": [account], "endpoints": endpoints or [proxied]}]}
        self.agent = make_agent([identity("ns/shop/sa/web", selectors[0]), identity("ns/shop/sa/client", selectors[1])],
                                mesh={"policy": str(self.policy), "workloads": [web, client]}).start()
        self.running = []

    def write(self, *manifests):
        """Makes these the policy, in one step."""
        new = self.policy / "policy.new"
        new.write_text("\n---\n".join(json.dumps(one) for one in manifests))
        new.rename(self.policy / "policy.yaml")

    def apply(self, *manifests, live=False):
        """Makes these the policy, and has both Envoys begin anew with it."""
        self.stop()
        self.write(*manifests)
        for name, binary, uid in zip(("web", "client"), self.envoys, self.uids):
            self.running.append(Envoy(binary, self.folder, self.bootstrap(name, live), uid))
            self.running[-1].wait_ready()
        return self

    def bootstrap(self, name, live=False):
        done = self.command("envoy", "bootstrap", "--workload", name, *(["--live"] if live else []))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def command(self, *args):
        return self.agent.command(*args, "-c", self.agent.home / "agent.yaml")

    def plaintext(self, port=None, *args):
        return curl(f"http://127.0.0.1:{port or self.port}/", *args)

    def through_the_mesh(self):
        return curl(f"http://127.0.0.1:{self.service}/")

    def connections(self, kind, port=None):
        """Of web, so far: "mtls" or "plaintext"."""
        return self.running[0].counter(f"http.inbound_{port or self.port}_{kind}_http.downstream_cx_total")

    @property
    def client(self):
        return self.running[1]

    def stop(self):
        for envoy in reversed(self.running):
            envoy.stop()
        self.running.clear()
