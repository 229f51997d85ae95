"""Metrics and probes of the real daemon, read by Prometheus' own parser and linted by its own promtool."""
import json
import os
import re
import socket
import subprocess
import time

import grpc
import pytest

from conftest import ROOT, parts
from kit import workload
from kit.agent import identity, spiffe_id
from kit.istiod import FakeIstiod
from kit.process import Process, wait_until
from kit.telemetry import Telemetry

WEB = spiffe_id("web")
NAMES = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", re.M)  # the table of docs/metrics.md


@pytest.fixture
def telemetry():
    return Telemetry()


@pytest.fixture
def agent(make_agent, telemetry, own_uid):
    return make_agent([identity("web", own_uid)], **telemetry.section()).start()


@pytest.fixture
def istiod(request, folder):
    started = FakeIstiod(request.config.getoption("--binary").parent / "test" / "fake_istiod", folder)
    started.trust("a.token")
    (folder / "token").write_text("a.token\n")
    started.section = {"istiod": {"addresses": [started.address], "token_file": str(folder / "token"),
                                  "root_file": str(started.root_file), "server_name": "istiod.istio-system.svc",
                                  "ask_as": "node_agent"}}
    yield started
    started.stop()


def series(families):
    """name -> (type, the labels of its series), as docs/metrics.md has them."""
    found = {}
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        found[name] = (family.type, labels)
    return found


def test_a_rotation_moves_the_end_of_the_certificate(agent, telemetry):
    workload.fetch(agent.address)
    wait_until("its series", lambda: telemetry.value("nodepilot_svid_expiry_seconds", spiffe_id=WEB))
    end = telemetry.value("nodepilot_svid_not_after_timestamp_seconds", spiffe_id=WEB)
    life = telemetry.value("nodepilot_svid_lifetime_seconds", spiffe_id=WEB)
    assert 3600 <= life <= 3700 and time.time() + 3500 < end <= time.time() + 3600
    time.sleep(1.1)  # ends are whole seconds

    agent.rotate()

    wait_until("the end to move", lambda: telemetry.value("nodepilot_svid_not_after_timestamp_seconds",
                                                          spiffe_id=WEB) > end)
    assert telemetry.value("nodepilot_rotations_total", reason="first", result="success") == 1
    assert telemetry.value("nodepilot_rotations_total", reason="forced", result="success") == 1
    assert telemetry.value("nodepilot_rotations_total", reason="forced", result="failure") == 0


def test_what_goes_on_at_the_socket_is_counted(agent, telemetry):
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened, timeout=30)
        next(answers)
        wait_until("the stream", lambda: telemetry.value("nodepilot_streams", api="FetchX509SVID") == 1)
        assert telemetry.value("nodepilot_connections") >= 1
        assert telemetry.value("nodepilot_attestations_total", attestor="unix", result="success") >= 1
        assert telemetry.value("nodepilot_attestation_duration_seconds_count", attestor="unix") >= 1
        assert telemetry.value("nodepilot_identities", state="active") == 1

    wait_until("its end", lambda: telemetry.value("nodepilot_streams", api="FetchX509SVID") is None)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(agent.public))
        caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
        caller.settimeout(10)
        while caller.recv(4096):
            pass
    wait_until("the incident", lambda: telemetry.value("nodepilot_connection_incidents_total",
                                                       event="connection closed") == 1)


def test_a_refusal_counts(make_agent, telemetry):
    agent = make_agent([identity("web", "unix:uid:4242424")], **telemetry.section()).start()
    assert telemetry.value("nodepilot_denials_total", reason="PERMISSION_DENIED") == 0

    assert workload.refusal(agent.address) == grpc.StatusCode.PERMISSION_DENIED

    wait_until("the refusal", lambda: telemetry.value("nodepilot_denials_total", reason="PERMISSION_DENIED") == 1)
    assert telemetry.value("nodepilot_denials_total", reason="UNAVAILABLE") == 0


def test_an_outage_of_the_ca_shows_and_takes_neither_life_nor_readiness(make_agent, telemetry, istiod, own_uid):
    agent = make_agent([identity("ns/shop/sa/web", own_uid)], ca=istiod.section, **telemetry.section()).start()

    def asked(code):
        return telemetry.total("nodepilot_ca_request_duration_seconds_count", op="sign", code=code)

    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened, timeout=60)
        next(answers)
        wait_until("the CA to be up", lambda: telemetry.value("nodepilot_ca_up", ca="istiod") == 1)
        assert (asked("OK"), asked("UNAVAILABLE")) == (1, 0)

        istiod.fault("down")
        agent.command("rotate", "--all")
        wait_until("the outage", lambda: telemetry.value("nodepilot_ca_up", ca="istiod") == 0)
        assert asked("UNAVAILABLE") >= 1
        assert telemetry.value("nodepilot_rotation_failures_consecutive", spiffe_id=spiffe_id("ns/shop/sa/web")) >= 1
        assert telemetry.value("nodepilot_identities", state="retrying") == 1
        assert (telemetry.status("/live"), telemetry.status("/ready")) == (200, 200)

        istiod.recover()
        wait_until("the recovery", lambda: telemetry.value("nodepilot_ca_up", ca="istiod") == 1, 30)
        assert asked("OK") == 2
        assert telemetry.value("nodepilot_rotation_failures_consecutive", spiffe_id=spiffe_id("ns/shop/sa/web")) == 0


def test_an_agent_is_live_before_it_is_ready(make_agent, telemetry, istiod, own_uid):
    """Without a trust bundle it serves nobody; the file with the roots comes late."""
    roots = istiod.root_file.read_text()
    istiod.root_file.unlink()
    agent = make_agent([identity("ns/shop/sa/web", own_uid)], ca=istiod.section, **telemetry.section()).start()

    assert telemetry.status("/live") == 200
    status, body = telemetry.get("/ready")
    assert status == 503 and body.count("\n") == 1
    assert json.loads(body) == {"ready": False, "reasons": ["no trust bundle yet: the CA has told none"]}
    assert str(istiod.root_file) in agent.command("health").stdout  # an operator is told more
    assert telemetry.value("nodepilot_ready") == 0

    istiod.root_file.write_text(roots)
    wait_until("readiness", lambda: telemetry.status("/ready") == 200, 30)
    assert json.loads(telemetry.get("/ready")[1]) == {"ready": True, "reasons": []}
    wait_until("the metric", lambda: telemetry.value("nodepilot_ready") == 1)


def test_a_successor_gets_the_port_and_gives_it_back(agent, telemetry):
    def times_served(process):
        return process.output().count("telemetry served")

    assert times_served(agent.process) == 1
    successor = Process("agent", [agent.binary, "run", *agent.run_args, "--take-over"],
                        agent.home.parent / "successor.log")
    try:
        wait_until("the successor to have the port", lambda: times_served(successor) == 1)
        assert telemetry.status("/ready") == 200
        assert successor.output().count("telemetry not served yet") == 1

        successor.kill()
        wait_until("the port to be back", lambda: times_served(agent.process) == 2)
        wait_until("readiness", lambda: telemetry.status("/ready") == 200)
    finally:
        successor.stop()


def test_two_agents_each_with_an_address_of_its_own_say_who_serves(make_agent, telemetry, own_uid, folder):
    """As pods are, while one replaces the other."""
    agent = make_agent([identity("web", own_uid)], **telemetry.section()).start()
    other = Telemetry()
    config = folder / "successor.yaml"
    text = (agent.home / "agent.yaml").read_text()
    config.write_text(text.replace(f"127.0.0.1:{telemetry.port}", f"127.0.0.1:{other.port}"))
    successor = Process("agent", [agent.binary, "run", "-c", config, "--take-over"], folder / "successor.log")
    try:
        wait_until("the successor to be ready", lambda: other.status("/ready") == 200)
        wait_until("the other to let go", lambda: telemetry.status("/ready") is None)
    finally:
        successor.stop()


def test_a_port_that_is_taken_ends_the_start_and_is_named(make_agent, telemetry, own_uid):
    with socket.create_server(("127.0.0.1", telemetry.port)):
        agent = make_agent([identity("web", own_uid)], **telemetry.section())
        process = agent.launch()
        assert process.popen.wait(10) == 1

    assert f"telemetry: listen on 127.0.0.1 port {telemetry.port}: Address already in use" in process.output()


HOSTILE = {
    "nothing": b"",
    "half a request": b"GET /metrics HTTP/1.1\r\nX: ",
    "endless headers": b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
    "random bytes": os.urandom(65536),
    "a TLS hello": bytes.fromhex("16030100310100002d0303") + bytes(32) + bytes.fromhex("000004130113020100"),
    "a body without end": b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000,
    "a pipeline": b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 1000,
}


def test_hostile_clients_disturb_neither_the_socket_nor_probes(agent, telemetry):
    """Many of each, most of which never read."""
    workload.fetch(agent.address)
    before = agent.open_files()
    crowd = []
    try:
        for words in list(HOSTILE.values()) * 40:
            crowd.append(socket.socket())
            crowd[-1].settimeout(5)
            crowd[-1].connect(("127.0.0.1", telemetry.port))
            crowd[-1].setblocking(False)
            try:
                crowd[-1].send(words)
            except OSError:
                pass
        began = time.monotonic()
        assert telemetry.status("/live") == 200
        assert workload.fetch(agent.address)
        assert telemetry.status("/ready") == 200
        assert time.monotonic() - began < 5
        assert agent.open_files() <= before + 40
    finally:
        for one in crowd:
            one.close()
    agent.rotate()
    wait_until("their ends", lambda: agent.open_files() <= before + 2, 15)
    assert agent.process.running()


def test_without_per_identity_no_spiffe_id_is_told(make_agent, telemetry, own_uid):
    agent = make_agent([identity("web", own_uid)], **telemetry.section(per_identity=False)).start()
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened, timeout=30)
        next(answers)
        wait_until("the identity", lambda: telemetry.value("nodepilot_identities", state="active") == 1)
        text = telemetry.text()

    assert "spiffe://" not in text and "spiffe_id" not in text


@pytest.fixture
def everything(make_agent, telemetry, own_uid, folder):
    """An agent with all that there are metrics of, in use."""
    key = folder / "state.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    (folder / "policy").mkdir()
    (folder / "foreign.json").write_text('{"keys": []}')
    agent = make_agent(
        [identity("web", own_uid)], **telemetry.section(), state={"sealed": {"key_file": str(key)}},
        outputs=[{"identity": "/web", "directory": str(folder / "web"), "profile": "tls"}],
        federation=[{"trust_domain": "b.org", "url": "https://127.0.0.1:1/", "profile": "https_web"}],
        mesh={"policy": str(folder / "policy"), "workloads": [
            {"name": "web", "namespace": "shop", "identity": "/web", "ports": [{"port": 8080, "app": "127.0.0.1:81"}]}]},
    ).start()
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened, timeout=60)  # open as long as it is known
        next(answers)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(agent.public))
            caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
            caller.settimeout(10)
            caller.recv(1)
        wait_until("all of it", lambda: telemetry.value("nodepilot_connection_incidents_total") is not None
                   and telemetry.value("nodepilot_output_writes_total", result="success")
                   and telemetry.value("nodepilot_federation_polls_total", result="failure"))
        yield agent


def test_the_page_tells_what_is_served(everything, telemetry):
    page = {name: (kind, set(re.findall(r"`(\w+)`", labels)))
            for name, kind, labels in NAMES.findall((ROOT / "docs" / "metrics.md").read_text())}
    # No bundle of the foreign trust domain can be had here.
    assert page.pop("nodepilot_federation_last_success_timestamp_seconds") == ("gauge", {"trust_domain"})

    assert series(telemetry.families()) == page


def test_nothing_secret_is_told(everything, telemetry, folder):
    text = telemetry.text()

    key = (folder / "web" / "tls.key").read_text()
    for line in key.splitlines()[1:-1]:
        assert line not in text
    for word in ("PRIVATE", "CERTIFICATE", "BEGIN", "eyJ", "127.0.0.1:1"):
        assert word not in text
    for serial in everything.serials().values():
        assert serial not in text


def test_promtool_finds_nothing_to_complain_of(everything, telemetry):
    promtool = ROOT / ".cache" / "deploy" / "bin" / "promtool"
    if not promtool.exists():
        parts["promtool"] = "skipped (not there; ./check takes it out of Debian's package)"
        pytest.skip("no promtool")
    version = subprocess.run([promtool, "--version"], capture_output=True, text=True).stdout.split()[2]
    parts["promtool"] = f"real ({version})"

    done = subprocess.run([promtool, "check", "metrics"], input=telemetry.text(), capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
