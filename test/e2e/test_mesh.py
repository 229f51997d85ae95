"""PeerAuthentication on one node, with real Envoys: what the tutorial of Istio does with pods."""
import json
import re
import socket
import subprocess

import pytest

from conftest import CLIENT_UID, WEB_UID
from kit.envoy import Envoy
from kit.mesh import HOST, Mesh, curl, destination_rule, peer_authentication
from kit.process import wait_until
from kit.setting import needs_root

HUNG_UP = [(56, "000"), (52, "000")]
OK = (0, "200")


@pytest.fixture
def mesh(request, make_agent, envoys, selectors, folder, app):
    """mesh(**options): a Mesh, no Envoy of which runs before apply()."""
    meshes = []

    def make(**options):
        meshes.append(Mesh(make_agent, envoys, selectors, (WEB_UID, CLIENT_UID), folder, app.port, **options))
        request.node.logs += [(name, folder / f"{name}.log") for name in ("web", "client")]
        return meshes[-1]

    yield make
    for one in meshes:
        one.stop()


def for_mesh(mode):
    return peer_authentication("default", "istio-system", mode)


def for_namespace(mode):
    return peer_authentication("default", "shop", mode)


def for_web(mode, **more):
    return peer_authentication("web", "shop", mode, app="web", **more)


def test_without_a_policy_plaintext_and_mutual_tls_are_both_served(mesh):
    net = mesh().apply()

    assert net.plaintext() == OK
    assert net.through_the_mesh() == OK
    assert (net.connections("plaintext"), net.connections("mtls")) == (1, 1)


def test_strict_refuses_plaintext_and_clients_without_a_certificate(mesh):
    net = mesh().apply(for_mesh("STRICT"))

    assert net.plaintext() in HUNG_UP
    code, status = curl(f"https://127.0.0.1:{net.port}/", "--insecure")
    assert code != 0 and status == "000"
    assert net.through_the_mesh() == OK
    assert net.connections("mtls") >= 1


def test_disable_serves_plaintext_and_clients_of_the_mesh_follow(mesh):
    net = mesh().apply(for_mesh("STRICT"), for_web("DISABLE"))

    assert net.plaintext() == OK
    assert net.through_the_mesh() == OK
    assert net.connections("plaintext") == 2


def test_one_port_is_permissive_while_the_other_is_strict(mesh):
    net = mesh()
    net.apply(for_web("STRICT", ports={net.other: "PERMISSIVE"}))

    assert net.plaintext(net.port) in HUNG_UP
    assert net.plaintext(net.other) == OK


def test_namespace_goes_over_mesh_workload_over_namespace_and_back_when_they_are_deleted(mesh):
    net = mesh()

    net.apply(for_mesh("STRICT"), for_namespace("PERMISSIVE"))
    assert net.plaintext() == OK
    net.apply(for_mesh("STRICT"), for_namespace("PERMISSIVE"), for_web("STRICT"))
    assert net.plaintext() in HUNG_UP
    net.apply(for_mesh("STRICT"), for_namespace("PERMISSIVE"))
    assert net.plaintext() == OK
    net.apply(for_mesh("STRICT"))
    assert net.plaintext() in HUNG_UP
    net.apply()
    assert net.plaintext() == OK


def test_a_server_with_another_identity_is_refused(mesh):
    net = mesh(account="/ns/shop/sa/other").apply(for_mesh("STRICT"))

    assert net.through_the_mesh() == (0, "503")
    assert net.client.counter(f"cluster.outbound_80_{HOST.replace('.', '[.]')}.ssl.fail_verify_san") > 0


def test_istio_mutual_is_mutual_tls_though_nothing_says_that_the_endpoint_has_a_proxy(mesh):
    net = mesh()
    client = net.agent.home / "agent.yaml"
    config = json.loads(client.read_text())
    config["mesh"]["workloads"][1]["services"][0]["endpoints"][0]["proxy"] = False
    client.write_text(json.dumps(config))

    net.apply(for_mesh("STRICT"))
    assert net.through_the_mesh() == (0, "503")
    net.apply(for_mesh("STRICT"), destination_rule(mode="ISTIO_MUTUAL"))
    assert net.through_the_mesh() == OK
    net.apply(for_mesh("STRICT"), destination_rule(mode="DISABLE"))
    assert net.through_the_mesh() == (0, "503")


def test_what_a_rule_says_of_a_port_goes_before_what_it_says_of_all(mesh):
    net = mesh()

    net.apply(for_mesh("STRICT"), destination_rule(mode="ISTIO_MUTUAL", ports={80: {"mode": "DISABLE"}}))
    assert net.through_the_mesh() == (0, "503")
    net.apply(for_mesh("STRICT"), destination_rule(mode="DISABLE", ports={80: {"mode": "ISTIO_MUTUAL"}}))
    assert net.through_the_mesh() == OK
    net.apply(for_mesh("STRICT"), destination_rule(ports={81: {"mode": "DISABLE"}}))
    assert net.through_the_mesh() == OK


def test_auto_mtls_reaches_endpoints_with_and_without_a_proxy(mesh, app):
    net = mesh()
    file = net.agent.home / "agent.yaml"
    config = json.loads(file.read_text())
    config["mesh"]["workloads"][1]["services"][0]["endpoints"].append({"address": f"127.0.0.1:{app.port}"})
    file.write_text(json.dumps(config))
    net.apply(for_mesh("STRICT"))

    assert [net.through_the_mesh() for _ in range(8)] == [OK] * 8
    # In turn: half of the eight went past web's Envoy.
    assert net.running[0].counter(f"http.inbound_{net.port}_mtls_http.downstream_rq_total") == 4


def test_explain_says_which_policy_decides_and_which_has_no_effect(mesh):
    net = mesh()
    net.apply(for_mesh("STRICT"), peer_authentication("web", "istio-system", "DISABLE", app="web"),
              for_web(None, ports={net.other: "PERMISSIVE"}))

    rows = [line.split(maxsplit=3) for line in net.command("mesh", "explain", "web").stdout.splitlines()]

    assert rows[1][:3] == ["web", str(net.port), "STRICT"] and "istio-system/default" in rows[1][3]
    assert rows[2][:3] == ["web", str(net.other), "PERMISSIVE"] and "its entry for the port" in rows[2][3]
    assert rows[3][:2] == ["ignored:", "istio-system/web"]


def test_explain_of_a_port_tells_every_policy_that_was_considered(mesh):
    net = mesh()
    net.write(for_mesh("STRICT"), for_web(None, ports={net.other: "PERMISSIVE"}),
              peer_authentication("web2", "shop", "DISABLE", app="web"))

    told = net.command("mesh", "explain", "web", str(net.other)).stdout.splitlines()
    wrong = net.command("mesh", "explain", "web", "9")

    assert told[0] == f"web:{net.other} is PERMISSIVE, decided by shop/web (policy.yaml:3), its entry for the port"
    assert [line.split(maxsplit=2) for line in told[3:7]] == [
        ["mesh", "STRICT", "istio-system/default (policy.yaml:1)"], ["namespace", "inherits", "-"],
        ["workload", "inherits", "shop/web (policy.yaml:3)"], ["port", "PERMISSIVE", "shop/web (policy.yaml:3)"]]
    assert told[7:] == ["ignored: shop/web2 (policy.yaml:5): shop/web is as old and comes first by name"]
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"workload web has no port 9; it has {net.port}, {net.other}" in wrong.stderr
    assert net.command("mesh", "explain", "web", "0").returncode == 2


def tables(text):
    """The tables of `mesh status`, as lists of rows of cells, the first of each its head."""
    return [[re.split(" {2,}", line) for line in table.splitlines()] for table in text.split("\n\n")]


def status(net):
    """({port: cells after the port}, [cells of the sources])."""
    text = net.command("mesh", "status").stdout
    ports, *sources = tables(text)
    named = [row for row in sources[0][1:] if len(row) > 1] if sources else []
    return {int(row[1]): row[2:] for row in ports if row[0] == "web"}, named


def source_of(net, port=None):
    """Waits until some source is told: Envoy reports once a second."""
    port = str(port or net.port)
    return wait_until("a source", lambda: [row for row in status(net)[1] if row[1] == port])


def test_status_tells_whether_a_port_may_go_strict(mesh):
    net = mesh().apply(for_namespace("PERMISSIVE"))

    mode, origin, mutual, plaintext, verdict = status(net)[0][net.port]
    assert (mode, origin, mutual, plaintext) == ("PERMISSIVE", "shop/default (policy.yaml:1)", "0", "0")
    assert re.fullmatch(r"nothing seen yet in \d+s, cannot tell", verdict)

    assert net.through_the_mesh() == OK
    mode, origin, mutual, plaintext, verdict = status(net)[0][net.port]
    assert (mutual, plaintext) == ("1 (100%)", "0 (0%)")
    assert re.fullmatch(r"safe to go STRICT: 1 of 1 connections in \d+s by mutual TLS", verdict)

    assert net.plaintext() == OK
    assert status(net)[0][net.port][2:4] == ["1 (50%)", "1 (50%)"]
    assert source_of(net)[0][:4] == ["web", str(net.port), "127.0.0.1", "1"]
    assert re.fullmatch(r"not safe: plaintext from 127.0.0.1, last \d+s ago, 0 open now", status(net)[0][net.port][4])
    net.stop()
    assert status(net)[0][net.port][4].startswith("cannot tell: ask Envoy's admin interface")


def test_status_names_who_speaks_plaintext_whatever_headers_say(mesh):
    net = mesh().apply(live=True)

    for _ in range(3):
        assert net.plaintext(net.port, "--header", "x-forwarded-for: 10.9.9.9", "--interface", "127.0.0.3") == OK
    assert net.plaintext() == OK

    rows = wait_until("both", lambda: [row for row in status(net)[1] if len(status(net)[1]) == 2])
    assert sorted(row[:4] for row in rows) == [["web", str(net.port), "127.0.0.1", "1"],
                                               ["web", str(net.port), "127.0.0.3", "3"]]
    verdict = status(net)[0][net.port][4]
    assert verdict.startswith("not safe: plaintext from 127.0.0.1 and 127.0.0.3, last ")


def test_status_names_who_holds_a_connection_open_and_who_has_tls_of_its_own(mesh):
    net = mesh(other_protocol="tcp").apply()

    with socket.create_connection(("127.0.0.1", net.other), source_address=("127.0.0.4", 0)) as held:
        held.sendall(b"GET / HTTP/1.1\r\n")
        row, = source_of(net, net.other)
        assert row[2:4] == ["127.0.0.4", "1"]
        assert re.fullmatch(r"not safe: plaintext from 127.0.0.4, last \d+s ago", status(net)[0][net.other][4])
    assert curl(f"https://127.0.0.1:{net.other}/", "--insecure")[0] != 0

    wait_until("TLS", lambda: "127.0.0.1 (TLS of its own)" in [row[2] for row in status(net)[1]])
    # Its end is told as well, and is no second time.
    assert [row[3] for row in status(net)[1] if row[2] == "127.0.0.4"] == ["1"]


def test_status_without_the_agent_tells_the_counts_and_names_nobody(mesh):
    net = mesh().apply()
    assert net.plaintext() == OK
    net.agent.kill()

    ports, named = status(net)

    assert ports[net.port][4] == "not safe: plaintext from an unknown source, 0 open now" and not named
    assert "who speaks plaintext is not known: connect to" in net.command("mesh", "status").stdout


def test_a_policy_that_is_wrong_is_refused_with_its_place(mesh):
    net = mesh()
    (net.policy / "policy.yaml").write_text(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: a, namespace: b }\n"
        "spec: { mtls: { mode: STRIKT }, selektor: {} }\n")

    done = net.command("envoy", "bootstrap", "--workload", "web")

    assert done.returncode == 78 and done.stdout == ""
    file = net.policy / "policy.yaml"
    assert done.stderr.splitlines() == [
        f'{file}:4:23: spec.mtls.mode: must be UNSET, DISABLE, PERMISSIVE or STRICT, got "STRIKT"',
        f'{file}:4:33: spec: unknown key "selektor" (did you mean "selector"?)']


@pytest.mark.parametrize("mode", ["DISABLE", "PERMISSIVE", "STRICT"])
def test_envoy_takes_every_kind_of_port_and_service(make_agent, envoys, folder, mode):
    protocols = ("http", "http2", "tcp", "auto")
    policy = folder / "policy"
    policy.mkdir()
    manifests = [peer_authentication("default", "istio-system", mode)]
    services = []
    for number, tls in enumerate((None, {"mode": "SIMPLE"}, {"mode": "ISTIO_MUTUAL"}, {"mode": "DISABLE"},
                                  {"mode": "MUTUAL", "clientCertificate": "/a/tls.crt", "privateKey": "/a/tls.key"})):
        host = f"a{number}.shop"
        services += [{"host": host, "port": 80 + kind, "listen": f"127.0.0.1:{9000 + 10 * number + kind}",
                      "protocol": protocol, "service_accounts": ["/a"],
                      "endpoints": [{"address": "127.0.0.1:1", "proxy": True}, {"address": "127.0.0.1:2"}]}
                     for kind, protocol in enumerate(protocols[:3])]
        if tls:
            rule = destination_rule(**tls)
            rule["metadata"]["name"] = rule["spec"]["host"] = host
            manifests.append(rule)
    (policy / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    workload = {"name": "web", "namespace": "shop", "identity": "/web", "admin": str(folder / "admin.sock"),
                "ports": [{"port": 8080 + n, "app": "127.0.0.1:7000", "protocol": p} for n, p in enumerate(protocols)],
                "services": services}
    agent = make_agent([{"id": "/web", "match": ["unix:uid:1"]}],
                       mesh={"policy": str(policy), "trust_domain_aliases": ["old.local"], "workloads": [workload]})
    done = agent.command("envoy", "bootstrap", "--workload", "web", "-c", agent.home / "agent.yaml")
    assert done.returncode == 0, done.stderr
    file = folder / "web.json"
    file.write_text(done.stdout)

    checked = subprocess.run([envoys[0], "--mode", "validate", "-c", file], capture_output=True, text=True, timeout=60,
                             check=False)

    assert checked.returncode == 0, checked.stderr


def test_a_policy_changes_without_a_restart_and_a_wrong_one_changes_nothing(mesh):
    net = mesh().apply(for_mesh("PERMISSIVE"), live=True)
    assert net.plaintext() == OK
    assert net.through_the_mesh() == OK

    net.write(for_mesh("STRICT"))
    wait_until("STRICT", lambda: net.plaintext() in HUNG_UP)
    assert net.through_the_mesh() == OK

    net.write(for_mesh("PERMISIVE"))
    wait_until("the refusal", lambda: "mesh policy unusable" in net.agent.process.output())
    assert net.plaintext() in HUNG_UP
    assert net.through_the_mesh() == OK

    net.write(for_mesh("STRICT"), for_web(None, ports={net.port: "DISABLE"}))
    wait_until("DISABLE", lambda: net.plaintext() == OK)
    wait_until("the client to follow", lambda: net.through_the_mesh() == OK)
    assert all(envoy.process.running() for envoy in net.running)


def test_live_envoys_keep_their_policy_while_the_agent_restarts(mesh):
    net = mesh().apply(for_mesh("STRICT"), live=True)
    # The agent had begun before there was a policy.
    wait_until("STRICT", lambda: net.plaintext() in HUNG_UP)

    net.agent.kill()
    assert net.plaintext() in HUNG_UP
    assert net.through_the_mesh() == OK
    net.write(for_mesh("PERMISSIVE"))
    net.agent.start()

    wait_until("PERMISSIVE", lambda: net.plaintext() == OK, seconds=45)


@needs_root
def test_an_envoy_gets_no_workload_but_its_own(mesh):
    net = mesh()
    net.write(for_mesh("STRICT"))
    impostor = Envoy(net.envoys[1], net.folder, net.bootstrap("web", live=True), CLIENT_UID)

    try:
        wait_until("the refusal", lambda: "node.id names no workload" in net.agent.process.output())
        assert "inbound" not in impostor.admin("/listeners")
    finally:
        impostor.stop()
