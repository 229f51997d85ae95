"""The Workload API spoken directly with grpcio, for what no client library would send."""
import grpc

HEADER = (("workload.spiffe.io", "true"),)


def channel(address):
    # Without a pool of its own each channel would share the process's connections.
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def stream(open_channel, method="FetchX509SVID", request=b"", metadata=HEADER, timeout=10, **options):
    """The answers, as bytes."""
    call = open_channel.unary_stream(f"/SpiffeWorkloadAPI/{method}", request_serializer=None,
                                     response_deserializer=None)
    return call(request, metadata=metadata, timeout=timeout, **options)


def fetch(address, **request):
    """The first answer; grpc.RpcError if there is none."""
    with channel(address) as opened:
        answers = stream(opened, **request)
        first = next(answers)
        answers.cancel()
        return first


def refusal(address, **request):
    """The status code that such a request gets."""
    try:
        fetch(address, **request)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
