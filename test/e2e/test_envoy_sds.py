"""What SDS offers besides the plain pair of default and ROOTCA, with real Envoys."""
import pathlib

import pytest

from conftest import CLIENT, WEB
from kit import load
from kit.agent import spiffe_id
from kit.certificates import FileCa
from kit.envoy import Secrets
from kit.process import wait_until

DELTA = Secrets(delta=True)
FORMS = {"spiffe": "custom_validator_config", "trusted_ca": "trusted_ca"}


def both(secrets):
    return {"server_secrets": secrets, "client_secrets": secrets}


def peers(**matcher):
    return {"peers": [{"uri": matcher}]}


def status(pair):
    return load.get(pair.client.port()).status


def trust_of(envoy):
    """The kinds of validation context that an Envoy holds."""
    dump = envoy.admin("/config_dump?resource=dynamic_active_secrets")
    return {kind for kind, field in FORMS.items() if f'"{field}"' in dump}


def wait_logged(agent, text):
    wait_until(f"the agent to log {text!r}", lambda: text in agent.process.output())


def test_no_request_fails_while_certificates_rotate_by_delta(make_mesh):
    agent, pair = make_mesh(**both(DELTA))
    before = agent.serials()

    with load.Load(pair.client.port()) as requests:
        wait_until("some requests", lambda: requests.made > 50)
        rotated = agent.rotate()
        wait_until("requests with the new certificate", lambda: len(requests.client_serials) == 2)

    assert requests.failures == []
    assert all(one["streams_current"] == one["streams"] > 0 for one in rotated["rotations"])
    assert not set(before.values()) & set(agent.serials().values())


def test_a_delta_client_gets_after_a_restart_what_has_changed_and_no_more(make_mesh):
    agent, pair = make_mesh(**both(DELTA))
    updates = {name: pair.client.counter(f"sds.{name}.update_success") for name in ("default", "ROOTCA")}

    with load.Load(pair.client.port()) as requests:
        agent.kill()
        agent.start()
        wait_until("new certificates at both sides",
                   lambda: pair.client.counter("sds.default.update_success") > updates["default"]
                   and len(requests.client_serials) == 2, seconds=20)

    assert requests.failures == []
    assert pair.client.counter("sds.ROOTCA.update_success") == updates["ROOTCA"]


@pytest.mark.parametrize("configured, asked, expected", [
    ("spiffe", None, "spiffe"), ("trusted_ca", None, "trusted_ca"),
    ("spiffe", True, "trusted_ca"), ("trusted_ca", False, "spiffe")])
def test_peers_are_checked_as_configured_or_as_the_node_asks(make_mesh, configured, asked, expected):
    metadata = {} if asked is None else {"disable_spiffe_cert_validation": asked}
    _, pair = make_mesh(sections={"sds": {"validation": configured}}, **both(Secrets(metadata=metadata)))

    assert status(pair) == 200
    assert trust_of(pair.client) == trust_of(pair.server) == {expected}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("matcher", [{"exact": CLIENT}, {"prefix": spiffe_id("")}, {"suffix": "/client"}])
def test_a_peer_that_the_agent_allows_is_accepted(make_mesh, form, matcher):
    _, pair = make_mesh(sections={"sds": {"validation": form}}, web=peers(**matcher),
                        **both(Secrets(names_peer=False)))

    assert status(pair) == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", ["server", "client"])
def test_a_peer_that_the_agent_does_not_allow_is_refused(make_mesh, form, side):
    entries = {"web": peers(exact=spiffe_id("other"))} if side == "server" else {
        "client": peers(suffix="/other")}
    _, pair = make_mesh(sections={"sds": {"validation": form}}, **entries, **both(Secrets(names_peer=False)))

    assert status(pair) == 503
    failed = {"server": lambda: pair.server.counter("listener.127.0.0.1_0.ssl.fail_verify_san"),
              "client": lambda: pair.client.counter("cluster.web.ssl.fail_verify_san")}
    assert failed[side]() > 0


@pytest.mark.parametrize("delta", [False, True])
def test_a_secret_that_envoy_rejects_is_sent_again_only_when_it_changes(make_mesh, delta):
    # A certificate where Envoy expects roots.
    agent, pair = make_mesh(client_secrets=Secrets(trust="default", delta=delta))
    logged = "secrets rejected by client"
    wait_logged(agent, logged)

    for _ in range(3):
        agent.command("rotate", "--all", "--wait", "200ms")

    wait_until("each change to be rejected", lambda: agent.process.output().count(logged) == 4)
    assert pair.client.counter("sds.default.update_rejected") == 4
    assert status(pair) == 503
    assert agent.process.output().count(logged) == 4


def test_a_certificate_on_demand_is_fetched_by_the_handshake_that_needs_it(make_mesh):
    agent, pair = make_mesh(server_secrets=Secrets(certificate=WEB, delta=True, on_demand=True))

    with load.Load(pair.client.port()) as requests:
        wait_until("some requests", lambda: requests.made > 50)
        agent.rotate()
        wait_until("more requests", lambda: requests.made > 150)

    assert requests.failures == []


def test_a_handshake_for_an_unknown_certificate_fails_at_once(make_mesh):
    agent, pair = make_mesh(server_secrets=Secrets(certificate=spiffe_id("nobody"), delta=True, on_demand=True))

    assert status(pair) == 503
    wait_logged(agent, "secret not served")


def test_a_certificate_out_of_files_is_served_and_replaced_without_a_failed_request(make_mesh, folder):
    certificates = folder / "certificates"
    certificates.mkdir(mode=0o755)
    ca = FileCa(certificates)
    ca.issue(CLIENT)
    pair_name = f"file-cert:{certificates}/tls.crt~{certificates}/tls.key"
    granted = {"files": [str(certificates)]}
    agent, pair = make_mesh(web=granted, client=granted,
                            server_secrets=Secrets(trust=f"file-root:{certificates}/ca.crt"),
                            client_secrets=Secrets(certificate=pair_name))

    with load.Load(pair.client.port()) as requests:
        wait_until("some requests", lambda: requests.made > 50)
        serial = ca.issue(CLIENT)
        wait_until("requests with the new certificate",
                   lambda: any(serial in (one or "") for one in requests.client_serials), seconds=20)

    assert requests.failures == []
    assert "secret file unusable" not in agent.process.output()


def test_the_roots_of_the_operating_system_are_a_context_that_envoy_takes(make_mesh):
    if not any(pathlib.Path(path).exists() for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem",
                                                         "/etc/pki/tls/certs/ca-bundle.crt")):
        pytest.skip("no roots on this system")
    _, pair = make_mesh(client_secrets=Secrets(trust="file-root:system"))

    assert status(pair) == 503  # the web's roots are not the agent's
    assert pair.client.counter("sds.file-root_system.update_success") == 1
    assert pair.client.counter("cluster.web.ssl.fail_verify_error") > 0
