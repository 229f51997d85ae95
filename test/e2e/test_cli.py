"""The command line: configuration mistakes with their place, and exit codes that scripts can use."""
import json
import re

import pytest

from conftest import ROOT
from kit.agent import identity, spiffe_id

CONFIG = """trust_domain: dev.local
ca:
  local: {}
identities:
  - id: spiffe://dev.local/web
    match: ["unix:uid:1000"]
"""

MISTAKES = {
    "an unknown key": (CONFIG.replace("trust_domain", "trust_domian", 1), 1, "trust_domian"),
    "a repeated key": (CONFIG + "trust_domain: other\n", 7, "trust_domain"),
    "a foreign trust domain": (CONFIG.replace("spiffe://dev.local", "spiffe://other"), 5, "other"),
    "no selector": (CONFIG.replace('["unix:uid:1000"]', "[]"), 6, "match"),
    "a bad selector": (CONFIG.replace("unix:uid:1000", "unix"), 6, "unix"),
    "a bad share": (CONFIG + "rotation:\n  at: 1.5\n", 8, "1.5"),
    "a bad duration": (CONFIG + "    x509:\n      ttl: soon\n", 8, "soon"),
    "no YAML": (CONFIG + "log: {level: info\n", None, ""),
}


@pytest.fixture
def run(make_agent, own_uid):
    """CLI commands with no agent behind them."""
    return make_agent([identity("web", own_uid)]).command


@pytest.mark.parametrize("text, line, word", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_wrong_configuration_is_refused_with_its_place(run, folder, command, text, line, word):
    config = folder / "bad.yaml"
    config.write_text(text)

    done = run(command, "-c", config)

    assert done.returncode == 78
    told = re.findall(rf"{re.escape(str(config))}:(\d+):\d+: (.+)", done.stdout + done.stderr)
    assert any(line in (None, int(place)) and word in message for place, message in told), told


def test_every_mistake_is_told_at_once(run, folder):
    config = folder / "bad.yaml"
    config.write_text(CONFIG.replace("trust_domain", "trust_domian", 1) + "rotation:\n  at: 1.5\n")

    done = run("validate", "-c", config)

    assert f"{config}:1:1: " in done.stdout + done.stderr
    assert f"{config}:8:7: " in done.stdout + done.stderr


def test_a_right_configuration_is_valid(run, folder):
    config = folder / "good.yaml"
    config.write_text(CONFIG)

    assert run("validate", "-c", config).returncode == 0


def test_the_packaged_configuration_is_valid(run):
    done = run("validate", "-c", ROOT / "systemd" / "agent.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("args", [[], ["stauts"], ["fetch"], ["rotate"], ["status", "--no-such-flag"]],
                         ids=lambda args: " ".join(args) or "nothing")
def test_wrong_usage_ends_with_2(run, args):
    done = run(*args)

    assert done.returncode == 2
    assert done.stderr


def test_help_ends_with_0(run):
    done = run("--help")

    assert done.returncode == 0
    assert "run" in done.stdout


@pytest.mark.parametrize("args", [["status"], ["rotate", "--all"], ["fetch", "x509"]], ids=" ".join)
def test_an_agent_that_is_not_there_ends_with_3(run, args):
    done = run(*args)

    assert done.returncode == 3
    assert ".sock" in done.stderr


def test_rotating_what_does_not_exist_ends_with_1_and_names_it(make_agent, own_uid):
    agent = make_agent([identity("web", own_uid)]).start()

    done = agent.command("rotate", spiffe_id("nobody"))

    assert done.returncode == 1
    assert spiffe_id("nobody") in done.stdout + done.stderr


def test_status_tells_who_holds_what(make_agent, own_uid):
    agent = make_agent([identity("web", own_uid), identity("idle", "unix:uid:4294967294")]).start()
    assert agent.command("fetch", "x509").returncode == 0

    table = agent.command("status")
    status = agent.json("status")

    assert table.returncode == 0
    assert spiffe_id("web") in table.stdout
    assert status["trust_domain"] == "dev.local"
    assert {one["spiffe_id"] for one in status["identities"]} == {spiffe_id("web"), spiffe_id("idle")}
    assert list(agent.serials()) == [spiffe_id("web")]


def test_bundles_are_shown_and_compared(make_agent, own_uid, folder):
    agent = make_agent([identity("web", own_uid)]).start()
    same, other = folder / "same.json", folder / "other.pem"

    shown = agent.command("bundle", "show", "dev.local", "-o", "json")
    same.write_text(shown.stdout)
    other.write_text(agent.command("bundle", "show", "-o", "pem").stdout)

    assert [key["use"] for key in json.loads(shown.stdout)["keys"]].count("x509-svid") == 1
    assert "x509 root" in agent.command("bundle", "show").stdout
    assert agent.command("bundle", "diff", "dev.local", same).returncode == 0
    assert agent.command("bundle", "diff", same, same).stdout == ""
    assert agent.command("bundle", "diff", other, same).stdout.count("x509 root") == 0
    assert agent.command("bundle", "show", "other").returncode == 1
    assert "bundle show" in agent.command("bundle", "show", "other").stderr
    assert agent.command("bundle", "diff", "dev.local").returncode == 2
