"""What the public socket serves besides identities: health and reflection, to generic clients."""
import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from kit import workload
from kit.agent import TRUST_DOMAIN, identity

SERVICES = ["SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService"]
State = health_pb2.HealthCheckResponse.ServingStatus


@pytest.fixture
def agent(make_agent, own_uid):
    return make_agent([identity("web", own_uid)]).start()


@pytest.fixture
def channel(agent):
    with workload.channel(agent.address) as opened:
        yield opened


def check(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status


def watch(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Watch(request, timeout=10)


def reflect(channel, version, requests):
    """The answers to all requests, sent at once on one stream."""
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    return list(call(iter(requests), timeout=10))


def symbol(name):
    return reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_the_agent_says_that_it_serves(channel, service):
    assert check(channel, service) == State.SERVING
    assert next(watch(channel, service)).status == State.SERVING


def test_a_caller_without_an_identity_may_ask_for_health(make_agent):
    agent = make_agent([identity("web", "unix:uid:4000000000")]).start()

    assert workload.refusal(agent.address) == grpc.StatusCode.PERMISSION_DENIED
    with workload.channel(agent.address) as opened:
        assert check(opened, "") == State.SERVING


def test_a_service_that_is_not_known(channel):
    with pytest.raises(grpc.RpcError) as refused:
        check(channel, "nodepilot.admin.v1.Admin")

    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert next(watch(channel, "nodepilot.admin.v1.Admin")).status == State.SERVICE_UNKNOWN


def test_a_watch_ends_when_the_agent_stops(agent, channel):
    states = watch(channel, "")
    next(states)

    assert agent.stop() == 0

    with pytest.raises(grpc.RpcError) as end:
        next(states)
    assert end.value.code() == grpc.StatusCode.UNAVAILABLE


def test_reflection_lists_what_is_served(channel):
    listed = ProtoReflectionDescriptorDatabase(channel).get_services()

    assert sorted(listed) == sorted([*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                     "grpc.reflection.v1alpha.ServerReflection"])


def test_with_a_mesh_its_services_are_known_and_a_client_that_knows_nothing_gets_listeners(make_agent, own_uid, folder):
    workload_of_mesh = {"name": "web", "namespace": "shop", "identity": "/web",
                        "ports": [{"port": 8080, "app": "127.0.0.1:81", "protocol": "auto"}]}
    policy = folder / "policy"
    policy.mkdir()
    agent = make_agent([identity("web", own_uid)],
                       mesh={"policy": str(policy), "workloads": [workload_of_mesh]}).start()
    services = ["envoy.service.listener.v3.ListenerDiscoveryService",
                "envoy.service.cluster.v3.ClusterDiscoveryService", "envoy.service.accesslog.v3.AccessLogService"]

    with workload.channel(agent.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(services) <= set(database.get_services())
        assert [check(channel, service) for service in services] == [State.SERVING] * 3

        pool = DescriptorPool(database)
        method = pool.FindServiceByName(services[0]).FindMethodByName("StreamListeners")
        request, response = (message_factory.GetMessageClass(type_)
                             for type_ in (method.input_type, method.output_type))
        call = channel.stream_stream(f"/{services[0]}/StreamListeners", request_serializer=request.SerializeToString,
                                     response_deserializer=response.FromString)
        answers = call(iter([request(node={"id": "web"})]), timeout=10)
        listener = message_factory.GetMessageClass(pool.FindMessageTypeByName("envoy.config.listener.v3.Listener"))()
        assert next(answers).resources[0].Unpack(listener)
        answers.cancel()
        assert listener.name == "inbound_8080" and len(listener.filter_chains) == 5
        for chain in listener.filter_chains:
            assert pool.FindMessageTypeByName(chain.filters[0].typed_config.TypeName())


def test_a_client_that_knows_nothing_fetches_bundles_by_reflection(channel):
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

    service = pool.FindServiceByName("SpiffeWorkloadAPI")
    method = service.FindMethodByName("FetchX509Bundles")
    fetch = channel.unary_stream(
        f"/{service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString)
    answer = next(fetch(message_factory.GetMessageClass(method.input_type)(), metadata=workload.HEADER, timeout=10))

    assert len(service.methods) == 7
    assert list(answer.bundles) == [f"spiffe://{TRUST_DOMAIN}"]
    assert len(answer.bundles[f"spiffe://{TRUST_DOMAIN}"]) > 100


@pytest.mark.parametrize("service", SERVICES)
def test_every_import_of_a_service_can_be_had(channel, service):
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

    for method in pool.FindServiceByName(service).methods:
        assert message_factory.GetMessageClass(method.input_type)() is not None
        assert message_factory.GetMessageClass(method.output_type)() is not None


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_many_requests_at_once_are_answered_in_their_order(channel, version):
    asked = ["X509SVID", "grpc.health.v1.Health", "nothing", "SpiffeWorkloadAPI.FetchX509SVID"] * 20

    answers = reflect(channel, version, [symbol(name) for name in asked])

    assert [answer.original_request.file_containing_symbol for answer in answers] == asked
    assert [answer.WhichOneof("message_response") for answer in answers[:4]] == [
        "file_descriptor_response", "file_descriptor_response", "error_response", "file_descriptor_response"]


def test_the_admin_api_is_neither_described_nor_served(agent, channel):
    answers = reflect(channel, "v1", [
        symbol("nodepilot.admin.v1.Admin"), symbol("nodepilot.admin.v1.Admin.Rotate"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="proto/nodepilot/admin.proto")])

    assert [answer.error_response.error_code for answer in answers] == [grpc.StatusCode.NOT_FOUND.value[0]] * 3
    with workload.channel(f"unix://{agent.admin}") as admin, pytest.raises(grpc.RpcError) as refused:
        reflect(admin, "v1", [symbol("nodepilot.admin.v1.Admin")])
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
