"""X509-SVID, the agent as an issuer: what it serves, as another library and OpenSSL's command read it."""
import queue
import subprocess

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

import pki
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from spiffe_api import certificates, fetch, uri_sans


@pytest.fixture(scope="module")
def served(agent):
    return fetch(agent.address, "FetchX509SVID").svids


@pytest.fixture(scope="module")
def leaf(served):
    return certificates(served[0].x509_svid)[0]


@pytest.fixture(scope="module")
def root(served):
    return certificates(served[0].bundle)[0]


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def usages(certificate):
    usage = extension(certificate, x509.KeyUsage).value
    # encipher_only and decipher_only may only be asked with key_agreement.
    return {name for name in pki.USAGES[:7] if getattr(usage, name)}


def test_ID_16_the_root_has_the_id_of_its_trust_domain(root):
    assert uri_sans(root) == [f"spiffe://{TRUST_DOMAIN}"]


def sds_names(address, name):
    """The names of the secrets that Envoy's API gives who asks for `name`."""
    types = grpc.protos("proto/envoy/discovery.proto")
    _, sds = grpc.protos_and_services("proto/envoy/sds.proto")
    secrets = grpc.protos("proto/envoy/tls.proto")
    asked = types.DiscoveryRequest(
        resource_names=[name], type_url="type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret")
    requests = queue.Queue()  # never ends: the stream would end with it
    requests.put(asked)
    with grpc.insecure_channel(address) as channel:
        answer = next(sds.SecretDiscoveryServiceStub(channel).StreamSecrets(iter(requests.get, None), timeout=10))
        requests.put(None)
        return [secrets.Secret.FromString(resource.value).name for resource in answer.resources]


def test_ID_10_an_id_of_2048_bytes_survives_from_configuration_to_api(serve, us):
    longest = spiffe_id("a" * (2048 - len(spiffe_id(""))))
    assert len(longest) == 2048
    agent = serve([identity(longest.removeprefix(spiffe_id("")), us)])

    svid = fetch(agent.address, "FetchX509SVID").svids[0]

    assert svid.spiffe_id == longest
    assert uri_sans(certificates(svid.x509_svid)[0]) == [longest]
    assert [one["spiffe_id"] for one in agent.json("fetch", "x509")["svids"]] == [longest]
    assert sds_names(agent.address, longest) == [longest]


def test_X509_01_the_one_uri_san_is_the_spiffe_id(served):
    assert [uri_sans(certificates(svid.x509_svid)[0]) for svid in served] == [[spiffe_id("web")], [spiffe_id("db")]]


def test_X509_04_the_id_has_a_path(leaf):
    assert uri_sans(leaf)[0].removeprefix(f"spiffe://{TRUST_DOMAIN}") == "/web"


def test_X509_05_the_san_is_critical_where_the_subject_is_empty(leaf):
    assert leaf.subject == x509.Name([])
    assert extension(leaf, x509.SubjectAlternativeName).critical


def test_X509_06_the_root_is_an_svid_itself(root):
    assert uri_sans(root) == [f"spiffe://{TRUST_DOMAIN}"]


def start_with(make_agent, us, folder, authority):
    """An agent whose CA is `authority`, not yet started."""
    for name, content in (("ca.pem", pki.pem(authority.certificate)), ("ca.key", pki.key_pem(authority.key))):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    files = {"certificate_file": str(folder / "ca.pem"), "key_file": str(folder / "ca.key")}
    return make_agent([identity("web", us)], ca={"local": files})


def test_X509_07_a_ca_whose_id_has_a_path_is_refused_at_the_start(make_agent, us, folder):
    agent = start_with(make_agent, us, folder, pki.Authority("ca", f"spiffe://{TRUST_DOMAIN}/ca"))

    process = agent.launch()

    assert process.popen.wait(15) == 1
    assert f"spiffe://{TRUST_DOMAIN}/ca" in process.output()


def test_X509_08_the_roots_id_is_in_the_trust_domain_of_its_leaves(root, leaf):
    assert uri_sans(leaf)[0].startswith(uri_sans(root)[0] + "/")


def test_X509_08_a_ca_of_another_trust_domain_is_refused_at_the_start(make_agent, us, folder):
    agent = start_with(make_agent, us, folder, pki.Authority("ca", "spiffe://other.example"))

    process = agent.launch()

    assert process.popen.wait(15) == 1
    assert "spiffe://other.example" in process.output()


def test_X509_10_the_root_may_sign_certificates(root):
    constraints = extension(root, x509.BasicConstraints)

    assert constraints.critical and constraints.value.ca
    assert usages(root) == {"key_cert_sign", "crl_sign"}


def test_X509_11_a_leaf_says_that_it_is_no_ca(leaf):
    constraints = extension(leaf, x509.BasicConstraints)

    assert constraints.critical and not constraints.value.ca


def test_X509_13_key_usage_is_critical_on_leaf_and_root(leaf, root):
    assert extension(leaf, x509.KeyUsage).critical
    assert extension(root, x509.KeyUsage).critical


def test_X509_14_a_leaf_is_for_digital_signatures(leaf):
    assert "digital_signature" in usages(leaf)


def test_X509_15_a_leaf_may_sign_neither_certificates_nor_crls(leaf):
    assert usages(leaf) == {"digital_signature"}


def test_X509_16_a_leaf_is_for_servers_and_clients(leaf):
    assert set(extension(leaf, x509.ExtendedKeyUsage).value) == {ExtendedKeyUsageOID.SERVER_AUTH,
                                                                 ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_X509_18_openssl_accepts_what_is_served(served, folder, purpose):
    (folder / "leaf.pem").write_bytes(pki.pem(*certificates(served[0].x509_svid)))
    (folder / "roots.pem").write_bytes(pki.pem(*certificates(served[0].bundle)))

    done = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-no-CApath", "-no-CAstore",
                           "-CAfile", folder / "roots.pem", folder / "leaf.pem"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
