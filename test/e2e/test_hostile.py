"""Broken and hostile callers get an answer or a closed connection, and touch nobody else."""
import os
import socket

import grpc
import pytest

from kit import workload
from kit.agent import identity

STATUS = grpc.StatusCode


@pytest.fixture
def agent(make_agent, own_uid):
    return make_agent([identity("web", own_uid)]).start()


@pytest.fixture
def bystander(agent):
    """An open stream. At the end it must still be open and see a rotation, from the same process."""
    with workload.channel(agent.address) as opened:
        answers = workload.stream(opened)
        first = next(answers)
        yield
        assert agent.process.running()
        agent.rotate()
        assert next(answers) != first


def left_by_the_server(agent, data, seconds=10):
    """What comes back for raw bytes before the server closes; TimeoutError if it never does."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(seconds)
        caller.connect(str(agent.public))
        answer = b""
        try:
            caller.sendall(data)
            while chunk := caller.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


RAW = {
    "an HTTP/1 request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100310100002d0303") + bytes(32) + bytes.fromhex("000004130113020100"),
    "random bytes": os.urandom(4096),
    "nothing at all": b"",
    "half a preface": b"PRI * HTTP/2.0\r\n\r\nSM",
    "a preface and an oversize frame": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "a preface and data on no stream": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5) +
                                       b"\x00\x00\x01\x00\x00\x00\x00\x00\x07x",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW.keys())
def test_what_is_no_http2_is_closed(agent, bystander, data):
    answer = left_by_the_server(agent, data)

    assert b"spiffe://" not in answer


REQUESTS = {
    "an unknown method": ({"method": "FetchEverything"}, {STATUS.UNIMPLEMENTED}),
    "a method that is not served": ({"method": "FetchWITBundles"}, {STATUS.UNIMPLEMENTED}),
    "no security header": ({"metadata": ()}, {STATUS.INVALID_ARGUMENT}),
    "a wrong security header": ({"metadata": (("workload.spiffe.io", "false"),)}, {STATUS.INVALID_ARGUMENT}),
    "an oversize message": ({"request": b"\x0a" + b"x" * 20000}, {STATUS.RESOURCE_EXHAUSTED}),
    "a compressed message": ({"request": b"\x00" * 8000, "compression": grpc.Compression.Gzip},
                             {STATUS.UNIMPLEMENTED}),
    "a message that is no protobuf": ({"request": b"\xff" * 100}, {STATUS.INVALID_ARGUMENT}),
    "oversize headers": ({"metadata": (*workload.HEADER, ("x-big", "x" * 60000))},
                         {STATUS.RESOURCE_EXHAUSTED, STATUS.UNAVAILABLE}),
}


@pytest.mark.parametrize("request_, codes", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_that_breaks_the_rules_is_refused(agent, bystander, request_, codes):
    assert workload.refusal(agent.address, **request_) in codes


def test_connections_that_say_nothing_do_not_keep_others_out(agent, bystander):
    silent = [socket.socket(socket.AF_UNIX) for _ in range(200)]
    try:
        for one in silent:
            one.connect(str(agent.public))

        assert agent.command("fetch", "x509").returncode == 0
        for one in silent:
            one.settimeout(10)
            while one.recv(65536):
                pass
    finally:
        for one in silent:
            one.close()
