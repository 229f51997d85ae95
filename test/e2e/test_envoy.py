"""Two real Envoys, mutual TLS, certificates by SDS."""
import signal

import pytest

from conftest import CLIENT, CLIENT_UID, WEB, WEB_UID
from kit import load
from kit.agent import identity, spiffe_id
from kit.process import wait_until


def test_each_side_sees_the_identity_of_the_other(make_mesh):
    _, pair = make_mesh()

    reply = load.get(pair.client.port())

    assert (reply.status, reply.body) == (200, "hello")
    assert reply.headers["x-client-id"] == CLIENT
    assert reply.headers["x-server-id"] == WEB
    assert reply.headers["x-tls"] == "TLSv1.3"


def test_a_server_with_another_identity_is_refused(make_mesh):
    _, pair = make_mesh(expected_web=spiffe_id("other"))

    reply = load.get(pair.client.port())

    assert reply.status == 503
    assert pair.client.counter("cluster.web.ssl.fail_verify_san") > 0


def test_a_client_with_another_identity_is_refused(make_mesh):
    _, pair = make_mesh(expected_client=spiffe_id("other"))

    reply = load.get(pair.client.port())

    assert reply.status == 503
    assert pair.server.counter("listener.127.0.0.1_0.ssl.fail_verify_san") > 0


def test_a_forced_rotation_is_taken_by_both_envoys_at_once(make_mesh):
    agent, pair = make_mesh()
    before = agent.serials()

    with load.Load(pair.client.port()) as requests:
        wait_until("some requests", lambda: requests.made > 50)
        rotated = agent.rotate()
        wait_until("more requests", lambda: requests.made > 150)

    assert requests.failures == []
    assert len(rotated["rotations"]) == 2
    assert all(one["streams_current"] == one["streams"] > 0 for one in rotated["rotations"])
    assert not set(before.values()) & set(agent.serials().values())
    assert len(requests.client_serials) == 2


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_no_request_fails_over_a_hundred_rotations_of_each_identity(make_mesh):
    """Every two seconds or so, for some 200 seconds."""
    agent, pair = make_mesh("5s", {"rotation": {"at": 0.4, "jitter": 0.1}}, requests_per_connection=2)
    seen = {CLIENT: set(), WEB: set()}

    def rotated_a_hundred_times():
        for spiffe_id, serial in agent.serials().items():
            seen[spiffe_id].add(serial)
        return all(len(serials) > 100 for serials in seen.values())

    with load.Load(pair.client.port(), rate=100) as requests:
        wait_until("100 rotations", rotated_a_hundred_times, seconds=400, every=0.2)

    assert requests.failures == []
    assert requests.made > 10_000
    assert len(requests.client_serials) > 100


def test_no_request_fails_while_the_agent_is_killed_and_restarted(make_mesh):
    agent, pair = make_mesh(requests_per_connection=2)
    before = agent.serials()

    with load.Load(pair.client.port()) as requests:
        wait_until("some requests", lambda: requests.made > 50)
        agent.kill()
        wait_until("requests without an agent", lambda: requests.made > 250)
        agent.start()
        wait_until("both Envoys to come back", lambda: len(agent.serials()) == 2, seconds=20)
        made = requests.made
        wait_until("requests with new certificates",
                   lambda: len(requests.client_serials) == 2 and requests.made > made + 50)

    assert requests.failures == []
    assert not set(before.values()) & set(agent.serials().values())


def test_rotate_tells_when_a_client_does_not_take_the_certificate(make_mesh):
    agent, pair = make_mesh()
    pair.client.process.popen.send_signal(signal.SIGSTOP)

    done = agent.command("rotate", "--all", "--wait", "500ms")
    pair.client.process.popen.send_signal(signal.SIGCONT)

    assert done.returncode == 6
    assert load.get(pair.client.port()).status == 200


@pytest.mark.skipif(WEB_UID is None, reason="needs root: runs workloads as several users")
def test_an_envoy_gets_no_identity_but_its_own(make_agent, make_pair):
    agent = make_agent([identity("web", f"unix:uid:{WEB_UID}"), identity("client", f"unix:uid:{CLIENT_UID}"),
                        identity("other", "unix:uid:61003")]).start()
    pair = make_pair(agent)

    certificates = pair.client.admin("/certs")

    assert CLIENT in certificates
    assert WEB not in certificates
    assert spiffe_id("other") not in certificates
