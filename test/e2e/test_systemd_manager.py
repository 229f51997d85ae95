"""The real systemd as PID 1, with the real system bus: it runs the packaged unit, and says of callers which unit they
are in."""
import json
import re
import sys

import pytest

from kit import systemd_machine
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from kit.process import wait_until
from kit.setting import ROOT, parts, skip_part
from kit.systemd_machine import BINARY, USER

PUBLIC = "/run/nodepilot/public/api.sock"
UNIT_FILES = "/etc/systemd/system"
WEB_FILE = f"{UNIT_FILES}/web.service"
ENV = {"SPIFFE_ENDPOINT_SOCKET": f"unix://{PUBLIC}"}
ROUNDS = 5  # of restarts; the unit allows ten in a minute
FETCH = (BINARY, "fetch", "x509", "--timeout", "5s")
IDENTITIES = [identity("web", "systemd:id:web.service", f"systemd:fragment_path:{WEB_FILE}"),
              identity("callers", "systemd:id:callers.service")]


def workload(command=" ".join(FETCH), **more):
    """A unit that runs it once; `systemctl start` returns when it has ended."""
    lines = {"Type": "oneshot", "Environment": f"SPIFFE_ENDPOINT_SOCKET=unix://{PUBLIC}", "ExecStart": command,
             "StandardOutput": "truncate:%t/%N.printed", "StandardError": "inherit", **more}
    return "[Service]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())


def packaged(name):
    """But for where the program is: /usr is not ours to write."""
    return (ROOT / "systemd" / name).read_text().replace("/usr/bin/nodepilot", BINARY)


def configure(machine, **sections):
    machine.write("/etc/nodepilot/agent.yaml", json.dumps({  # JSON is YAML
        "trust_domain": TRUST_DOMAIN, "ca": {"local": {}}, "attestors": {"systemd": {}}, "identities": IDENTITIES,
        **sections}))


@pytest.fixture(scope="module")
def booted(docker, nodepilot):
    """With the files that a package would have installed, and two workloads."""
    if why := systemd_machine.why_impossible():
        skip_part("systemd", why)
    try:
        made = systemd_machine.SystemdMachine(docker, nodepilot, ROOT)
    except TimeoutError as reason:
        skip_part("systemd", f"it does not boot in a container here: {str(reason)[-300:]}")
    parts["systemd"] = f"real ({made.run('systemctl', '--version').stdout.split()[1]}, PID 1 of a container)"
    for name in ("nodepilot.service", "nodepilot.socket", "nodepilot-admin.socket"):
        made.write(f"{UNIT_FILES}/{name}", packaged(name))
    made.write("/etc/sysusers.d/nodepilot.conf", packaged("nodepilot.sysusers"))
    made.write("/etc/tmpfiles.d/nodepilot.conf", packaged("nodepilot.tmpfiles"))
    for name in ("web", "other"):
        made.write(f"{UNIT_FILES}/{name}.service", workload(User="web"))
    made.run("systemd-sysusers", check=True)
    made.systemctl("daemon-reload")
    yield made
    made.stop()


@pytest.fixture
def machine(booted):
    """Its agent is configured, and not running."""
    configure(booted)
    yield booted
    booted.run("systemctl", "stop", "nodepilot.socket", "nodepilot-admin.socket", "nodepilot.service")
    booted.run("systemctl", "reset-failed")


@pytest.fixture
def agent(machine):
    """The machine, with its agent running."""
    machine.systemctl("start", "nodepilot.service")
    return machine


def start_once(machine, unit):
    """What the unit printed this time."""
    machine.run("systemctl", "start", unit)
    return machine.run("cat", f"/run/{unit.removesuffix('.service')}.printed", check=True).stdout


def refusal(machine, printed):
    """Why the caller that printed this was refused, as `explain` tells it."""
    ref = re.search(r"PERMISSION_DENIED: no identity issued \(ref ([0-9a-f]{6})\)", printed)
    assert ref and "spiffe://" not in printed, printed
    return machine.run(BINARY, "explain", ref[1]).stdout


def test_the_agent_is_ready_when_systemd_says_that_it_has_started(agent):
    told = agent.show("nodepilot.service", "Type", "ActiveState", "StatusText", "NRestarts", "User")

    assert told == {"Type": "notify", "ActiveState": "active", "StatusText": "serving 2 identities", "NRestarts": "0",
                    "User": "nodepilot"}
    assert json.loads(agent.run(BINARY, "status", "-o", "json", check=True).stdout)["identities"]


def test_a_wrong_configuration_is_not_tried_again(machine):
    configure(machine, trust_domain="not a domain")

    assert machine.run("systemctl", "start", "nodepilot.service").returncode != 0

    told = machine.show("nodepilot.service", "Result", "ExecMainStatus", "NRestarts", "ActiveState")
    assert told == {"Result": "exit-code", "ExecMainStatus": "78", "NRestarts": "0", "ActiveState": "failed"}


def test_a_unit_has_its_identity_each_time_it_is_started(agent):
    assert spiffe_id("web") in start_once(agent, "web.service")
    assert spiffe_id("web") in start_once(agent, "web.service")

    wait_until("two callers in the log", lambda: len(set(
        re.findall(r'msg="caller served" pid=(\d+)', agent.journal("nodepilot.service")))) >= 2)


def test_another_unit_of_the_same_program_and_user_is_refused(agent):
    why = refusal(agent, start_once(agent, "other.service"))

    assert "systemd:id:other.service" in why and f"systemd:fragment_path:{UNIT_FILES}/other.service" in why


def test_a_process_outside_of_every_unit_has_no_unit(agent):
    done = agent.run(*FETCH, user="web", env=ENV)

    why = refusal(agent, done.stderr)

    assert re.search(r"attestor +systemd +0 selectors", why), why
    assert f"wants systemd:fragment_path:{WEB_FILE}, found none of this kind" in why


def test_a_scope_in_a_users_slice_is_not_the_service_of_that_name(agent):
    done = agent.run("systemd-run", "--quiet", "--scope", "--unit=web", f"--slice=user-{USER}.slice", f"--uid={USER}",
                     *FETCH, env=ENV)

    assert "systemd:id:web.scope" in refusal(agent, done.stderr)


def test_a_users_own_unit_is_not_the_systems_of_that_name(agent):
    """Not even with the cgroup /…/user@1000.service/app.slice/web.service and a file of the same content."""
    agent.systemctl("start", f"user@{USER}.service")
    home = f"/run/user/{USER}"
    env = {"XDG_RUNTIME_DIR": home}
    agent.write(f"{home}/systemd/user/web.service",
                workload("/bin/sh -c 'cat /proc/self/cgroup; exec " + " ".join(FETCH) + "'"), user="alice")
    agent.run("systemctl", "--user", "daemon-reload", user="alice", env=env, check=True)

    assert agent.run("systemctl", "--user", "start", "web.service", user="alice", env=env).returncode != 0

    printed = agent.run("cat", f"{home}/web.printed", check=True).stdout
    assert re.search(rf"/user@{USER}\.service/app\.slice/web\.service$", printed, re.MULTILINE)  # it was forged
    assert f"systemd:id:user@{USER}.service" in refusal(agent, printed)


def test_without_the_bus_nobody_is_denied_and_with_it_everybody_is_served_again(agent):
    agent.systemctl("stop", "dbus.socket", "dbus.service")
    try:
        printed = start_once(agent, "web.service")
    finally:
        agent.systemctl("start", "dbus.socket")

    assert "UNAVAILABLE" in printed and "PERMISSION_DENIED" not in printed
    assert "connect to the system bus" in agent.journal("nodepilot.service")
    wait_until("systemd to be on the bus", lambda: agent.run(
        "busctl", "status", "org.freedesktop.systemd1").returncode == 0)
    assert spiffe_id("web") in start_once(agent, "web.service")


def test_an_agent_in_another_pid_namespace_than_systemds_grants_nobody_a_unit(machine):
    """There pid 1 is its own first process, which to systemd would be in init.scope."""
    home = "/run/nested"
    configure(machine, listen={"path": f"{home}/public/api.sock"}, admin={"path": f"{home}/admin/admin.sock"},
              state_dir=f"{home}/state", identities=[identity("init", "systemd:id:init.scope")])

    nested = machine.run(
        "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec",
        'mkdir -p -m 755 /run/nested/public; mkdir -p -m 700 /run/nested/state /run/nested/admin\n'
        '"$0" run -c /etc/nodepilot/agent.yaml > /run/nested/log 2>&1 &\n'
        'until grep -q "is ready" /run/nested/log; do sleep 0.05; done\n'
        'echo "I am $$"; exec "$@"', BINARY, *FETCH, env={"SPIFFE_ENDPOINT_SOCKET": f"unix://{home}/public/api.sock"})

    assert nested.stdout == "I am 1\n"
    assert "UNAVAILABLE" in nested.stderr
    assert "it must run in systemd's pid namespace" in machine.run("cat", f"{home}/log").stdout


def restart_under_load(machine):
    """Connects and streams of another unit while the agent is restarted ROUNDS times; nobody may be refused."""
    machine.write(f"{UNIT_FILES}/callers.service", workload(
        f"{sys.executable} {ROOT}/test/e2e/clients/python/callers.py {PUBLIC}", Type="exec",
        Environment="PYTHONDONTWRITEBYTECODE=1"))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "callers.service")

    def printed():
        return [json.loads(line) for line in machine.run("cat", "/run/callers.printed", check=True).stdout.splitlines()]
    try:
        wait_until("a certificate for everybody", printed)
        for _ in range(ROUNDS):
            machine.systemctl("restart", "nodepilot.service")
    finally:
        machine.systemctl("stop", "callers.service")
    load = printed()[-1]
    print(f"{ROUNDS} restarts, {load['connects']} connects, {load['updates']} updates")
    assert load["refused"] == []
    assert load["connects"] > 10 * ROUNDS and load["updates"] > ROUNDS


def test_fault_86_restarts_refuse_nobody_as_systemd_keeps_the_agents_sockets(agent):
    inode = agent.run("stat", "-c", "%i", PUBLIC).stdout

    restart_under_load(agent)

    assert agent.run("stat", "-c", "%i", PUBLIC).stdout == inode
    assert agent.show("nodepilot.service", "NFileDescriptorStore") == {"NFileDescriptorStore": "2"}


def test_fault_86_restarts_refuse_nobody_with_socket_units_and_the_first_caller_starts_the_agent(machine):
    machine.systemctl("start", "nodepilot.socket", "nodepilot-admin.socket")
    assert machine.show("nodepilot.service", "ActiveState") == {"ActiveState": "inactive"}

    assert spiffe_id("web") in start_once(machine, "web.service")
    assert machine.show("nodepilot.service", "ActiveState") == {"ActiveState": "active"}

    restart_under_load(machine)


def test_an_agent_that_hangs_is_restarted_by_the_watchdog(machine):
    drop_in = f"{UNIT_FILES}/nodepilot.service.d/watchdog.conf"
    machine.write(drop_in, "[Service]\nWatchdogSec=1\n")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("start", "nodepilot.service")
        machine.systemctl("kill", "--signal=STOP", "nodepilot.service")

        wait_until("the restart", lambda: machine.show("nodepilot.service", "NRestarts", "SubState") ==
                   {"NRestarts": "1", "SubState": "running"})
    finally:
        machine.run("rm", drop_in)
        machine.systemctl("daemon-reload")
    assert "Watchdog timeout" in machine.journal("nodepilot.service")
    assert spiffe_id("web") in start_once(machine, "web.service")
