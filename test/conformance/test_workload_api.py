"""Workload API, the agent as a server: the X.509 profile and what all profiles share."""
import queue
import statistics
import threading
import time

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from kit import clients
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from kit.process import wait_until
from kit.setting import ROOT
from spiffe_api import METHODS, STATUS, Connection, certificates, code, fetch, messages, serials, uri_sans

OWN_DOMAIN = f"spiffe://{TRUST_DOMAIN}"

# The tables of the standard: message -> field number -> (name, type).
MESSAGES = {
    "X509SVIDRequest": {}, "X509BundlesRequest": {}, "JWTBundlesRequest": {}, "WITBundlesRequest": {},
    "X509SVIDResponse": {1: ("svids", "X509SVID[]"), 2: ("crl", "bytes[]"), 3: ("federated_bundles", "string>bytes")},
    "X509SVID": {1: ("spiffe_id", "string"), 2: ("x509_svid", "bytes"), 3: ("x509_svid_key", "bytes"),
                 4: ("bundle", "bytes"), 5: ("hint", "string")},
    "X509BundlesResponse": {1: ("crl", "bytes[]"), 2: ("bundles", "string>bytes")},
    "JWTSVIDRequest": {1: ("audience", "string[]"), 2: ("spiffe_id", "string")},
    "JWTSVIDResponse": {1: ("svids", "JWTSVID[]")},
    "JWTSVID": {1: ("spiffe_id", "string"), 2: ("svid", "string"), 3: ("hint", "string")},
    "JWTBundlesResponse": {1: ("bundles", "string>bytes")},
    "ValidateJWTSVIDRequest": {1: ("audience", "string"), 2: ("svid", "string")},
    "ValidateJWTSVIDResponse": {1: ("spiffe_id", "string"), 2: ("claims", "google.protobuf.Struct")},
    "WITSVIDRequest": {1: ("spiffe_id", "string")},
    "WITSVIDResponse": {1: ("svids", "WITSVID[]")},
    "WITSVID": {1: ("spiffe_id", "string"), 2: ("wit_svid", "string"), 3: ("wit_svid_key", "string"),
                4: ("hint", "string")},
    "WITBundlesResponse": {1: ("bundles", "string>string")},
}
METHOD_TABLE = {
    "FetchX509SVID": ("X509SVIDRequest", "X509SVIDResponse", True),
    "FetchX509Bundles": ("X509BundlesRequest", "X509BundlesResponse", True),
    "FetchJWTSVID": ("JWTSVIDRequest", "JWTSVIDResponse", False),
    "FetchJWTBundles": ("JWTBundlesRequest", "JWTBundlesResponse", True),
    "ValidateJWTSVID": ("ValidateJWTSVIDRequest", "ValidateJWTSVIDResponse", False),
    "FetchWITSVID": ("WITSVIDRequest", "WITSVIDResponse", True),
    "FetchWITBundles": ("WITBundlesRequest", "WITBundlesResponse", True),
}


def type_of(field):
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        return f"{type_of(key)}>{type_of(value)}"
    scalar = {field.TYPE_STRING: "string", field.TYPE_BYTES: "bytes"}
    name = scalar.get(field.type) or field.message_type.full_name
    return name + "[]" * field.is_repeated


class Stream:
    """A stream that is read all the time; the messages wait in a queue."""

    def __init__(self, agent, method="FetchX509SVID"):
        self._connection = Connection(agent.address)
        self._answers = self._connection.call(method, timeout=60)
        self._queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for answer in self._answers:
                self._queue.put(answer)
        except grpc.RpcError as error:
            self._queue.put(error.code())

    def next(self, seconds=10):
        """The next message, or the status at the end."""
        return self._queue.get(timeout=seconds)

    def is_silent(self, seconds):
        try:
            return not self.next(seconds)
        except queue.Empty:
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.__exit__()


@pytest.fixture
def own_agent(make_agent, us):
    """As `agent`, for tests that change it."""
    return make_agent([identity("web", us, hint="internal"), identity("db", us)]).start()


@pytest.mark.parametrize("method", ["FetchX509SVID", "FetchX509Bundles"])
def test_WA_01_the_x509_profile_is_served(agent, method):
    assert code(agent.address, method) == STATUS.OK


def test_WA_02_the_messages_are_those_of_the_standard():
    ours = {name: {field.number: (field.name, type_of(field)) for field in message.fields}
            for name, message in messages.DESCRIPTOR.message_types_by_name.items()}

    assert ours == MESSAGES


def test_WA_02_the_methods_are_those_of_the_standard():
    ours = {name: (method.input_type.name, method.output_type.name, method.server_streaming)
            for name, method in METHODS.items()}

    assert messages.DESCRIPTOR.package == ""
    assert ours == METHOD_TABLE
    assert not any(method.client_streaming for method in METHODS.values())


def test_WA_02_no_field_beyond_the_standard_is_sent(agent):
    for method in ("FetchX509SVID", "FetchX509Bundles"):
        answer = fetch(agent.address, method)
        size = len(answer.SerializeToString())
        answer.DiscardUnknownFields()
        for svid in getattr(answer, "svids", []):
            svid.DiscardUnknownFields()
        assert len(answer.SerializeToString()) == size


def test_WA_03_a_rotation_of_one_identity_sends_both(own_agent):
    with Stream(own_agent) as stream:
        before = stream.next()
        assert own_agent.command("rotate", spiffe_id("db"), "--wait", "10s").returncode == 0
        after = stream.next()

    old, new = serials(before), serials(after)
    assert list(new) == list(old) == [spiffe_id("web"), spiffe_id("db")]
    assert new[spiffe_id("web")] == old[spiffe_id("web")]
    assert new[spiffe_id("db")] != old[spiffe_id("db")]
    assert all(certificates(svid.bundle) and svid.x509_svid_key for svid in after.svids)


def test_WA_04_the_first_message_comes_at_once(agent):
    fetch(agent.address, "FetchX509SVID")  # what is held from now on
    took = []
    for _ in range(50):
        begun = time.monotonic()
        fetch(agent.address, "FetchX509SVID")
        took.append(time.monotonic() - begun)

    assert statistics.median(took) < 0.1
    assert max(took) < 2


def test_WA_05_one_event_sends_one_message_and_no_event_none(own_agent):
    with Stream(own_agent) as svids, Stream(own_agent, "FetchX509Bundles") as bundles:
        first = svids.next()
        bundles.next()
        assert svids.is_silent(1)

        assert own_agent.command("rotate", spiffe_id("db"), "--wait", "10s").returncode == 0

        assert serials(svids.next()) != serials(first)
        assert svids.is_silent(1)
        assert bundles.is_silent(0.1)


def test_WA_07_a_client_that_drops_its_connection_frees_the_stream(own_agent):
    def streams():
        return own_agent.json("status")["identities"][0]["streams"]

    with Stream(own_agent) as stream:
        stream.next()
        wait_until("the stream to be counted", lambda: streams() == 1)

    wait_until("the stream to be freed", lambda: streams() == 0)


def test_WA_07_a_client_comes_back_after_a_restart(own_agent, folder):
    argv, _ = clients.find("py-spiffe", ROOT)
    client = clients.Client(argv(own_agent.address, "source"), folder / "client.log")
    try:
        first = client.wait_update()
        own_agent.stop()
        own_agent.start()

        assert client.wait_update(other_than=first["serial"])["spiffe_id"] == spiffe_id("web")
    finally:
        client.process.stop(5)


def test_WA_09_there_is_one_svid_for_each_identity(agent):
    answer = fetch(agent.address, "FetchX509SVID")

    assert [svid.spiffe_id for svid in answer.svids] == [spiffe_id("web"), spiffe_id("db")]


def test_WA_09_who_has_no_identity_gets_no_empty_message(stranger):
    with pytest.raises(grpc.RpcError):
        fetch(stranger.address, "FetchX509SVID")


def test_WA_10_every_field_is_there_in_the_form_of_the_standard(agent):
    for svid in fetch(agent.address, "FetchX509SVID").svids:
        leaf, *intermediates = certificates(svid.x509_svid)
        roots = certificates(svid.bundle)
        key = load_der_private_key(svid.x509_svid_key, password=None)
        forms = Encoding.DER, PublicFormat.SubjectPublicKeyInfo

        assert uri_sans(leaf) == [svid.spiffe_id]
        assert key.public_key().public_bytes(*forms) == leaf.public_key().public_bytes(*forms)
        leaf.verify_directly_issued_by((intermediates or roots)[0])
        # PKCS#8 begins with version 0, SEC1 with version 1.
        assert b"\x02\x01\x00\x30" in svid.x509_svid_key[:8]


def test_WA_10_nothing_is_sent_as_pem(agent):
    for method in ("FetchX509SVID", "FetchX509Bundles"):
        assert b"-----BEGIN" not in fetch(agent.address, method).SerializeToString()


def test_WA_11_of_two_svids_with_one_hint_the_first_keeps_it(serve, us):
    agent = serve([identity("web", us, hint="x"), identity("db", us, hint="x"), identity("log", us, hint="y")])

    for _ in range(3):
        hints = [(svid.spiffe_id, svid.hint) for svid in fetch(agent.address, "FetchX509SVID").svids]
        assert hints == [(spiffe_id("web"), "x"), (spiffe_id("db"), ""), (spiffe_id("log"), "y")]


def test_WA_13_the_order_survives_rotations_and_restarts(make_agent, us):
    names = ["zebra", "ant", "monkey", "bee"]
    agent = make_agent([identity(name, us) for name in names]).start()

    def order():
        return [svid.spiffe_id for svid in fetch(agent.address, "FetchX509SVID").svids]

    expected = [spiffe_id(name) for name in names]
    assert order() == expected
    agent.command("rotate", spiffe_id("monkey"), "--wait", "10s")
    assert order() == expected
    agent.rotate()
    assert order() == expected
    agent.stop()
    agent.start()
    assert order() == expected


def test_WA_14_a_caller_without_an_svid_is_denied(stranger):
    assert code(stranger.address, "FetchX509SVID") == STATUS.PERMISSION_DENIED


def test_WA_16_without_a_federation_there_is_one_bundle_our_own(agent):
    bundles = fetch(agent.address, "FetchX509Bundles").bundles

    assert list(bundles) == [OWN_DOMAIN]
    assert bundles[OWN_DOMAIN] == fetch(agent.address, "FetchX509SVID").svids[0].bundle


def test_WA_17_a_caller_without_an_identity_gets_no_x509_bundles(stranger):
    assert code(stranger.address, "FetchX509Bundles") == STATUS.PERMISSION_DENIED


@pytest.mark.parametrize("method", ["FetchWITSVID", "FetchWITBundles"])
def test_WA_28_wit_methods_are_unimplemented(agent, method):
    assert code(agent.address, method) == STATUS.UNIMPLEMENTED
