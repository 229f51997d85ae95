"""A real OpenBao as the CA. Only Kubernetes' API server, which one way to log in asks, is played by us."""
import os
import pathlib
import signal
import tempfile
import time

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import ROOT, parts
from kit import federation, openbao, workload
from kit.agent import identity
from kit.certificates import FileCa
from kit.process import wait_until

PAGE = ROOT / "docs" / "vault.md"
TRUST_DOMAIN = "example.org"
SIGN = "pki/sign/nodepilot"


@pytest.fixture(scope="module")
def bao(shared_folder):
    program = openbao.binary()
    if not program:
        parts["openbao"] = "skipped (neither in the Python environment nor on PATH)"
        pytest.skip("no OpenBao")
    program = pathlib.Path(program)
    parts["openbao"] = f"real ({openbao.version(program)})"
    server = openbao.OpenBao(program, pathlib.Path(tempfile.mkdtemp(dir=shared_folder)), PAGE)
    server.follow_page("A mount, a role and a policy")
    server.follow_page("approle")
    server.follow_page("token_file")
    yield server
    server.stop()


@pytest.fixture
def approle(bao):
    return {"approle": {"role_id": (bao.folder / "role-id").read_text().strip(),
                        "secret_id_file": str(bao.folder / "secret-id")}}


@pytest.fixture
def kubernetes(bao, folder):
    token = jwt.encode({"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:nodepilot:nodepilot",
                        "exp": int(time.time()) + 600, "iat": int(time.time()), "kubernetes.io": {
                            "namespace": "nodepilot", "serviceaccount": {"name": "nodepilot", "uid": "1"}}},
                       ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")
    certificate, key = federation.web_certificate(folder)
    reviewer = openbao.TokenReviewer(certificate, key, token, "nodepilot", "nodepilot")
    parts["kubernetes API"] = "fake (it reviews one token)"
    (bao.folder / "kubernetes-ca.pem").write_bytes(certificate.read_bytes())
    bao.follow_page("kubernetes", KUBERNETES_HOST=reviewer.url)
    (folder / "jwt").write_text(token)
    yield {"kubernetes": {"role": "nodepilot", "jwt_file": str(folder / "jwt")}}
    reviewer.stop()
    bao.bao("auth", "disable", "kubernetes")


@pytest.fixture
def cert(bao, folder):
    nodes = FileCa(folder)
    nodes.issue("https://node.example.org", "node")
    (folder / "tls.key").chmod(0o600)
    (bao.folder / "nodes-ca.pem").write_bytes((folder / "ca.crt").read_bytes())
    bao.follow_page("cert")
    yield {"cert": {"certificate_file": str(folder / "tls.crt"), "key_file": str(folder / "tls.key")}}
    bao.bao("auth", "disable", "cert")


@pytest.fixture
def token_file(bao):
    return {"token_file": str(bao.folder / "token")}


@pytest.fixture
def start(make_agent, bao, own_uid):
    """start(auth, life of the SVID, **more of ca.vault): a running agent that has `web` signed by OpenBao."""
    def run(auth, ttl="1h", **more):
        web = {**identity("web", own_uid), "id": "/web", "x509": {"ttl": ttl, "dns_names": ["web.example.org"]}}
        vault = {"address": bao.address, "role": "nodepilot", "ca_file": str(bao.certificate), "auth": auth, **more}
        return make_agent([web], trust_domain=TRUST_DOMAIN, ca={"vault": vault}).start()
    return run


def fetch(agent, folder):
    """What a workload gets, as certificates."""
    done = agent.command("fetch", "x509", "--write", folder)
    assert done.returncode == 0, done.stderr
    return x509.load_pem_x509_certificates((folder / "svid.0.pem").read_bytes())


def serial(agent):
    return agent.serials().get(f"spiffe://{TRUST_DOMAIN}/web")


def rotate(agent):
    return agent.command("rotate", "--all", "--wait", "10s")


@pytest.mark.parametrize("way", ["approle", "kubernetes", "cert", "token_file"])
def test_each_way_to_log_in_gets_an_svid_and_the_next(request, bao, start, folder, way):
    agent = start(request.getfixturevalue(way))

    leaf = fetch(agent, folder)[0]
    first = serial(agent)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    done = rotate(agent)

    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://{TRUST_DOMAIN}/web"]
    assert names.value.get_values_for_type(x509.DNSName) == ["web.example.org"]
    assert done.returncode == 0, done.stderr
    assert serial(agent) not in (None, first)
    assert federation.der(bao.bao("read", "-field=certificate", "pki/cert/ca")) in workload.fetch(agent.address)
    assert agent.json("status")["ca"]["name"] == "vault"


def test_no_secret_gets_into_the_log_of_a_login_that_fails(bao, start, approle, folder):
    secret = folder / "secret-id"
    secret.write_text("0e1b6f0a-wrong-secret-id")
    secret.chmod(0o600)
    approle["approle"]["secret_id_file"] = str(secret)

    agent = start(approle)

    assert agent.command("fetch", "x509", "--timeout", "2s").returncode != 0
    assert "status 400: " in agent.log.read_text()
    assert "0e1b6f0a" not in agent.log.read_text()


def test_a_token_is_renewed_and_at_its_end_replaced_without_a_gap(bao, start, approle):
    role = "auth/approle/role/nodepilot"
    bao.bao("write", role, "token_ttl=4s", "token_max_ttl=9s")
    renewals, logins = bao.asked("auth/token/renew-self"), bao.asked("auth/approle/login")
    try:
        agent = start(approle, ttl="6s")
        assert agent.command("fetch", "x509").returncode == 0
        seen = set()

        def through_two_tokens():
            seen.add(serial(agent))
            return bao.asked("auth/token/renew-self") >= renewals + 2 and bao.asked("auth/approle/login") >= logins + 3
        with workload.channel(agent.address) as opened:
            answers = workload.stream(opened, timeout=60)
            next(answers)
            wait_until("two renewals and three logins", through_two_tokens, 60)
            answers.cancel()
    finally:
        bao.bao("write", role, "token_ttl=1h", "token_max_ttl=24h")

    assert len(seen) >= 4
    assert "svid not issued" not in agent.log.read_text()


@pytest.mark.parametrize("outage", ["sealed", "stopped"])
def test_an_outage_over_a_rotation_leaves_the_old_svid_and_ends_by_itself(bao, start, approle, folder, outage):
    agent = start(approle, ttl="20s")
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened, timeout=120)  # keeps the identity wanted
        next(answers)
        first = serial(agent)
        bao.seal() if outage == "sealed" else bao.stop()
        try:
            wait_until("a rotation to fail", lambda: "svid not issued" in agent.log.read_text(), 20)

            assert serial(agent) == first
            assert fetch(agent, folder)[0].serial_number == int(first, 16)
            if outage == "sealed":
                assert "status 503: sealed or under maintenance" in agent.log.read_text()
        finally:
            bao.unseal() if outage == "sealed" else bao.start()

        wait_until("a new SVID", lambda: serial(agent) not in (None, first), 20)
        answers.cancel()


def test_a_revoked_token_is_replaced_at_once(bao, start, approle):
    agent = start(approle)
    assert agent.command("fetch", "x509").returncode == 0
    logins = bao.asked("auth/approle/login")
    for accessor in bao.bao("list", "-format=json", "auth/token/accessors").strip('[]\n ').replace('"', "").split(","):
        shown = bao.bao("token", "lookup", "-accessor", "-format=json", accessor.strip())
        if "auth/approle/login" in shown:
            bao.bao("token", "revoke", "-accessor", accessor.strip())

    done = rotate(agent)

    assert done.returncode == 0, done.stderr
    assert bao.asked("auth/approle/login") == logins + 1
    assert "svid not issued" not in agent.log.read_text()


def test_a_token_without_the_right_is_told_and_another_in_its_file_heals(bao, start, folder):
    token = folder / "token"
    token.touch(0o600)
    token.write_text(bao.bao("token", "create", "-policy=default", "-field=token"))
    agent = start({"token_file": str(token)})
    assert agent.command("fetch", "x509", "--timeout", "2s").returncode != 0
    assert f'/v1/{SIGN}: status 403: \\"' in agent.log.read_text()

    token.write_text((bao.folder / "token").read_text())

    wait_until("an SVID", lambda: agent.command("fetch", "x509", "--timeout", "5s").returncode == 0, 30)


def test_an_id_that_the_role_does_not_allow_is_refused_in_vaults_words(make_agent, bao, own_uid, token_file):
    agent = make_agent([{**identity("web", own_uid), "id": "/web"}], trust_domain="other.org", ca={"vault": {
        "address": bao.address, "role": "nodepilot", "ca_file": str(bao.certificate), "auth": token_file}}).start()

    assert agent.command("fetch", "x509", "--timeout", "2s").returncode != 0
    assert "status 400: " in agent.log.read_text()
    assert "not valid for this role" in agent.log.read_text()


def test_a_mount_without_its_root_needs_the_root_in_a_file(bao, start, token_file, folder):
    root = folder / "root.pem"
    root.write_text(bao.bao("read", "-field=certificate", "pki/cert/ca"))
    bao.bao("secrets", "enable", "-path=team/pki", "pki")
    try:
        (folder / "i.csr").write_text(bao.bao("write", "-field=csr", "team/pki/intermediate/generate/internal",
                                              "common_name=team", "exclude_cn_from_sans=true", "key_type=ec",
                                              "key_bits=256"))
        (folder / "i.pem").write_text(bao.bao("write", "-field=certificate", "pki/root/sign-intermediate",
                                              f"csr=@{folder / 'i.csr'}", "ttl=24h", "use_csr_values=true"))
        bao.bao("write", "team/pki/intermediate/set-signed", f"certificate=@{folder / 'i.pem'}")
        bao.bao("write", "team/pki/roles/nodepilot", "require_cn=false", "use_csr_sans=false",
                "allowed_uri_sans=spiffe://example.org/*", "allowed_domains=example.org", "allow_subdomains=true",
                "key_type=ec", "key_bits=256", "key_usage=DigitalSignature", "no_store=true")
        bao.bao("policy", "write", "nodepilot-team", str(write_policy(folder)))
        token = folder / "token"
        token.touch(0o600)
        token.write_text(bao.bao("token", "create", "-policy=nodepilot-team", "-field=token"))
        auth = {"token_file": str(token)}

        without = start(auth, mount="team/pki")
        wait_until("the reason", lambda: "ca.vault.trust_bundle_file" in without.log.read_text())
        without.stop()
        (folder / "home").rename(folder / "old")
        with_file = start(auth, mount="team/pki", trust_bundle_file=str(root))
        chain = fetch(with_file, folder)
    finally:
        bao.bao("secrets", "disable", "team/pki")

    assert len(chain) == 2
    assert federation.der(root.read_text()) in workload.fetch(with_file.address)


def write_policy(folder):
    file = folder / "policy.hcl"
    file.write_text('path "team/pki/sign/nodepilot" { capabilities = ["update"] }')
    return file


def test_the_agent_ends_soon_though_openbao_hangs(bao, start, approle):
    agent = start(approle)
    assert agent.command("fetch", "x509").returncode == 0
    os.kill(bao.process.pid, signal.SIGSTOP)
    try:
        agent.command("rotate", "--all", "--wait", "1s")
        begun = time.monotonic()
        code = agent.stop()
        took = time.monotonic() - begun
    finally:
        os.kill(bao.process.pid, signal.SIGCONT)

    assert code == 0
    assert took < 6  # the request would take ten
