"""The alerts, by the real promtool."""
import re
import shutil

import pytest
import yaml

from manifests import CHART, ROOT, tool


@pytest.fixture
def alerts(folder):
    """A folder with the alerts and the cases that they are tried with."""
    shutil.copy(CHART / "alerts.yaml", folder)
    shutil.copy(ROOT / "test" / "deploy" / "alert_cases.yaml", folder)
    return folder


def test_the_alerts_are_rules(alerts):
    done = tool("promtool", "check", "rules", "--lint-fatal", alerts / "alerts.yaml")
    assert done.returncode == 0 and "9 rules found" in done.stdout, done.stdout + done.stderr


def test_the_alerts_go_off_when_they_shall_and_not_before(alerts):
    done = tool("promtool", "test", "rules", alerts / "alert_cases.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_does_not_hold_is_noticed(alerts):
    rules = alerts / "alerts.yaml"
    rules.write_text(rules.read_text().replace("0.25 *", "0.75 *"))
    done = tool("promtool", "test", "rules", alerts / "alert_cases.yaml")
    assert done.returncode == 1 and "NodepilotSvidExpiring" in done.stdout + done.stderr


def test_each_alert_has_a_case():
    cases = (ROOT / "test" / "deploy" / "alert_cases.yaml").read_text()
    names = [line.split(":")[1].strip() for line in (CHART / "alerts.yaml").read_text().splitlines()
             if "- alert:" in line]
    assert names and all(f"alertname: {name}" in cases for name in names)


def test_the_alerts_ask_for_metrics_that_there_are():
    """Those that docs/metrics.md tells; end-to-end tests hold it against what the agent serves."""
    told = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.M))
    asked = set(re.findall(r"\bnodepilot_\w+", " ".join(expressions())))
    assert len(asked) >= 9 and asked <= told, asked - told


def expressions():
    return [rule["expr"] for group in yaml.safe_load((CHART / "alerts.yaml").read_text())["groups"]
            for rule in group["rules"]]
