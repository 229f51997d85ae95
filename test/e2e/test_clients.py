"""The SPIFFE Workload API as other people's clients see it."""
import subprocess

import pytest

from conftest import CLIENT_UID, NOBODY_UID, WEB_UID, needs_root
from kit.agent import identity, spiffe_id


@pytest.fixture
def agent(make_agent, own_uid):
    return make_agent([identity("web", own_uid)]).start()


@pytest.mark.parametrize("mode", ["watch", "source"])
def test_fetches_sees_a_rotation_and_comes_back_after_a_restart(client_argv, start_client, agent, mode):
    client = start_client(client_argv(agent.address, mode))

    first = client.wait_update()
    assert (first["spiffe_id"], first["svids"], first["roots"]) == (spiffe_id("web"), 1, 1)

    agent.rotate()
    second = client.wait_update(other_than=first["serial"])
    assert second["spiffe_id"] == spiffe_id("web")

    assert agent.stop() == 0
    agent.start()
    third = client.wait_update(other_than=second["serial"])
    assert third["spiffe_id"] == spiffe_id("web")
    assert client.process.running()


def test_comes_back_after_the_agent_was_killed(client_argv, start_client, agent):
    client = start_client(client_argv(agent.address, "source"))
    first = client.wait_update()

    agent.kill()
    agent.start()

    assert client.wait_update(other_than=first["serial"])["spiffe_id"] == spiffe_id("web")


def test_fetches_and_validates_tokens_and_comes_back_after_a_restart(client_argv, start_client, agent):
    client = start_client(client_argv(agent.address, "tokens"))
    first = client.wait_update(by="token")

    assert agent.stop() == 0
    agent.start()
    second = client.wait_update(other_than=first["token"], by="token")

    for update in (first, second):
        assert update["spiffe_id"] == update["here"] == update["there"] == spiffe_id("web")
        assert "invalidargument" in update["refusal"].lower().replace("_", "")


@needs_root
def test_two_users_get_two_identities_and_a_third_none(make_agent):
    agent = make_agent([identity("web", f"unix:uid:{WEB_UID}"), identity("client", f"unix:uid:{CLIENT_UID}")]).start()

    web = agent.command("fetch", "x509", uid=WEB_UID)
    client = agent.command("fetch", "x509", uid=CLIENT_UID)
    nobody = agent.command("fetch", "x509", uid=NOBODY_UID)

    assert web.returncode == 0 and spiffe_id("web") in web.stdout and spiffe_id("client") not in web.stdout
    assert client.returncode == 0 and spiffe_id("client") in client.stdout and spiffe_id("web") not in client.stdout
    assert nobody.returncode == 4
    assert nobody.stdout == ""


def test_written_files_hold_a_chain_that_openssl_accepts(agent, folder):
    out = folder / "files"
    out.mkdir()

    done = agent.command("fetch", "x509", "--write", out)

    assert done.returncode == 0, done.stderr
    assert (out / "svid.0.key").stat().st_mode & 0o777 == 0o600
    verified = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver",
                               "-CAfile", out / "bundle.0.pem", out / "svid.0.pem"], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    public = [subprocess.run(["openssl", *args], capture_output=True, text=True, check=True).stdout
              for args in (("x509", "-noout", "-pubkey", "-in", out / "svid.0.pem"),
                           ("pkey", "-pubout", "-in", out / "svid.0.key"))]
    assert public[0] == public[1]
    text = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", out / "svid.0.pem"],
                          capture_output=True, text=True, check=True).stdout
    assert f"URI:{spiffe_id('web')}" in text


@needs_root
def test_a_client_without_an_identity_is_refused_and_nobody_else_is_touched(client_argv, start_client, make_agent,
                                                                            own_uid):
    agent = make_agent([identity("web", own_uid)]).start()
    ours = start_client(client_argv(agent.address, "watch"))
    first = ours.wait_update()

    refused = agent.command("fetch", "x509", uid=NOBODY_UID)
    agent.rotate()

    assert refused.returncode == 4
    ours.wait_update(other_than=first["serial"])
    assert ours.errors() == []
