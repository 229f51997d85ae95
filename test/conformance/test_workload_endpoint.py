"""Workload Endpoint, the agent as a server."""
import json
import os
import socket
import stat

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from kit import clients
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from kit.setting import ROOT, needs_root
from spiffe_api import HEADER, METHODS, STATUS, Connection, code, fetch

STREAM = "FetchX509SVID"


def listening_tcp_sockets(pid):
    """The inodes of the TCP sockets on which process `pid` listens."""
    listening = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            listening |= {line.split()[9] for line in lines if line.split()[3] == "0A"}
    own = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    return {inode for inode in listening if f"socket:[{inode}]" in own}


@needs_root
def test_WE_01_no_tcp_port_is_opened(agent):
    assert fetch(agent.address, STREAM).svids
    assert listening_tcp_sockets(agent.process.pid) == set()


def test_WE_02_a_client_of_grpc_is_served(agent):
    assert fetch(agent.address, STREAM).svids


def test_WE_02_plain_http_gets_no_answer_of_the_api(agent):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(agent.public))
        caller.sendall(b"GET /SpiffeWorkloadAPI/FetchX509SVID HTTP/1.1\r\nHost: localhost\r\n"
                       b"workload.spiffe.io: true\r\nContent-Length: 0\r\n\r\n")
        answer = b""
        try:
            while part := caller.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    assert b"spiffe://" not in answer
    assert b"200" not in answer


def test_WE_03_the_endpoint_is_a_unix_socket(agent):
    assert stat.S_ISSOCK(agent.public.stat().st_mode)


NO_HEADERS = {
    "absent": (),
    "capital": ((HEADER[0][0], "True"),),
    "upper_case": ((HEADER[0][0], "TRUE"),),
    "number": ((HEADER[0][0], "1"),),
    "empty": ((HEADER[0][0], ""),),
    "false": ((HEADER[0][0], "false"),),
    "more": ((HEADER[0][0], "true,true"),),
    "twice": (HEADER[0], HEADER[0]),
    "contradiction": (HEADER[0], (HEADER[0][0], "false")),
    "other_name": (("broker.spiffe.io", "true"),),
}


def test_WE_05_the_header_lets_a_request_in(agent):
    assert code(agent.address, STREAM, metadata=HEADER) == STATUS.OK


@pytest.mark.parametrize("metadata", NO_HEADERS.values(), ids=NO_HEADERS)
def test_WE_05_any_other_header_is_rejected(agent, metadata):
    assert code(agent.address, STREAM, metadata=metadata) != STATUS.OK


@pytest.mark.parametrize("method", METHODS)
def test_WE_06_every_method_rejects_with_invalid_argument(agent, method):
    assert code(agent.address, method, metadata=()) == STATUS.INVALID_ARGUMENT


@pytest.mark.parametrize("method", METHODS)
def test_WE_06_a_caller_without_an_identity_hears_of_the_header_first(stranger, method):
    assert code(stranger.address, method, metadata=()) == STATUS.INVALID_ARGUMENT


def test_WE_07_a_plaintext_client_gets_through(agent):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(agent.public))
        caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))  # an empty SETTINGS
        head = caller.recv(9)
    assert head[3] == 4, "the answer is not the SETTINGS of HTTP/2 over plain text"


def test_WE_08_a_client_without_any_credential_is_served(agent):
    with grpc.insecure_channel(agent.address) as channel:  # no certificate, no call credentials
        call = channel.unary_stream(f"/SpiffeWorkloadAPI/{STREAM}", None, None)
        assert spiffe_id("web").encode() in next(call(b"", metadata=HEADER, timeout=10))


def test_WE_09_two_callers_of_one_socket_get_two_identities(make_agent, two_callers):
    (first, run_first), (second, run_second) = two_callers
    agent = make_agent([identity("one", first), identity("two", second)]).start()

    def ids(run):
        done = agent.command("fetch", "x509", "-o", "json", **run)
        return [svid["spiffe_id"] for svid in json.loads(done.stdout)["svids"]]

    assert ids(run_first) == [spiffe_id("one")]
    assert ids(run_second) == [spiffe_id("two")]


def test_WE_09_what_a_caller_says_of_itself_changes_nothing(agent, stranger):
    forged = (*HEADER, ("x-spiffe-id", spiffe_id("admin")), ("x-forwarded-client-cert", f"URI={spiffe_id('admin')}"),
              ("authorization", "Bearer x"), ("uid", "4294967294"), ("pid", "1"))

    served = fetch(agent.address, STREAM, metadata=forged)

    assert [svid.spiffe_id for svid in served.svids] == [spiffe_id("web"), spiffe_id("db")]
    assert code(stranger.address, STREAM, metadata=forged) == STATUS.PERMISSION_DENIED


@pytest.mark.parametrize("library", ["go-spiffe", "py-spiffe"])
def test_WE_10_a_stock_client_is_served(agent, folder, library):
    try:
        argv, _ = clients.find(library, ROOT)
    except clients.Missing as reason:
        pytest.skip(str(reason))
    client = clients.Client(argv(agent.address, "source"), folder / "client.log")
    try:
        assert client.wait_update()["spiffe_id"] == spiffe_id("web")
    finally:
        client.process.stop(5)


def test_WE_11_a_connection_over_the_cap_is_told_to_come_back(make_agent, us):
    agent = make_agent([identity("web", us)], limits={"connections_per_uid": 2}).start()
    with Connection(agent.address) as one, Connection(agent.address) as two:
        assert one.first(STREAM) and two.first(STREAM)

        assert code(agent.address, STREAM) == STATUS.UNAVAILABLE


@pytest.mark.parametrize("method", ["FetchX509SVID", "FetchX509Bundles"])
def test_WE_12_a_caller_without_an_identity_is_denied(stranger, method):
    assert code(stranger.address, method) == STATUS.PERMISSION_DENIED


def test_WE_12_a_caller_with_an_identity_is_not(make_agent, us):
    agent = make_agent([identity("web", us)]).start()

    assert code(agent.address, STREAM) == STATUS.OK


@pytest.fixture
def reflection(agent):
    with grpc.insecure_channel(agent.address) as channel:
        yield ProtoReflectionDescriptorDatabase(channel)


def test_WE_13_the_standard_service_has_its_seven_methods_and_no_other(reflection):
    file = reflection.FindFileContainingSymbol("SpiffeWorkloadAPI")

    methods = {service.name: [method.name for method in service.method] for service in file.service}

    assert {name: set(names) for name, names in methods.items()} == {"SpiffeWorkloadAPI": set(METHODS)}
    assert len(methods["SpiffeWorkloadAPI"]) == len(METHODS) == 7


def test_WE_13_what_is_served_besides_has_names_of_its_own(reflection):
    besides = [name for name in reflection.get_services() if name != "SpiffeWorkloadAPI"]

    assert besides
    assert all(name.startswith(("envoy.", "grpc.")) for name in besides)


def test_WE_15_reflection_tells_the_services(reflection):
    assert "SpiffeWorkloadAPI" in reflection.get_services()


def test_WE_15_a_client_that_knows_nothing_can_call_by_reflection(agent, reflection):
    pool = DescriptorPool(reflection)
    method = pool.FindServiceByName("SpiffeWorkloadAPI").methods_by_name["FetchX509Bundles"]
    answer_type = GetMessageClass(method.output_type)
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_stream("/SpiffeWorkloadAPI/FetchX509Bundles", None, answer_type.FromString)
        assert list(next(call(b"", metadata=HEADER, timeout=10)).bundles) == [f"spiffe://{TRUST_DOMAIN}"]


def path_code(agent, path):
    with grpc.insecure_channel(agent.address) as channel:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(path, None, None)(b"", metadata=HEADER, timeout=10)
    return error.value.code()


def test_WE_14_the_endpoint_answers_under_the_path_of_the_standard(agent):
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_stream("/SpiffeWorkloadAPI/FetchX509SVID", None, None)
        assert spiffe_id("web").encode() in next(call(b"", metadata=HEADER, timeout=10))


@pytest.mark.parametrize("path", ["/SpiffeWorkloadAPI/FetchEverything", "/SpiffeWorkloadAPI/fetchX509SVID",
                                  "/WorkloadAPI/FetchX509SVID", "/spiffe.broker.API/FetchJWTSVID"])
def test_WE_16_what_does_not_exist_is_unimplemented(agent, path):
    assert path_code(agent, path) == STATUS.UNIMPLEMENTED
