"""The real daemon with an istiod as its CA."""
import os
import time

import pytest

from kit import sealed
from kit.agent import identity, spiffe_id
from kit.istiod import FakeIstiod
from kit.process import wait_until

WEB, DB = "ns/shop/sa/web", "ns/shop/sa/db"


@pytest.fixture
def istiod(request, folder):
    started = FakeIstiod(request.config.getoption("--binary").parent / "test" / "fake_istiod", folder)
    started.trust("first.token")
    yield started
    started.stop()


@pytest.fixture
def token(folder):
    file = folder / "token"
    file.write_text("first.token\n")
    return file


@pytest.fixture
def section(istiod, token):
    return {"addresses": [istiod.address], "token_file": str(token), "root_file": str(istiod.root_file),
            "server_name": "istiod.istio-system.svc", "ask_as": "node_agent"}


@pytest.fixture
def agent(make_agent, section, own_uid):
    """Running; two identities for this process."""
    return make_agent([identity(WEB, own_uid), identity(DB, own_uid)], ca={"istiod": section}).start()


def fetch(agent):
    done = agent.command("fetch", "x509", "-o", "json")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_identities_of_others_are_fetched_and_shown(agent, istiod):
    fetched = fetch(agent)

    assert WEB in fetched and DB in fetched
    assert set(istiod.counts()["signed_for"]) == {f"spiffe://dev.local/{WEB}", f"spiffe://dev.local/{DB}"}
    status = agent.json("status")
    assert status["ca"]["name"] == "istiod"
    assert status["ca"]["last_error"] is None
    assert len(agent.serials()) == 2


def test_a_rotated_token_serves_the_next_certificate(agent, istiod, token):
    fetch(agent)
    istiod.trust("second.token")
    istiod.distrust("first.token")

    token.write_text("second.token")

    assert all(not r["error"] for r in agent.rotate()["rotations"])
    assert istiod.has_seen("second.token")


def test_a_ca_that_is_down_costs_nobody_a_certificate_and_is_found_again(agent, istiod):
    fetch(agent)
    held = agent.serials()
    istiod.fault("down")

    assert agent.command("rotate", "--all", "--wait", "10s").returncode != 0

    assert agent.serials() == held
    fetch(agent)
    assert istiod.address in agent.json("status")["ca"]["last_error"]
    istiod.recover()
    assert all(not r["error"] for r in agent.rotate()["rotations"])
    assert not set(agent.serials().values()) & set(held.values())
    assert agent.json("status")["ca"]["last_error"] is None


def test_an_agent_ends_at_once_while_the_ca_hangs(agent, istiod):
    istiod.fault("hang")
    pending = agent.command("fetch", "x509", "--timeout", "1s")
    assert pending.returncode != 0
    wait_until("a request that hangs", lambda: istiod.counts()["in_flight"] > 0)
    begun = time.monotonic()

    assert agent.stop() == 0

    assert time.monotonic() - begun < 4


def test_the_token_is_in_no_log_and_no_answer(agent, istiod):
    istiod.fault("unauthenticated", 0)
    agent.command("fetch", "x509", "--timeout", "1s")
    wait_until("a refusal", lambda: agent.json("status")["ca"]["last_error"])

    told = agent.command("status", "-o", "json").stdout + agent.process.output()

    assert "UNAUTHENTICATED" in told
    assert "first.token" not in told


def test_a_workload_is_asked_for_with_its_own_token(make_agent, section, istiod, token, own_uid):
    token.write_text("workload.token\n")
    istiod.trust_workload("workload.token", spiffe_id(WEB))

    agent = make_agent([identity(WEB, own_uid)], ca={"istiod": {**section, "ask_as": "workload"}}).start()

    assert WEB in fetch(agent)
    assert istiod.has_seen("workload.token")
    assert not istiod.has_seen("first.token")


def test_a_workload_that_shows_no_token_gets_nothing_and_the_cause_is_told(make_agent, section, istiod, own_uid):
    missing = {**section, "ask_as": "workload", "token_file": "/nonexistent/token"}
    agent = make_agent([identity(WEB, own_uid)], ca={"istiod": missing}).start()

    denied = agent.command("fetch", "x509", "--timeout", "5s")

    assert denied.returncode != 0
    assert "/nonexistent/token" in agent.json("status")["ca"]["last_error"]
    assert istiod.counts()["calls"] == 0


def test_after_kill_9_sealed_state_is_served_at_once_with_the_ca_down(make_agent, section, istiod, folder, own_uid):
    key = folder / "state.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    agent = make_agent([identity(WEB, own_uid), identity(DB, own_uid)], ca={"istiod": section},
                       state={"sealed": {"key_file": str(key)}}).start()
    fetch(agent)
    held = agent.serials()
    wait_until("the state on the disk", lambda: held == {
        one.spiffe_id: one.serial for one in sealed.read_all(agent.state / "sealed", key.read_bytes()).values()})
    agent.kill()
    istiod.fault("down")

    agent.start()

    fetched = fetch(agent)
    assert WEB in fetched and DB in fetched
    assert agent.serials() == held
    istiod.recover()
    assert all(not r["error"] for r in agent.rotate()["rotations"])
