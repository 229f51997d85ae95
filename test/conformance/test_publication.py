"""SPIFFE Federation, the publisher: the agent's bundle endpoint as anybody on the network sees it."""
import http.client
import json
import ssl
import subprocess

import pytest
from cryptography import x509

from kit import federation
from kit.agent import TRUST_DOMAIN, identity
from kit.process import wait_until
from spiffe_api import certificates, fetch

ENDPOINT = f"spiffe://{TRUST_DOMAIN}/endpoint"


class Published:
    """A running agent's endpoint; the client shows no certificate."""

    def __init__(self, agent, port):
        self.agent = agent
        self.port = port
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def ask(self, method="GET", path="/"):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer, answer.read()

    def document(self):
        answer, body = wait_until("the bundle", lambda: (got := self.ask())[0].status == 200 and got)
        return json.loads(body)

    def certificate(self):
        return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", self.port)).encode())


@pytest.fixture
def publish(make_agent, us):
    """publish(**fields): an agent with such a bundle endpoint."""
    def start(**fields):
        port = federation.free_port()
        agent = make_agent([identity("web", us)], bundle_endpoint={"listen": f"127.0.0.1:{port}", **fields}).start()
        return Published(agent, port)
    return start


@pytest.fixture
def by_spiffe(publish):
    return publish(profile="https_spiffe", spiffe_id="/endpoint")


@pytest.fixture
def by_web(publish, folder):
    certificate, key = federation.web_certificate(folder)
    published = publish(profile="https_web", certificate_file=str(certificate), key_file=str(key))
    published.tls = ssl.create_default_context(cafile=certificate)
    published.tls.check_hostname = False  # asked by address
    return published


@pytest.mark.parametrize("profile", ["by_web", "by_spiffe"])
def test_FED_20_anybody_gets_the_bundle_as_json(request, profile):
    published = request.getfixturevalue(profile)
    keys = published.document()["keys"]

    answer, body = published.ask()

    assert answer.headers["Content-Type"] == "application/json"
    json.loads(body.decode("utf-8"))
    held = certificates(fetch(published.agent.address, "FetchX509Bundles").bundles[f"spiffe://{TRUST_DOMAIN}"])
    roots = [x509.load_der_x509_certificate(federation.decode(key["x5c"][0])) for key in keys
             if key["use"] == "x509-svid"]
    assert roots == held


def test_FED_20_the_certificate_of_https_spiffe_is_an_x509_svid(by_spiffe):
    by_spiffe.document()

    names = by_spiffe.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ENDPOINT]


def test_FED_20_the_certificate_of_https_web_names_the_host(by_web):
    names = by_web.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


@pytest.mark.parametrize(("method", "path", "status"),
                         [("GET", "/other", 404), ("POST", "/", 405), ("DELETE", "/", 405), ("HEAD", "/", 200)])
def test_FED_20_only_the_one_path_is_there_to_be_read(by_spiffe, method, path, status):
    by_spiffe.document()

    answer, body = by_spiffe.ask(method, path)

    assert answer.status == status
    assert b"keys" not in body


@pytest.mark.parametrize(("version", "served"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_FED_20_tls_is_1_2_or_later(by_spiffe, version, served):
    by_spiffe.document()

    shaken = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{by_spiffe.port}", version,
                             "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)

    assert (shaken.returncode == 0) == served


def test_BN_02_a_sequence_grows_with_the_content_and_only_then(by_web):
    agent = by_web.agent
    first = by_web.document()

    agent.stop()
    agent.start()
    same = by_web.document()
    agent.stop()
    (agent.state / "local-ca.pem").unlink()
    agent.start()
    changed = by_web.document()

    assert same == first
    assert changed["keys"] != first["keys"]
    assert changed["spiffe_sequence"] > first["spiffe_sequence"]
