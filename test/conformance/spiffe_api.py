"""The Workload API as grpcio speaks it, with stubs that protoc makes of our .proto at run time."""

import grpc
from cryptography import x509
from google.protobuf.message_factory import GetMessageClass

HEADER = (("workload.spiffe.io", "true"),)
STATUS = grpc.StatusCode
messages, services = grpc.protos_and_services("proto/spiffe/workload.proto")
METHODS = messages.DESCRIPTOR.services_by_name["SpiffeWorkloadAPI"].methods_by_name


class Connection:
    """One connection to a Workload API."""

    def __init__(self, address):
        # Without a pool of its own each channel would share the process's connections.
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self._stub = services.SpiffeWorkloadAPIStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def call(self, method, metadata=HEADER, timeout=10, **fields):
        """The answer of a unary method, the iterator over the answers of a stream."""
        request = GetMessageClass(METHODS[method].input_type)(**fields)
        return getattr(self._stub, method)(request, metadata=metadata, timeout=timeout)

    def first(self, method, **options):
        """The answer, or the first of a stream."""
        answer = self.call(method, **options)
        return next(answer) if METHODS[method].server_streaming else answer


def fetch(address, method, **options):
    """The first answer to a request on a connection of its own."""
    with Connection(address) as connection:
        return connection.first(method, **options)


def code(address, method, **options):
    """The status that such a request gets."""
    try:
        fetch(address, method, **options)
    except grpc.RpcError as error:
        return error.code()
    return STATUS.OK


def certificates(der):
    """The certificates of "DER DER DER"; nothing may stand between or after them."""
    found = []
    while der:
        # A certificate is a SEQUENCE with a length of two bytes: shorter or longer ones do not occur here.
        assert der[:2] == b"\x30\x82", der[:16]
        length = 4 + int.from_bytes(der[2:4], "big")
        found.append(x509.load_der_x509_certificate(der[:length]))
        der = der[length:]
    return found


def uri_sans(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def serials(answer):
    """SPIFFE ID -> serial of the leaf, in the order of the answer."""
    return {svid.spiffe_id: certificates(svid.x509_svid)[0].serial_number for svid in answer.svids}
