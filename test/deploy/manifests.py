"""What the chart and the overlays make, by the real helm and kubectl; and what to look at in it."""
import json
import subprocess

import yaml

from kit.setting import ROOT

TOOLS = ROOT / ".cache" / "deploy"
CHART = ROOT / "deploy" / "helm" / "nodepilot"
OVERLAYS = ROOT / "deploy" / "kustomize" / "overlays"
MODES = ["embedded", "istiod", "vault"]

# What each mode needs to be told, as the overlays have it.
VALUES = {
    "embedded": {"trustDomain": "example.org", "ca": {"mode": "embedded"}},
    "istiod": {"trustDomain": "cluster.local", "ca": {"mode": "istiod"}},
    "vault": {"trustDomain": "example.org", "ca": {"mode": "vault", "vault": {
        "address": "https://vault.example.org:8200", "caConfigMap": "vault-ca"}}},
}


def merged(*many):
    """Of mappings in mappings; the later counts."""
    result = {}
    for values in many:
        for key, value in values.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def tool(name, *words, given=None):
    return subprocess.run([TOOLS / "bin" / name, *words], input=given, capture_output=True, text=True, timeout=60)


def helm(verb, values, *words):
    """`helm VERB` with exactly these values besides the chart's own."""
    name = [] if verb == "lint" else ["nodepilot"]
    return tool("helm", verb, *name, CHART, "--namespace", "nodepilot", "--values", "-", *words,
                given=json.dumps(values))


def objects(done):
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def chart(mode, values=None, *words):
    return objects(helm("template", merged(VALUES[mode], values or {}), *words))


def overlay(mode):
    return objects(tool("kubectl", "kustomize", OVERLAYS / mode))


def of_kind(manifests, kind):
    """The one object of that kind."""
    [found] = [each for each in manifests if each["kind"] == kind]
    return found


def pod_of(manifests):
    return of_kind(manifests, "DaemonSet")["spec"]["template"]["spec"]


def agent_of(manifests):
    [agent] = pod_of(manifests)["containers"]
    return agent


def configuration(manifests):
    return of_kind(manifests, "ConfigMap")["data"]["agent.yaml"]


def sources(manifests):
    """What is projected into the pod's credentials: path -> its source."""
    [volume] = [each for each in pod_of(manifests)["volumes"] if "projected" in each]
    found = {}
    for source in volume["projected"]["sources"]:
        [(kind, what)] = source.items()
        for item in what.get("items", [what]):
            found[item["path"]] = {"kind": kind, **what}
    return found


def schema_errors(manifests):
    done = subprocess.run(["node", ROOT / "test/deploy/schema.js", TOOLS], input=json.dumps(manifests),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    return done.stdout.splitlines()
