"""SPIFFE Federation, the publisher: our bundle endpoint, as Python's HTTPS client sees it."""
import base64
import http.client
import ipaddress
import json
import socket
import ssl

import jwt
import pytest
from cryptography import x509

import pki
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from kit.federation import free_port
from kit.process import wait_until
from spiffe_api import certificates, fetch, uri_sans

ENDPOINT_ID = spiffe_id("bundle-endpoint")


class Visitor:
    """A client without a certificate of its own. It trusts `ca_file` for the host, or looks at nobody's."""

    def __init__(self, port, ca_file=None):
        self.port = port
        self._tls = ssl.create_default_context(cafile=ca_file) if ca_file else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not ca_file:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def ask(self, method="GET", path="/"):
        """The answer, whose body is read; its `server` is the certificate shown."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self._tls)
        try:
            connection.request(method, path)
            server = connection.sock.getpeercert(binary_form=True)
            answer = connection.getresponse()
            answer.body = answer.read()
            answer.server = x509.load_der_x509_certificate(server)
            return answer
        finally:
            connection.close()

    def document(self):
        return json.loads(self.ask().body)

    def wait(self):
        """Until the bundle is served."""
        def served():
            try:
                return self.ask().status == 200
            except OSError:
                return False
        wait_until("the bundle endpoint", served)
        return self


def spiffe_endpoint(port):
    return {"listen": f"127.0.0.1:{port}", "profile": "https_spiffe", "spiffe_id": "/bundle-endpoint"}


@pytest.fixture(scope="module")
def publishing(serve, us):
    """(agent, visitor) of an endpoint by https_spiffe."""
    port = free_port()
    agent = serve([identity("web", us)], bundle_endpoint=spiffe_endpoint(port))
    return agent, Visitor(port).wait()


@pytest.fixture(scope="module")
def visitor(publishing):
    return publishing[1]


@pytest.fixture(scope="module")
def document(visitor):
    return visitor.document()


def keys(document, use):
    return [key for key in document["keys"] if key.get("use") == use]


def test_FED_20_anybody_gets_the_bundle_as_json(publishing):
    agent, visitor = publishing

    answer = visitor.ask()

    assert answer.status == 200
    assert answer.headers.get_content_type() == "application/json"
    assert json.loads(answer.body.decode("utf-8")) == agent.json("bundle", "show", TRUST_DOMAIN) | {
        name: json.loads(answer.body)[name] for name in ("spiffe_sequence", "spiffe_refresh_hint")}


@pytest.mark.parametrize("path", ["/bundle", "//", "/?", "/../", "/%2e"])
def test_FED_20_another_path_is_not_found(visitor, path):
    answer = visitor.ask(path=path)

    assert answer.status in (400, 404)
    assert b"keys" not in answer.body


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("POST", 405), ("DELETE", 405)])
def test_FED_20_the_bundle_is_there_to_be_read_only(visitor, method, status):
    answer = visitor.ask(method)

    assert answer.status == status
    assert b"keys" not in answer.body


def test_FED_20_by_https_spiffe_the_server_shows_an_x509_svid(publishing):
    agent, visitor = publishing
    [root] = certificates(fetch(agent.address, "FetchX509Bundles").bundles[f"spiffe://{TRUST_DOMAIN}"])

    leaf = visitor.ask().server

    assert uri_sans(leaf) == [ENDPOINT_ID]
    leaf.verify_directly_issued_by(root)


def test_FED_20_by_https_web_the_certificate_names_the_host(make_agent, us, folder):
    authority = pki.Authority("web")
    certificate, key = authority.issue(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    for name, content in (("web.pem", pki.pem(authority.certificate)), ("tls.pem", pki.pem(certificate)),
                          ("tls.key", pki.key_pem(key))):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    port = free_port()
    make_agent([identity("web", us)], bundle_endpoint={
        "listen": f"127.0.0.1:{port}", "profile": "https_web", "certificate_file": str(folder / "tls.pem"),
        "key_file": str(folder / "tls.key")}).start()

    assert Visitor(port, folder / "web.pem").wait().document()["keys"]


def test_FED_20_a_rotation_of_roots_is_served_at_once(make_agent, us, folder):
    port = free_port()
    agent = make_agent([identity("web", us)], bundle_endpoint=spiffe_endpoint(port)).start()
    visitor = Visitor(port).wait()
    before = visitor.document()
    agent.stop()
    (agent.state / "local-ca.pem").unlink()

    agent.start()

    after = visitor.wait().document()
    assert keys(after, "x509-svid") != keys(before, "x509-svid")
    [root] = certificates(fetch(agent.address, "FetchX509Bundles").bundles[f"spiffe://{TRUST_DOMAIN}"])
    assert [base64.b64decode(key["x5c"][0]) for key in keys(after, "x509-svid")] == [pki.der(root)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TLS 1.1 is what must be refused
def test_FED_19_tls_is_that_of_mozilla_intermediate(visitor):
    for version, refused in ((ssl.TLSVersion.TLSv1_1, True), (ssl.TLSVersion.TLSv1_2, False),
                             (ssl.TLSVersion.TLSv1_3, False)):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = tls.maximum_version = version
        try:
            with socket.create_connection(("127.0.0.1", visitor.port), timeout=10) as raw, tls.wrap_socket(raw) as done:
                negotiated = done.version()
        except OSError:
            negotiated = None
        assert (negotiated is None) == refused, version


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"])
def test_FED_19_weaker_ciphers_are_refused(visitor, ciphers):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers(f"{ciphers}:@SECLEVEL=0")

    with socket.create_connection(("127.0.0.1", visitor.port), timeout=10) as raw, pytest.raises(ssl.SSLError):
        tls.wrap_socket(raw)


def test_X509_22_each_root_is_published_as_a_jwk(publishing, document):
    roots = fetch(publishing[0].address, "FetchX509Bundles").bundles[f"spiffe://{TRUST_DOMAIN}"]

    assert b"".join(base64.b64decode(key["x5c"][0]) for key in keys(document, "x509-svid")) == roots


def test_X509_23_no_published_root_has_a_kid(document):
    assert not [key for key in keys(document, "x509-svid") if "kid" in key]


def test_JWT_15_each_published_jwt_key_has_a_kid(document):
    kids = [key["kid"] for key in keys(document, "jwt-svid")]

    assert kids and all(kids) and len(set(kids)) == len(kids)
    assert all(jwt.PyJWK(key, algorithm="ES256") for key in keys(document, "jwt-svid"))


def test_BN_02_the_sequence_stays_while_the_content_does_and_grows_when_it_changes(make_agent, us):
    port = free_port()
    agent = make_agent([identity("web", us)], bundle_endpoint=spiffe_endpoint(port)).start()
    visitor = Visitor(port).wait()
    first = visitor.document()
    agent.rotate()
    assert visitor.document() == first

    agent.stop()
    agent.start()
    assert visitor.wait().document() == first

    agent.stop()
    (agent.state / "local-ca.pem").unlink()
    agent.start()
    assert visitor.wait().document()["spiffe_sequence"] > first["spiffe_sequence"]


def test_BN_04_a_refresh_hint_is_published(make_agent, us, document):
    assert document["spiffe_refresh_hint"] == 300
    port = free_port()
    make_agent([identity("web", us)], bundle_endpoint={**spiffe_endpoint(port), "refresh_hint": "7m"}).start()

    assert Visitor(port).wait().document()["spiffe_refresh_hint"] == 420


def test_FED_01_two_agents_federate_with_each_other(make_agent, us, folder, publishing):
    publisher, visitor = publishing
    first = folder / "first.json"
    first.write_text(json.dumps(publisher.json("bundle", "show", TRUST_DOMAIN)))
    fields = {"trust_domain": TRUST_DOMAIN, "url": f"https://127.0.0.1:{visitor.port}/", "profile": "https_spiffe",
              "endpoint_spiffe_id": ENDPOINT_ID, "bundle_file": str(first)}
    ours = {**identity("web", us, federates_with=[TRUST_DOMAIN]), "id": "spiffe://consumer.example/web"}
    consumer = make_agent([ours], trust_domain="consumer.example", federation=[fields]).start()

    wait_until("the fetch", lambda: "federated bundle refreshed" in consumer.process.output())

    bundles = fetch(consumer.address, "FetchX509SVID").federated_bundles
    assert bundles == {f"spiffe://{TRUST_DOMAIN}":
                       fetch(publisher.address, "FetchX509SVID").svids[0].bundle}
