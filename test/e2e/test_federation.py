"""Trust domains that federate: real agents with each other, with go-spiffe, with Envoys, with publishers at fault."""
import json
import re

import pytest

from conftest import ROOT, parts
from kit import clients, federation, load
from kit.agent import identity
from kit.envoy import Secrets
from kit.process import wait_until

POLL = 20  # seconds within which an agent that polls every ten has seen a change


def by_web(trust_domain, url, certificate):
    return {"trust_domain": trust_domain, "url": url, "profile": "https_web", "ca_file": str(certificate)}


def web_endpoint(port, certificate, key):
    return {"listen": f"127.0.0.1:{port}", "profile": "https_web", "certificate_file": str(certificate),
            "key_file": str(key), "refresh_hint": "1s"}


def spiffe_endpoint(port):
    return {"listen": f"127.0.0.1:{port}", "profile": "https_spiffe", "spiffe_id": "/endpoint", "refresh_hint": "1s"}


def own(name, *match, **more):
    """An identity of whatever trust domain the agent has."""
    return {**identity(name, *match, **more), "id": f"/{name}"}


def reconfigure(agent, **sections):
    """Changes sections of the configuration; None removes one."""
    file = agent.home / "agent.yaml"
    config = {**json.loads(file.read_text()), **sections}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def restart(agent):
    assert agent.stop() == 0
    return agent.start()


def new_root(agent):
    """Restarts the agent with another root; returns that."""
    assert agent.stop() == 0
    (agent.state / "local-ca.pem").unlink()
    agent.start()
    return root_of(agent)


def shown(agent, trust_domain, form):
    done = agent.command("bundle", "show", trust_domain, "-o", form)
    return done.stdout if done.returncode == 0 else ""


def root_of(agent):
    trust_domain = json.loads((agent.home / "agent.yaml").read_text())["trust_domain"]
    return federation.der(wait_until("the root", lambda: shown(agent, trust_domain, "pem")))


@pytest.fixture
def open_stream():
    streams = []

    def start(agent):
        streams.append(federation.BundleStream(agent.address))
        return streams[-1]

    yield start
    for stream in streams:
        stream.close()


@pytest.fixture
def make_two(make_agent, folder):
    """make_two(identities of a, of b): agents of a.test and b.test, each of which publishes its bundle and polls the
    other's: a's by https_spiffe, b's by https_web."""
    def make(of_a, of_b):
        certificate, key = federation.web_certificate(folder)
        ports = federation.free_port(), federation.free_port()
        a = make_agent(of_a, "a", trust_domain="a.test", bundle_endpoint=spiffe_endpoint(ports[0]),
                       federation=[by_web("b.test", f"https://localhost:{ports[1]}/", certificate)]).start()
        first = folder / "first.json"
        bundle = json.loads(wait_until("a's bundle", lambda: shown(a, "a.test", "json")))
        first.write_text(json.dumps({**bundle, "spiffe_refresh_hint": 1}))
        b = make_agent(of_b, "b", trust_domain="b.test", bundle_endpoint=web_endpoint(ports[1], certificate, key),
                       federation=[{"trust_domain": "a.test", "url": f"https://127.0.0.1:{ports[0]}/",
                                    "profile": "https_spiffe", "endpoint_spiffe_id": "spiffe://a.test/endpoint",
                                    "bundle_file": str(first)}]).start()
        restart(a)  # b can be reached now
        for agent in (a, b):
            wait_until("a fetched bundle", lambda polls=agent: "federated bundle refreshed" in polls.log.read_text(), POLL)
        return a, b
    return make


@pytest.fixture
def two(make_two, own_uid):
    return make_two([own("web", own_uid, federates_with=["b.test"])],
                    [own("web", own_uid, federates_with=["a.test"])])


def test_two_agents_hand_each_others_roots_to_open_streams(two, open_stream):
    roots = [root_of(agent) for agent in two]
    streams = [open_stream(agent) for agent in two]

    for stream in streams:
        wait_until("both roots", lambda s=stream: all(root in s.newest for root in roots))
        assert b"spiffe://a.test" in stream.newest
        assert b"spiffe://b.test" in stream.newest


def test_another_root_reaches_open_streams_and_the_old_one_leaves_them(two, open_stream):
    a, b = two
    old = root_of(b)
    stream = open_stream(a)
    wait_until("b's root", lambda: old in stream.newest)

    new = new_root(b)

    wait_until("b's new root", lambda: new in stream.newest, POLL)
    assert old not in stream.newest


def test_a_restart_without_the_network_keeps_the_bundle_and_an_ended_federation_loses_it(two, open_stream, own_uid):
    a, b = two
    root = root_of(b)
    assert b.stop() == 0

    restart(a)
    stream = open_stream(a)
    wait_until("b's root", lambda: root in stream.newest)
    assert [file.name for file in (a.state / "federation").iterdir()] == ["b.test.json"]

    a.stop()
    reconfigure(a, federation=None, identities=[own("web", own_uid)])
    a.start()
    assert shown(a, "b.test", "json") == ""
    assert list((a.state / "federation").iterdir()) == []


FAULTS = {
    # name -> (what the log must say, the answer)
    "slow": ("no answer in time", None),
    "html": ("its type is ..text/html", federation.say(b"<!DOCTYPE html><title>Log in</title>", "text/html")),
    "large": ("larger than 1048576 bytes", federation.say(b"{" + b" " * 2_000_000)),
    "junk": ("JSON: malformed", federation.say(b'{"keys": [')),
    "short": ("partial message|end of stream|stream truncated", federation.say(b"{", length=100)),
    "missing": ("status 404", federation.say(b"{}", status=404)),
    "plain": ("must start with https", federation.say(b"", status=302, Location="http://localhost/")),
    "loop": ("redirected more than 5 times", federation.say(b"", status=302, Location="/loop")),
}


def test_a_publisher_at_fault_leaves_its_bundle_and_all_others_as_they_are(make_agent, folder, own_uid):
    certificate, key = federation.web_certificate(folder)
    publisher = federation.Publisher(certificate, key)
    names = [*FAULTS, "older", "good"]
    good = federation.document(certificate.read_text(), 5)
    for name in names:
        publisher.answers[f"/{name}"] = federation.say(good)
    domains = {name: f"{name}.test" for name in names}
    agent = make_agent([own("web", own_uid, federates_with=list(domains.values()))], trust_domain="a.test",
                       federation=[by_web(domain, f"{publisher.url}/{name}", certificate)
                                   for name, domain in domains.items()]).start()
    try:
        held = {name: wait_until(domain, lambda d=domain: shown(agent, d, "pem")) for name, domain in domains.items()}

        publisher.answers["/older"] = federation.say(federation.document(certificate.read_text(), 4))
        for name, (_, answer) in FAULTS.items():
            publisher.answers[f"/{name}"] = answer or (lambda _: publisher.ended.wait(60))
        seen = len(agent.log.read_text())
        restart(agent)  # polls at once

        def lines():
            return agent.log.read_text()[seen:].splitlines()
        for name, said in {**{name: said for name, (said, _) in FAULTS.items()}, "older": "is older than 5"}.items():
            pattern = re.compile(rf'not refreshed.* trust_domain={domains[name]} .*({said})')
            wait_until(f"the fault of {name}", lambda p=pattern: any(map(p.search, lines())), 30)
        assert {name: shown(agent, domain, "pem") for name, domain in domains.items()} == held
        assert any("bundle unchanged" in line and "good.test" in line for line in lines())
        assert agent.command("fetch", "x509").returncode == 0
    finally:
        publisher.stop()


@pytest.fixture
def go_spiffe(start_client):
    """go_spiffe(url, trust domain, file of roots, *endpoint ID): go-spiffe's own federation client, which polls."""
    try:
        argv, version = clients.find("go-spiffe", ROOT)
    except clients.Missing as reason:
        pytest.skip(f"go-spiffe: {reason}")
    parts["go-spiffe"] = f"real ({version})"
    return lambda url, *rest: start_client([*argv(url, "federate"), *rest])


def test_go_spiffe_follows_our_bundle_by_https_spiffe_over_a_rotation_of_the_endpoint(make_agent, go_spiffe, own_uid,
                                                                                      folder):
    port = federation.free_port()
    agent = make_agent([own("web", own_uid)], trust_domain="a.test", bundle_endpoint=spiffe_endpoint(port),
                       ca={"local": {"ttl": "10s"}}).start()
    roots = folder / "roots.pem"
    roots.write_text(wait_until("the root", lambda: shown(agent, "a.test", "pem")))
    serial = wait_until("the endpoint's SVID", lambda: agent.serials().get("spiffe://a.test/endpoint"))

    def client(endpoint_id="spiffe://a.test/endpoint"):
        return go_spiffe(f"https://127.0.0.1:{port}/", "a.test", roots, endpoint_id)
    polling = client()
    update = polling.wait_update(by="sequence")
    assert (update["roots"], update["hint"]) == (1, 1)

    wait_until("another SVID", lambda: agent.serials()["spiffe://a.test/endpoint"] != serial)
    assert client().wait_update(by="sequence") == update
    other = client("spiffe://a.test/web")
    assert "unexpected ID" in wait_until("a refusal", other.errors)[0]
    assert polling.errors() == []


def test_go_spiffe_sees_our_bundle_change_by_https_web(make_agent, go_spiffe, own_uid, folder):
    certificate, key = federation.web_certificate(folder)
    port = federation.free_port()
    agent = make_agent([own("web", own_uid)], trust_domain="a.test",
                       bundle_endpoint=web_endpoint(port, certificate, key)).start()
    client = go_spiffe(f"https://localhost:{port}/", "a.test", certificate)
    first = client.wait_update(by="sequence")

    restart(agent)
    new_root(agent)

    second = client.wait_update(other_than=first["sequence"], by="sequence")
    assert second["sequence"] > first["sequence"]
    assert len(client.updates()) == 2  # the restart alone was no change


def envoy_ids(selectors, of_web, of_client):
    return ([own("web", selectors[0], **of_web)], [own("client", selectors[1], **of_client)])


@pytest.mark.parametrize("server_federates", [True, False])
def test_envoys_of_two_trust_domains_accept_each_other_only_if_both_federate(make_two, make_pair, selectors,
                                                                             server_federates):
    a, b = make_two(*envoy_ids(selectors, {"federates_with": ["b.test"]} if server_federates else {},
                               {"federates_with": ["a.test"]}))
    pair = make_pair(a, web_id="spiffe://a.test/web", client_id="spiffe://b.test/client", client_socket=b.public,
                     server_secrets=Secrets(trust="ALL"), client_secrets=Secrets(trust="ALL"))

    reply = load.get(pair.client.port())

    assert reply.status == (200 if server_federates else 503)
    if server_federates:
        assert reply.headers["x-client-id"] == "spiffe://b.test/client"
        assert reply.headers["x-server-id"] == "spiffe://a.test/web"
    else:
        assert pair.server.counter("listener.127.0.0.1_0.ssl.fail_verify_error") > 0
