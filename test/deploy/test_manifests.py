"""What must hold whichever way nodepilot is installed, and whoever signs."""
import json
import os
import re
import subprocess

import pytest
import yaml

from manifests import (CHART, MODES, OVERLAYS, ROOT, VALUES, agent_of, chart, configuration, helm, merged, of_kind,
                       overlay, pod_of, schema_errors, sources)

# Every flag that adds or changes an object, and some of what operators ask for.
EVERYTHING = {
    "telemetry": {"enabled": True, "port": 9000, "perIdentity": False},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "kubelet": {"right": "nodes/proxy", "verify": False}, "cgroupV2": False,
    "image": {"repository": "images.example.org/nodepilot", "tag": "1.2.3", "pullSecrets": [{"name": "pull"}]},
    "identities": [{"id": "/web", "match": ["unix:uid:1000", "unix:sha256:" + "0" * 64], "hint": "web",
                    "x509": {"ttl": "1h"}, "peers": [{"uri": {"prefix": "spiffe://example.org/ns/"}}]},
                   {"id": "/ns/{k8s:ns}/sa/{k8s:sa}", "match": ["k8s:ns:*"]}],
    "config": {"rotation": {"at": 0.4, "max_in_flight": 4}, "log": {"format": "json"},
               "limits": {"connections": 100}, "sds": {"validation": "trusted_ca"}},
    "maxSurge": "10%", "nodeSelector": {"pool": "a"}, "priorityClassName": "",
    "tolerations": [], "resources": {"requests": {"cpu": 1, "memory": "1Gi"}},
}
ISTIO_IDENTITIES = {"identities": [{"id": "/ns/shop/sa/web", "match": ["k8s:ns:shop", "k8s:sa:web"]}]}
VARIANTS = {"plain": {}, "everything": EVERYTHING}


def variant(mode, name):
    # istiod signs no other than a service account's.
    return merged(VARIANTS[name], ISTIO_IDENTITIES if name != "plain" and mode == "istiod" else {})


def validated(nodepilot, folder, text):
    (folder / "agent.yaml").write_text(text)
    env = {**os.environ, "NODE_IP": "10.0.0.7", "MY_NODE_NAME": "node-a"}  # as the pod has them
    return subprocess.run([nodepilot, "validate", "-c", folder / "agent.yaml"], env=env, capture_output=True, text=True)


def test_the_schema_of_kubernetes_holds(shipped):
    assert schema_errors(shipped) == []


@pytest.mark.parametrize("mode", MODES)
def test_the_schema_holds_with_every_flag(mode, rendered):
    made = rendered(mode, variant(mode, "everything"))
    assert {"PodMonitor", "PrometheusRule"} < {each["kind"] for each in made}
    assert schema_errors(made) == []


def test_the_schema_check_sees_what_is_wrong(rendered):
    broken = json.loads(json.dumps(rendered("istiod")).replace('"hostPID"', '"hostPid"').replace('"verbs"', '"verb"'))
    assert schema_errors(broken) == [
        "ClusterRole nodepilot-nodepilot: data/rules/0 must have required property verbs",
        "ClusterRole nodepilot-nodepilot: /rules/0/verb is not in the schema",
        "DaemonSet nodepilot: /spec/template/spec/hostPid is not in the schema"]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("mode", MODES)
def test_the_chart_is_linted_strictly(mode, name):
    done = helm("lint", merged(VALUES[mode], variant(mode, name)), "--strict")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_agent_takes_its_configuration(shipped, nodepilot, folder):
    done = validated(nodepilot, folder, configuration(shipped))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("mode", MODES)
def test_the_agent_takes_a_configuration_with_every_flag(mode, rendered, nodepilot, folder):
    done = validated(nodepilot, folder, configuration(rendered(mode, variant(mode, "everything"))))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_pod_has_the_rights_it_needs_and_no_other(shipped):
    pod, agent = pod_of(shipped), agent_of(shipped)
    assert pod["hostPID"] is True
    assert not {"hostNetwork", "hostIPC", "shareProcessNamespace"} & set(pod)
    assert pod["securityContext"] == {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    assert agent["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                        "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}}
    for other in pod["initContainers"]:
        assert other["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert "privileged" not in json.dumps(pod)
    assert "ports" not in agent


def test_executables_that_must_be_read_take_one_more_capability(rendered):
    made = rendered("vault", EVERYTHING)
    assert agent_of(made)["securityContext"]["capabilities"]["add"] == ["SYS_PTRACE", "DAC_READ_SEARCH"]


def test_the_cluster_lets_it_see_the_pods_of_a_kubelet_and_nothing_else(shipped):
    assert of_kind(shipped, "ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]
    assert {each["kind"] for each in shipped if "Role" in each["kind"]} == {"ClusterRole", "ClusterRoleBinding"}
    account = of_kind(shipped, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert pod_of(shipped)["automountServiceAccountToken"] is False
    binding = of_kind(shipped, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == of_kind(shipped, "ClusterRole")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["metadata"]["name"],
                                    "namespace": account["metadata"]["namespace"]}]
    assert pod_of(shipped)["serviceAccountName"] == account["metadata"]["name"]


def test_older_clusters_are_given_the_wider_right_on_demand(rendered):
    [rule] = of_kind(rendered("vault", EVERYTHING), "ClusterRole")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}


def test_a_new_pod_comes_before_the_old_one_goes(shipped):
    strategy = of_kind(shipped, "DaemonSet")["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert "--take-over" in agent_of(shipped)["args"]


def test_the_host_shares_the_directory_of_the_socket_not_the_socket(shipped):
    listen = yaml.safe_load(configuration(shipped))["listen"]["path"]
    mounts = {each["name"]: each["mountPath"] for each in agent_of(shipped)["volumeMounts"]}
    shared = {each["name"]: each["hostPath"] for each in pod_of(shipped)["volumes"] if "hostPath" in each}
    assert shared.pop("public") == {"path": "/run/nodepilot/public", "type": "DirectoryOrCreate"}
    assert shared.pop("cgroup") == {"path": "/sys/fs/cgroup", "type": "Directory"}
    assert mounts["public"] == "/run/nodepilot/public" == listen.rpartition("/")[0]
    embedded = "local" in yaml.safe_load(configuration(shipped))["ca"]
    assert shared == ({"state": {"path": "/var/lib/nodepilot", "type": "DirectoryOrCreate"}} if embedded else {})


def test_what_the_agent_writes_is_writable(shipped):
    config = yaml.safe_load(configuration(shipped))
    writable = [each["mountPath"] for each in agent_of(shipped)["volumeMounts"] if not each.get("readOnly")]
    for path in (config["listen"]["path"], config["state_dir"], "/run/nodepilot/admin/admin.sock"):
        assert any(path.startswith(mount + "/") for mount in writable), path


def test_every_file_that_the_configuration_names_is_there(shipped):
    named = set(re.findall(r"/var/run/secrets/nodepilot/\S+", configuration(shipped)))
    [mount] = [each for each in agent_of(shipped)["volumeMounts"] if each["name"] == "credentials"]
    assert mount["mountPath"] == "/var/run/secrets/nodepilot" and mount["readOnly"]
    assert named == {f"{mount['mountPath']}/{path}" for path in sources(shipped)}


def test_each_token_is_for_one_who_is_asked(rendered):
    def audiences(mode):
        made = rendered(mode)
        return {path: source.get("audience") for path, source in sources(made).items()
                if source["kind"] == "serviceAccountToken"}
    assert audiences("embedded") == {"kubelet-token": None}
    assert audiences("istiod") == {"kubelet-token": None, "ca-token": "istio-ca"}
    assert audiences("vault") == {"kubelet-token": None, "ca-token": "vault"}


def test_roots_come_from_the_ca_of_the_mode(rendered):
    assert sources(rendered("istiod"))["ca.pem"]["name"] == "istio-ca-root-cert"
    assert sources(rendered("vault"))["ca.pem"]["name"] == "vault-ca"
    public = rendered("vault", {"ca": {"vault": {"caConfigMap": ""}}})
    assert "ca.pem" not in sources(public)
    assert "ca_file" not in yaml.safe_load(configuration(public))["ca"]["vault"]


def test_istiod_is_asked_as_the_agent_of_a_node(rendered):
    istiod = yaml.safe_load(configuration(rendered("istiod")))["ca"]["istiod"]
    assert istiod["ask_as"] == "node_agent"
    assert istiod["addresses"] == ["istiod.istio-system.svc:15012"]


def test_it_runs_on_every_linux_node_before_the_workloads(shipped):
    pod = pod_of(shipped)
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"


def test_probes_ask_the_agent_itself_and_only_readiness_asks_for_more_than_life(shipped):
    agent = agent_of(shipped)
    asked = {kind: agent[kind]["exec"]["command"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": ["nodepilot", "status"], "livenessProbe": ["nodepilot", "status"],
                     "readinessProbe": ["nodepilot", "health"]}


def test_with_telemetry_probes_ask_the_port_that_is_served(rendered):
    for values, port in (({"telemetry": {"enabled": True}}, 9464), (EVERYTHING, 9000)):
        made = rendered("vault", values)
        agent = agent_of(made)
        assert agent["ports"] == [{"name": "telemetry", "containerPort": port}]
        served = yaml.safe_load(configuration(made))["telemetry"]
        assert served == {"listen": f"0.0.0.0:{port}", "per_identity": values is not EVERYTHING}
        probes = [agent[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert [probe["httpGet"] for probe in probes] == [{"path": path, "port": "telemetry"}
                                                          for path in ("/live", "/live", "/ready")]
        assert not any("exec" in probe for probe in probes)


def test_metrics_are_fetched_where_they_are_served(rendered):
    made = rendered("vault", EVERYTHING)
    monitor = of_kind(made, "PodMonitor")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("telemetry", "/metrics", "15s")
    pods = of_kind(made, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pods.items()
    for kind in ("PodMonitor", "PrometheusRule"):
        assert of_kind(made, kind)["metadata"]["labels"]["release"] == "prometheus"
    assert of_kind(made, "PrometheusRule")["spec"] == yaml.safe_load((CHART / "alerts.yaml").read_text())


def test_the_kubelet_is_proven_and_found_at_the_address_of_the_node(shipped):
    kubernetes = yaml.safe_load(configuration(shipped))["attestors"]["kubernetes"]
    assert kubernetes == {"kubelet_host_env": "NODE_IP", "node_name_env": "MY_NODE_NAME",
                          "token_file": "/var/run/secrets/nodepilot/kubelet-token",
                          "ca_file": "/var/run/secrets/nodepilot/kubelet-ca.pem"}
    fields = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in agent_of(shipped)["env"]}
    assert fields == {"NODE_IP": "status.hostIP", "MY_NODE_NAME": "spec.nodeName"}
    assert sources(shipped)["kubelet-ca.pem"]["name"] == "kube-root-ca.crt"


def test_a_kubelet_that_signs_its_own_is_trusted_on_demand_only(rendered):
    made = rendered("vault", EVERYTHING)
    assert yaml.safe_load(configuration(made))["attestors"]["kubernetes"]["skip_verify"] is True
    assert "kubelet-ca.pem" not in sources(made)


def test_the_hierarchy_of_the_host_is_seen_and_not_touched(shipped):
    [mount] = [each for each in agent_of(shipped)["volumeMounts"] if each["name"] == "cgroup"]
    assert mount == {"name": "cgroup", "mountPath": "/host/sys/fs/cgroup", "readOnly": True}
    assert yaml.safe_load(configuration(shipped))["attestors"]["host_cgroup"] == mount["mountPath"]


def test_nodes_of_cgroup_v1_need_no_such_thing(rendered):
    made = rendered("vault", EVERYTHING)
    assert "host_cgroup" not in configuration(made)
    assert "/sys/fs/cgroup" not in json.dumps(pod_of(made))


def test_a_new_configuration_makes_new_pods(rendered):
    def mark(values):
        return of_kind(rendered("istiod", values), "DaemonSet")["spec"]["template"]["metadata"]["annotations"]
    assert mark({}) != mark({"config": {"log": {"level": "debug"}}})
    assert mark({}) == mark({"maxSurge": 2})
    metrics = {"telemetry": {"enabled": True}}
    assert mark(metrics) == mark({**metrics, "podMonitor": {"enabled": True}}) != mark({})


@pytest.mark.parametrize("mode", MODES)
def test_an_overlay_is_what_the_chart_makes(mode):
    assert comparable(overlay(mode)) == comparable(made_by_helm(mode))


def made_by_helm(mode):
    """Without what has no place in an overlay."""
    return [each for each in chart(mode) if each["kind"] != "Pod"]


def comparable(manifests):
    """kind -> object, without labels and names that tell which of the two made it, in one order."""
    found = {}
    for each in json.loads(json.dumps(manifests)):
        if each["kind"] == "Namespace":
            continue
        each["metadata"].pop("labels", None)
        if each["kind"] == "ConfigMap":
            each["metadata"]["name"] = "nodepilot"
            each["data"] = without_defaults(yaml.safe_load(each["data"]["agent.yaml"]))
        if each["kind"] == "DaemonSet":
            template = each["spec"]["template"]
            template["metadata"]["annotations"].pop("checksum/config", None)
            for volume in template["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = "nodepilot"
            template["spec"]["volumes"].sort(key=lambda volume: volume["name"])
            for container in template["spec"]["containers"]:
                container["volumeMounts"].sort(key=lambda mount: mount["name"])
        found[each["kind"]] = each
    return found


def without_defaults(config):
    """The chart spells out what its values name."""
    config["ca"].get("istiod", {}).pop("cluster_id", None)
    vault = config["ca"].get("vault", {})
    vault.pop("mount", None)
    vault.get("auth", {}).get("kubernetes", {}).pop("mount", None)
    return config


def test_everything_bears_one_version():
    version = re.search(r"project\(nodepilot VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    facts = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (facts["version"], facts["appVersion"]) == (version, version)
    for mode in MODES:
        assert agent_of(chart(mode))["image"] == agent_of(overlay(mode))["image"] == f"nodepilot:{version}"
    assert f'image.version="{version}"' in (ROOT / "Dockerfile").read_text()


def test_there_is_an_overlay_for_each_mode():
    assert sorted(each.name for each in OVERLAYS.iterdir()) == sorted(MODES)
