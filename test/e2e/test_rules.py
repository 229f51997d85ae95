"""Rules tried without an agent, and taken over from a SPIRE server."""
import json

import pytest

from kit.agent import identity

CONFIG = """trust_domain: dev.local
ca:
  local: {}
identities:
  - id: /web
    match: ["unix:uid:1000"]
  - id: /user/{unix:user}
    match: ["unix:user:*"]
"""

ENTRIES = {"entries": [
    {"id": "1", "spiffe_id": {"trust_domain": "dev.local", "path": "/web"},
     "selectors": [{"type": "unix", "value": "uid:1000"}], "x509_svid_ttl": 600, "expires_at": "0"},
    {"id": "2", "spiffe_id": {"trust_domain": "dev.local", "path": "/node"},
     "selectors": [{"type": "k8s_psat", "value": "cluster:demo"}]}]}


@pytest.fixture
def run(make_agent, own_uid):
    """CLI commands with no agent behind them."""
    return make_agent([identity("web", own_uid)]).command


@pytest.fixture
def config(folder):
    file = folder / "rules.yaml"
    file.write_text(CONFIG)
    return file


def test_a_caller_is_tried_against_every_rule(run, config):
    done = run("rules", "test", config, "--selector", "unix:uid:1", "--selector", "unix:user:ann")

    assert done.returncode == 0
    assert "MISS   wants unix:uid:1000, found unix:uid:1" in done.stdout
    assert "MATCH  spiffe://dev.local/user/ann" in done.stdout


def test_a_caller_without_identity_ends_with_4(run, config):
    done = run("rules", "test", config, "--selector", "unix:user:../root", "-o", "json")

    assert done.returncode == 4
    rules = json.loads(done.stdout)["rules"]
    assert [rule["granted"] for rule in rules] == [None, None]
    assert "no segment of a SPIFFE ID" in rules[1]["miss"]


@pytest.mark.parametrize("arguments", [[], ["--selector", "unix:udi:1"], ["--selector", "web"]])
def test_rules_are_not_tried_with_nothing(run, config, arguments):
    done = run("rules", "test", config, *arguments)

    assert done.returncode == 2
    assert done.stderr


def test_entries_of_spire_become_identities(run, folder):
    file = folder / "entries.json"
    file.write_text(json.dumps(ENTRIES))

    done = run("rules", "import", file)

    assert done.returncode == 1, "one entry is no workload's"
    assert 'left out: entry 2 (spiffe://dev.local/node)' in done.stderr
    imported = folder / "imported.yaml"
    imported.write_text("trust_domain: dev.local\nca:\n  local: {}\n" + done.stdout)
    assert run("validate", "-c", imported).returncode == 0
    tried = run("rules", "test", imported, "--selector", "unix:uid:1000")
    assert "MATCH  spiffe://dev.local/web" in tried.stdout


def test_what_is_no_list_of_entries_is_refused(run, folder):
    file = folder / "entries.json"
    file.write_text("Found 1 entry\n")

    done = run("rules", "import", file)

    assert done.returncode == 1
    assert str(file) in done.stderr and not done.stdout
