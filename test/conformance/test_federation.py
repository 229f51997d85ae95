"""SPIFFE Federation, the consumer: the agent against endpoints that are Python's, by what workloads get."""
import ipaddress
import json

import pytest
from cryptography import x509

import pki
from endpoint import Endpoint
from foreign import Foreign
from kit.agent import TRUST_DOMAIN, identity
from kit.process import wait_until
from spiffe_api import Connection, certificates, fetch

DOMAIN = "partner.example"
LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(scope="module")
def partner():
    return Foreign(DOMAIN)


@pytest.fixture(scope="module")
def web_ca():
    """A CA of the Web PKI, as far as these tests go."""
    return pki.Authority("web")


@pytest.fixture
def endpoint(folder, partner, web_ca):
    """endpoint(certificate, key): serves the partner's bundle."""
    running = []

    def start(certificate, key):
        home = folder / f"endpoint{len(running)}"
        home.mkdir()
        running.append(Endpoint(home, certificate, key))
        running[-1].pages["/"] = partner.document()
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def federate(make_agent, us, folder, partner, web_ca):
    """federate(URL, **fields): an agent that federates with the partner, by https_web unless told otherwise."""
    def start(url, **fields):
        (folder / "web.pem").write_bytes(pki.pem(web_ca.certificate))
        fields = fields or {"profile": "https_web", "ca_file": str(folder / "web.pem")}
        return make_agent([identity("web", us, federates_with=[DOMAIN])],
                          federation=[{"trust_domain": DOMAIN, "url": url, **fields}]).start()
    return start


@pytest.fixture
def by_spiffe(folder, partner):
    """The fields of https_spiffe; the first bundle holds the root alone, so that what is fetched differs."""
    file = folder / "first.json"
    file.write_text(json.dumps({"keys": [partner.root()], "spiffe_sequence": 0}))
    return {"profile": "https_spiffe", "endpoint_spiffe_id": partner.id("endpoint"), "bundle_file": str(file)}


def bundles(agent):
    """Trust domain ID -> X.509 roots, as workloads get them."""
    answer = fetch(agent.address, "FetchX509Bundles")
    return {domain: certificates(bundle) for domain, bundle in answer.bundles.items()}


def jwt_keys(agent):
    bundle = fetch(agent.address, "FetchJWTBundles").bundles.get(f"spiffe://{DOMAIN}", b'{"keys": []}')
    return {key["kid"] for key in json.loads(bundle)["keys"]}


def wait_fetched(agent):
    wait_until("the partner's bundle", lambda: jwt_keys(agent))


def wait_refused(agent):
    """Waits for a poll that failed, and returns what the log tells of it."""
    def failed():
        return [line for line in agent.process.output().splitlines() if "federated bundle not refreshed" in line]
    return wait_until("a poll that fails", failed)[-1]


def test_FED_01_by_https_web(endpoint, federate, web_ca, partner):
    agent = federate(endpoint(*web_ca.issue(LOOPBACK)).url)

    wait_fetched(agent)

    assert bundles(agent)[f"spiffe://{DOMAIN}"] == [partner.ca.certificate]


def test_FED_01_by_https_spiffe(endpoint, federate, partner, by_spiffe):
    agent = federate(endpoint(*partner.ca.issue(partner.id("endpoint"))).url, **by_spiffe)

    wait_fetched(agent)

    assert bundles(agent)[f"spiffe://{DOMAIN}"] == [partner.ca.certificate]


def test_FED_02_no_profile_stands_in_for_the_other(endpoint, federate, web_ca, partner, by_spiffe):
    agent = federate(endpoint(*web_ca.issue(LOOPBACK)).url, **by_spiffe)

    wait_refused(agent)

    assert not jwt_keys(agent)


def test_FED_03_a_bundle_comes_under_the_id_of_its_trust_domain(trusting, foreign, third):
    expected = {f"spiffe://{TRUST_DOMAIN}", f"spiffe://{foreign.name}", f"spiffe://{third.name}"}

    assert set(bundles(trusting)) == expected
    assert set(fetch(trusting.address, "FetchX509SVID").federated_bundles) == expected - {f"spiffe://{TRUST_DOMAIN}"}


def test_FED_03_a_caller_that_does_not_federate_gets_no_foreign_bundle(make_agent, us, endpoint, web_ca, folder):
    (folder / "web.pem").write_bytes(pki.pem(web_ca.certificate))
    server = endpoint(*web_ca.issue(LOOPBACK))
    agent = make_agent([identity("web", us)], federation=[{
        "trust_domain": DOMAIN, "url": server.url, "profile": "https_web", "ca_file": str(folder / "web.pem")}]).start()
    wait_until("the fetch", lambda: "federated bundle refreshed" in agent.process.output())

    assert list(bundles(agent)) == [f"spiffe://{TRUST_DOMAIN}"]


def test_WA_15_federated_bundles_are_keyed_by_ids_without_our_own(trusting, foreign, third):
    answer = fetch(trusting.address, "FetchX509SVID")

    assert set(answer.federated_bundles) == {f"spiffe://{foreign.name}", f"spiffe://{third.name}"}


def test_WA_05_a_fetched_bundle_is_an_event(endpoint, federate, web_ca):
    server = endpoint(*web_ca.issue(LOOPBACK))
    server.open.clear()
    agent = federate(server.url)
    with Connection(agent.address) as connection:
        answers = connection.call("FetchX509Bundles", timeout=30)
        assert set(next(answers).bundles) == {f"spiffe://{TRUST_DOMAIN}"}

        server.open.set()

        assert set(next(answers).bundles) == {f"spiffe://{TRUST_DOMAIN}", f"spiffe://{DOMAIN}"}


def test_FED_04_a_foreign_root_gets_into_no_other_bundle(trusting, foreign, third):
    held = bundles(trusting)

    assert held[f"spiffe://{foreign.name}"] == [foreign.ca.certificate]
    assert held[f"spiffe://{third.name}"] == [third.ca.certificate]
    assert not {foreign.ca.certificate, third.ca.certificate} & set(held[f"spiffe://{TRUST_DOMAIN}"])


def test_FED_07_a_restart_goes_on_with_the_bundle_fetched_before(endpoint, federate, web_ca):
    server = endpoint(*web_ca.issue(LOOPBACK))
    agent = federate(server.url)
    wait_fetched(agent)
    agent.stop()
    server.stop()

    agent.start()

    assert jwt_keys(agent)


def test_FED_08_a_bundle_that_the_operator_sets_stands_until_the_first_fetch(trusting, foreign):
    # Nobody answers at its endpoint.
    assert bundles(trusting)[f"spiffe://{foreign.name}"] == [foreign.ca.certificate]


def self_signed():
    own = pki.Authority("127.0.0.1")
    return own.certificate, own.key


WEB_FAULTS = {
    "another_host": lambda web, partner: web.issue(x509.DNSName("other.example")),
    "only_a_uri": lambda web, partner: web.issue(partner.id("endpoint")),
    "another_ca": lambda web, partner: pki.Authority("web").issue(LOOPBACK),
    "self_signed": lambda web, partner: self_signed(),
    "root_of_the_trust_domain": lambda web, partner: partner.ca.issue(LOOPBACK, partner.id("endpoint")),
}


@pytest.mark.parametrize("certified", WEB_FAULTS.values(), ids=WEB_FAULTS)
def test_FED_11_a_server_that_the_web_pki_does_not_vouch_for_is_refused(endpoint, federate, web_ca, partner, certified):
    server = endpoint(*certified(web_ca, partner))
    agent = federate(server.url)

    wait_refused(agent)

    assert server.asked == []
    assert not jwt_keys(agent)


def test_FED_13_a_redirect_to_an_endpoint_is_followed(endpoint, federate, web_ca):
    target, server = (endpoint(*web_ca.issue(LOOPBACK)) for _ in range(2))
    server.pages["/"] = target.url
    agent = federate(server.url)

    wait_fetched(agent)

    assert target.asked == ["/"]


@pytest.mark.parametrize("scheme", ["http://127.0.0.1", "https://user@127.0.0.1"])
def test_FED_13_a_redirect_to_what_is_no_endpoint_url_is_refused(endpoint, federate, web_ca, scheme):
    target, server = (endpoint(*web_ca.issue(LOOPBACK)) for _ in range(2))
    server.pages["/"] = f"{scheme}:{target.port}/"
    agent = federate(server.url)

    wait_refused(agent)

    assert target.asked == []


def test_FED_13_the_target_of_a_redirect_is_checked_alike(endpoint, federate, web_ca):
    target = endpoint(*pki.Authority("web").issue(LOOPBACK))
    server = endpoint(*web_ca.issue(LOOPBACK))
    server.pages["/"] = target.url
    agent = federate(server.url)

    wait_refused(agent)

    assert target.asked == []


def test_FED_13_a_loop_of_redirects_comes_to_an_end(endpoint, federate, web_ca):
    server = endpoint(*web_ca.issue(LOOPBACK))
    server.pages["/"] = "/again"
    server.pages["/again"] = server.url
    agent = federate(server.url)

    wait_refused(agent)

    assert len(server.asked) < 20


def test_FED_14_the_next_refresh_starts_at_the_configured_url(endpoint, federate, web_ca, partner):
    server = endpoint(*web_ca.issue(LOOPBACK))
    server.pages = {"/": "/moved", "/moved": partner.document(spiffe_refresh_hint=1)}  # 301, "permanently"
    agent = federate(server.url)
    wait_fetched(agent)

    # 10 s is the shortest interval.
    wait_until("the second refresh", lambda: len(server.asked) >= 4, seconds=20)

    assert server.asked == ["/", "/moved"] * 2


def test_FED_16_the_first_bundle_may_be_pem(endpoint, federate, partner, by_spiffe, folder):
    (folder / "first.pem").write_bytes(pki.pem(partner.ca.certificate))
    agent = federate(endpoint(*partner.ca.issue(partner.id("endpoint"))).url,
                     **{**by_spiffe, "bundle_file": str(folder / "first.pem")})

    wait_fetched(agent)


def test_FED_17_the_host_plays_no_part(endpoint, federate, partner, by_spiffe):
    certificate, key = partner.ca.issue(partner.id("endpoint"))  # no name but the ID
    agent = federate(endpoint(certificate, key).url, **by_spiffe)

    wait_fetched(agent)


@pytest.mark.parametrize("name", ["other", "endpoint/", "Endpoint", "endpoint/x"])
def test_FED_17_another_id_of_the_same_trust_domain_is_refused(endpoint, federate, partner, by_spiffe, name):
    server = endpoint(*partner.ca.issue(partner.id(name), LOOPBACK))
    agent = federate(server.url, **by_spiffe)

    wait_refused(agent)

    assert server.asked == []


def test_FED_17_the_right_id_from_another_ca_is_refused(endpoint, federate, partner, by_spiffe):
    server = endpoint(*pki.Authority("root").issue(partner.id("endpoint")))
    agent = federate(server.url, **by_spiffe)

    wait_refused(agent)

    assert server.asked == []


def test_FED_17_the_target_of_a_redirect_with_another_id_is_refused(endpoint, federate, partner, by_spiffe):
    target = endpoint(*partner.ca.issue(partner.id("other")))
    server = endpoint(*partner.ca.issue(partner.id("endpoint")))
    server.pages["/"] = target.url
    agent = federate(server.url, **by_spiffe)

    wait_refused(agent)

    assert target.asked == []


@pytest.mark.parametrize("shows_its_ca", [False, True], ids=["leaf", "ca"])
def test_X509_09_an_endpoint_that_shows_a_signing_certificate_is_refused(endpoint, federate, partner, by_spiffe, folder,
                                                                         shows_its_ca):
    ca = pki.Authority("ca", partner.id("endpoint"))
    (folder / "first.pem").write_bytes(pki.pem(ca.certificate))
    server = endpoint(*((ca.certificate, ca.key) if shows_its_ca else ca.issue(partner.id("endpoint"))))
    agent = federate(server.url, **{**by_spiffe, "bundle_file": str(folder / "first.pem")})

    wait_refused(agent) if shows_its_ca else wait_fetched(agent)

    assert server.asked == ([] if shows_its_ca else ["/"])


def test_FED_18_after_the_first_fetch_only_the_latest_bundle_counts(endpoint, federate, partner, by_spiffe):
    old, new = partner.ca, pki.Authority("new root", f"spiffe://{DOMAIN}")
    server = endpoint(*old.issue(partner.id("endpoint")))

    def serve(sequence, *authorities):
        document = partner.document(spiffe_sequence=sequence)
        roots = []
        for authority in authorities:
            partner.ca = authority
            roots.append(partner.root())
        partner.ca = old
        document["keys"] = roots + document["keys"][1:]
        server.pages["/"] = document

    def roots(agent):
        return bundles(agent)[f"spiffe://{DOMAIN}"]

    serve(1, old, new)
    agent = federate(server.url, **by_spiffe)
    wait_until("both roots", lambda: roots(agent) == [old.certificate, new.certificate])

    server.show(*new.issue(partner.id("endpoint")))
    serve(2, new)
    agent.stop()
    agent.start()
    wait_until("the new root alone", lambda: roots(agent) == [new.certificate])

    server.show(*old.issue(partner.id("endpoint")))  # the file of the first start still has its root
    asked = len(server.asked)
    agent.stop()
    agent.start()
    wait_refused(agent)
    assert len(server.asked) == asked
    assert roots(agent) == [new.certificate]


def test_FED_21_a_federation_that_is_ended_is_withdrawn(endpoint, federate, web_ca):
    server = endpoint(*web_ca.issue(LOOPBACK))
    agent = federate(server.url)
    wait_fetched(agent)
    agent.stop()
    asked = len(server.asked)
    config = agent.home / "agent.yaml"
    rest = json.loads(config.read_text())
    rest["federation"] = []
    del rest["identities"][0]["federates_with"]
    config.write_text(json.dumps(rest))

    agent.start()

    assert list(bundles(agent)) == [f"spiffe://{TRUST_DOMAIN}"]
    assert list(agent.state.glob("federation/*")) == []
    assert len(server.asked) == asked


def test_FED_21_each_fetch_is_logged(endpoint, federate, web_ca):
    server = endpoint(*web_ca.issue(LOOPBACK))
    agent = federate(server.url)
    wait_fetched(agent)

    line = wait_until("the log line", lambda: [one for one in agent.process.output().splitlines()
                                               if "federated bundle refreshed" in one])[0]

    assert DOMAIN in line and server.url in line
