"""Every refusal can be explained, by its reference or by the process; an identity can be looked at whole."""
import json
import os
import re
import subprocess

import pytest

from conftest import WEB
from kit.agent import identity

DENIED = 4


@pytest.fixture
def agent(make_agent, own_uid):
    return make_agent([identity("web", own_uid), identity("db", "unix:uid:4242")]).start()


@pytest.fixture
def closed_agent(make_agent):
    """An agent whose one rule lets nobody in who runs here."""
    return make_agent([identity("db", "unix:uid:4242")]).start()


def refused_ref(agent):
    done = agent.command("fetch", "x509")
    assert done.returncode == DENIED, done.stderr
    ref = re.search(r"PERMISSION_DENIED: no identity issued \(ref ([0-9a-f]{6})\)$", done.stderr, re.M)[1]
    assert f"`nodepilot explain {ref}` says why" in done.stderr
    return ref


def test_a_refused_caller_is_told_a_reference_that_explains(closed_agent):
    ref = refused_ref(closed_agent)

    told = closed_agent.command("explain", ref)

    assert told.returncode == DENIED, told.stderr
    assert f"ref        {ref}  FetchX509SVID refused 1 time" in told.stdout
    assert f"wants unix:uid:4242, found unix:uid:{os.geteuid()}" in told.stdout
    assert f"ref={ref}" in closed_agent.log.read_text()


def test_the_proposed_rule_lets_the_process_in(closed_agent, make_agent, tmp_path):
    ref = refused_ref(closed_agent)
    told = closed_agent.command("explain", ref).stdout
    rule = told.partition("in the configuration\n")[2]
    config = tmp_path / "agent.yaml"
    config.write_text("trust_domain: dev.local\nca: { local: {} }\nidentities:\n" + rule)
    assert closed_agent.command("validate", "-c", config).returncode == 0

    told = closed_agent.command("explain", ref, "-o", "json").stdout
    match = json.loads(told)["proposal"]["match"]

    opened = make_agent([identity("new", *match)], home="opened").start()
    assert opened.command("fetch", "x509").returncode == 0


def test_a_process_is_explained_by_its_pid(agent):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        told = agent.command("explain", "--pid", sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()

    assert told.returncode == 0, told.stderr
    assert WEB in told.stdout
    assert "attestor   unix" in told.stdout
    gone = agent.command("explain", "--pid", sleeper.pid)
    assert gone.returncode == 1
    assert str(sleeper.pid) in gone.stderr


def test_an_unknown_reference_says_how_many_are_kept(agent):
    told = agent.command("explain", "ffffff")

    assert told.returncode == 1
    assert 'no refusal "ffffff" is kept; the last 512 are, at most 64 of one uid' in told.stderr


def test_an_identity_is_described_with_chain_rule_and_subscribers(agent):
    assert agent.command("fetch", "x509").returncode == 0

    (described,) = agent.json("describe", WEB)["identities"]

    assert described["spiffe_id"] == WEB
    assert described["rule"] == WEB
    leaf, root = described["chain"]
    assert leaf["uri_sans"] == [WEB]
    assert leaf["issuer"] == root["subject"]
    assert leaf["key"] == "EC P-256"
    assert leaf["serial"] == agent.serials()[WEB]
    assert agent.command("describe", WEB).returncode == 0
    assert agent.command("describe", "spiffe://dev.local/none").returncode == 1


def test_a_directory_that_is_no_procfs_is_refused_at_start(make_agent, own_uid, tmp_path):
    agent = make_agent([identity("web", own_uid)])
    agent.launch(env={**os.environ, "HOST_PROC": str(tmp_path)})

    assert agent.process.popen.wait(10) == 1
    assert "is no procfs" in agent.log.read_text()
