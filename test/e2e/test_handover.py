"""Agents that follow one another on the same sockets: nobody is refused, nobody is left without a certificate."""
import os
import signal
import time

from kit import workload
from kit.agent import identity
from kit.process import Process, wait_until

ROUNDS = 100


def follow(agent, number, *more):
    """A successor of `agent` on its configuration, once it says that it is ready."""
    log = agent.home.parent / f"{agent.home.name}.{number}.log"
    process = Process("agent", [agent.binary, "run", *agent.run_args, "--take-over", *more], log)
    wait_until("the successor", lambda: "is ready" in process.output() or not process.running())
    assert process.running(), process.tail()
    return process


def test_fault_44_a_second_agent_that_was_not_told_to_follow_is_refused(make_agent):
    agent = make_agent([identity("web", f"unix:uid:{os.getuid()}")]).start()

    second = Process("agent", [agent.binary, "run", *agent.run_args], agent.home.parent / "second.log")

    assert second.popen.wait(10) == 1
    assert "another nodepilot serves" in second.tail() and "--take-over" in second.tail()
    assert workload.fetch(agent.address)


def test_fault_89_hundred_agents_follow_one_another_and_nobody_is_refused(make_agent, start_callers):
    agent = make_agent([identity("web", f"unix:uid:{os.getuid()}")]).start()
    callers = start_callers(agent)
    current, begun = agent.process, time.monotonic()

    try:
        for number in range(ROUNDS):
            successor = follow(agent, number)
            assert current.stop() == 0
            current = successor
        took = time.monotonic() - begun
        load = callers.end()
    finally:
        current.stop()

    print(f"{ROUNDS} hand-overs in {took:.1f} s, {load['connects']} connects, {load['updates']} updates")
    assert load["refused"] == []
    assert load["updates"] >= ROUNDS and load["connects"] > ROUNDS
    assert took <= 60


def test_fault_89_a_successor_that_is_killed_leaves_the_path_to_who_was_followed(make_agent):
    agent = make_agent([identity("web", f"unix:uid:{os.getuid()}")]).start()
    successor = follow(agent, 0)
    wait_until("the agent to know", lambda: "another agent took the path over" in agent.process.output())

    successor.kill()

    wait_until("the path to be back", lambda: "its path is ours" in agent.process.output())
    assert workload.fetch(agent.address)
    assert agent.json("status")["identities"]


def test_fault_89_a_successor_waits_for_a_trust_bundle_before_it_takes_the_path(make_agent, folder):
    """With a CA that it cannot reach it has nothing to serve: who serves goes on."""
    agent = make_agent([identity("web", f"unix:uid:{os.getuid()}")]).start()
    config = (agent.home / "agent.yaml").read_text()
    assert '"local": {}' in config
    lost = folder / "lost.yaml"
    admin = folder / "lost" / "admin.sock"  # in Kubernetes each has one of its own
    admin.parent.mkdir(mode=0o750)
    config = config.replace(str(agent.admin), str(admin))
    lost.write_text(config.replace('"local": {}', '"vault": {"address": "https://127.0.0.1:1", "role": "web", '
                                   '"auth": {"token_file": "/nonexistent/token"}}'))
    process = Process("agent", [agent.binary, "run", "-c", lost, "--take-over"], folder / "lost.log")

    try:
        wait_until("the successor to wait", lambda: "following it once" in process.output() or not process.running())
        assert process.running(), process.tail()
        assert workload.fetch(agent.address)
        assert "is ready" not in process.output()
        health = agent.command("health", "--admin-socket", admin)
        assert health.returncode == 5 and "another agent serves the sockets" in health.stdout, health.stderr
        assert agent.command("health").stdout == "ready\n"

        agent.stop()
        wait_until("the path to be taken", lambda: "is ready" in process.output())
        health = agent.command("health", "--admin-socket", admin)
        assert health.returncode == 5 and "no trust bundle yet" in health.stdout, health.stderr
    finally:
        process.stop()


def test_a_successor_serves_the_sealed_state_that_it_shares(make_agent, folder):
    key = folder / "state.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    agent = make_agent([identity("web", f"unix:uid:{os.getuid()}")], state={"sealed": {"key_file": str(key)}}).start()
    workload.fetch(agent.address)
    before = agent.serials()
    wait_until("the state on the disk", lambda: list((agent.state / "sealed").glob("*.svid")))

    successor = follow(agent, 0)

    try:
        assert agent.serials() == before
        wait_until("the successor to keep its state", lambda: not agent.json("status")["state"].get("last_error"))
        agent.process.popen.send_signal(signal.SIGTERM)
        assert agent.process.popen.wait(10) == 0
        assert agent.serials() == before
    finally:
        successor.stop()
