"""The real daemon and a real CA server that goes wrong."""
import contextlib

import grpc
import pytest

from kit import workload
from kit.process import wait_until


def serial(agent):
    return next(iter(agent.serials().values()), None)


def web(agent):
    """What `status` tells of the one identity."""
    return agent.json("status")["identities"][0]


@contextlib.contextmanager
def open_stream(agent):
    """A stream that stays open, after its first answer."""
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened, timeout=60)
        next(answers)
        yield answers
        answers.cancel()


def wait_for_another(agent, old):
    return wait_until("another serial", lambda: serial(agent) not in (None, old) and serial(agent))


def test_fault_01_a_ca_that_is_down_at_the_start_is_found_when_it_is_up(agent, istiod):
    istiod.fault("down")
    agent.start()
    assert workload.refusal(agent.address, timeout=20) == grpc.StatusCode.UNAVAILABLE
    state = web(agent)
    assert state["failures"] > 0
    assert istiod.address in state["last_error"]

    istiod.recover()

    with workload.channel(agent.address) as opened:
        assert wait_until("an SVID", lambda: first_answer(opened), seconds=20)
    assert agent.json("status")["ca"]["last_error"] is None


def first_answer(opened):
    try:
        answers = workload.stream(opened)
        answer = next(answers)
        answers.cancel()
        return answer
    except grpc.RpcError:
        return None


def test_fault_02_new_streams_are_served_while_a_renewal_fails(agent, istiod):
    agent.start()
    with open_stream(agent) as answers:
        held = serial(agent)
        istiod.fault("down")
        wait_until("a renewal that fails", lambda: web(agent)["failures"] > 0)

        assert workload.fetch(agent.address)
        assert serial(agent) == held
        assert web(agent)["state"].lower() == "retrying"
        istiod.recover()

        wait_for_another(agent, held)
        assert next(answers)


def test_fault_82_a_token_swapped_by_a_link_is_used_at_once(agent, istiod, token):
    agent.start()
    with open_stream(agent):
        held = serial(agent)
        istiod.trust("second.token")
        istiod.distrust("first.token")
        token.swap("second.token")

        agent.rotate()

        assert serial(agent) != held
        assert istiod.has_seen("second.token")


def test_fault_83_a_token_that_has_expired_is_told_and_its_successor_found(agent, istiod, token):
    agent.start()
    with open_stream(agent):
        held = serial(agent)
        istiod.distrust("first.token")
        assert agent.command("rotate", "--all", "--wait", "2s").returncode != 0
        assert "UNAUTHENTICATED" in web(agent)["last_error"]
        assert workload.fetch(agent.address)
        assert serial(agent) == held

        istiod.trust("second.token")
        token.swap("second.token")

        wait_for_another(agent, held)
    assert "first.token" not in agent.process.output()


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_fault_84_without_its_file_the_last_token_is_used_until_it_is_refused(agent, istiod, token, how):
    agent.start()
    with open_stream(agent):
        held = serial(agent)
        token.file.unlink()
        if how == "empty":
            token.file.write_text("\n")
        agent.rotate()
        assert serial(agent) != held
        assert "token for the CA not read" in agent.process.output()

        held = serial(agent)
        istiod.distrust("first.token")
        assert agent.command("rotate", "--all", "--wait", "2s").returncode != 0
        assert "UNAUTHENTICATED" in web(agent)["last_error"]
        assert workload.fetch(agent.address)
        assert serial(agent) == held
