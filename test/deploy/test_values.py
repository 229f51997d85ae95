"""What the chart refuses, and whether one learns from it what to do."""
import json

import pytest

from manifests import CHART, MODES, VALUES, helm, merged

REFUSED = {
    "no trust domain": ("trustDomain is missing", {"ca": {"mode": "embedded"}}),
    "nobody who signs": ("ca.mode is missing: who signs the certificates?", {"trustDomain": "example.org"}),
    "an unknown mode": ("'/ca/mode': value must be one of 'embedded', 'istiod', 'vault'", {"ca": {"mode": "spire"}}),
    "no address of vault": ("ca.vault.address is missing",
                            {"trustDomain": "example.org", "ca": {"mode": "vault"}}),
    "vault without tls": ("'/ca/vault/address'", {"ca": {"vault": {"address": "http://vault:8200"}}}),
    "an address without a port": ("'/ca/istiod/addresses/0'", {"ca": {"istiod": {"addresses": ["istiod"]}}}),
    "no address of istiod": ("'/ca/istiod/addresses': minItems", {"ca": {"istiod": {"addresses": []}}}),
    "an unknown value": ("'': additional properties 'trustdomain' not allowed", {"trustdomain": "example.org"}),
    "an unknown value below": ("'/kubelet': additional properties 'port' not allowed", {"kubelet": {"port": 10250}}),
    "an unknown section": ("'/config': additional properties 'ca' not allowed", {"config": {"ca": {}}}),
    "an identity for anybody": ("'/identities/0/match': minItems", {"identities": [{"id": "/web", "match": []}]}),
    "an identity without an id": ("missing property 'id'", {"identities": [{"match": ["unix:uid:1"]}]}),
    "another right": ("'/kubelet/right'", {"kubelet": {"right": "nodes"}}),
    "a gap in service": ("'/maxSurge'", {"maxSurge": 0}),
    "a port of the system's": ("'/telemetry/port'", {"telemetry": {"enabled": True, "port": 80}}),
    "metrics that nobody serves": ("--set telemetry.enabled=true", {"podMonitor": {"enabled": True}}),
    "alerts of metrics that nobody serves": ("--set telemetry.enabled=true", {"prometheusRule": {"enabled": True}}),
    "a trust domain that is none": ("'/trustDomain'", {"trustDomain": "spiffe://example.org"}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_value_is_refused_by_its_place(what):
    text, values = REFUSED[what]
    base = {} if "is missing" in text else VALUES["istiod"]
    done = helm("template", merged(base, values))
    assert done.returncode != 0 and text in done.stderr, done.stderr


def test_nothing_is_installed_by_default():
    done = helm("template", {})
    assert done.returncode != 0 and done.stdout == ""


def test_no_object_of_the_schema_takes_unknown_values():
    open_ones = {"rotation", "sds", "limits", "log", "global"}  # the agent's own to check, and Helm's

    def check(schema, name):
        if schema.get("type") == "object" and name not in open_ones:
            assert "additionalProperties" in schema and schema["additionalProperties"] is not True, name
        for key, value in schema.items():
            if isinstance(value, dict):
                check(value, key)

    check(json.loads((CHART / "values.schema.json").read_text()), "values")


def test_every_value_is_in_the_schema_and_of_use():
    """A value that the templates do not name does nothing."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    templates = "".join(each.read_text() for each in (CHART / "templates").rglob("*.*"))
    for name in set(schema["properties"]) - {"global"}:
        assert f".Values.{name}" in templates, name


@pytest.mark.parametrize("mode", MODES)
def test_the_notes_say_what_is_left_to_do(mode):
    done = helm("install", VALUES[mode], "--dry-run=client")
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    told = {"embedded": "WARNING: ca.mode=embedded is for trials",
            "istiod": "CA_TRUSTED_NODE_ACCOUNTS=nodepilot/nodepilot\n",
            "vault": "bound_service_account_names=nodepilot bound_service_account_namespaces=nodepilot audience=vault"}
    assert told[mode] in notes
    assert sum(text in notes for text in told.values()) == 1
