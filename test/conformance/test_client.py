"""The rows that bind a client: `nodepilot fetch` against servers that answer as told."""
import json
import os
import subprocess

import pytest

import pki
from kit.agent import spiffe_id
from spiffe_api import HEADER, STATUS, messages

STREAM = "/SpiffeWorkloadAPI/FetchX509SVID"
USAGE, FAILED, UNREACHABLE, DENIED = 2, 1, 3, 4  # docs and --help: what the command ends with


@pytest.fixture(scope="module")
def ca():
    return pki.Authority("ca", spiffe_id("").rstrip("/"))


@pytest.fixture
def run(nodepilot):
    """run(*arguments, env=ADDRESS): `nodepilot fetch x509`; without env the variable is not set."""
    def fetch(*arguments, env=None):
        variables = {name: value for name, value in os.environ.items() if name != "SPIFFE_ENDPOINT_SOCKET"}
        if env is not None:
            variables["SPIFFE_ENDPOINT_SOCKET"] = env
        return subprocess.run([nodepilot, "fetch", "x509", "--timeout", "5s", *arguments], env=variables, cwd="/",
                              capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    return fetch


def svid(ca, name="web", **more):
    certificate, key = ca.issue(spiffe_id(name))
    fields = {"spiffe_id": spiffe_id(name), "x509_svid": pki.der(certificate), "x509_svid_key": pki.key_der(key),
              "bundle": pki.der(ca.certificate), **more}
    return messages.X509SVID(**fields)


def answer(ca, **more):
    return messages.X509SVIDResponse(svids=[svid(ca)], **more)


def ids(done):
    assert done.returncode == 0, done.stderr
    return [one["spiffe_id"] for one in json.loads(done.stdout)["svids"]]


def test_WE_17_the_environment_gives_the_address(run, scripted, ca):
    server = scripted(FetchX509SVID=answer(ca))

    assert ids(run("-o", "json", env=server.address)) == [spiffe_id("web")]


def test_WE_17_an_address_on_the_command_line_comes_first(run, scripted, ca):
    server, other = scripted(FetchX509SVID=answer(ca)), scripted(FetchX509SVID=answer(ca))

    assert run("--socket", server.address, env=other.address).returncode == 0
    assert (len(server.asked), len(other.asked)) == (1, 0)


def test_WE_17_without_an_address_the_error_names_the_variable(run):
    done = run()

    assert done.returncode == USAGE
    assert "SPIFFE_ENDPOINT_SOCKET" in done.stderr


def refused(run, address):
    """Refused for its form, before anything is tried."""
    done = run(env=address)
    return done.returncode == USAGE and "SPIFFE_ENDPOINT_SOCKET" in done.stderr


@pytest.mark.parametrize("address", ["/run/x.sock", "http://127.0.0.1:80", "https:///a", "x.sock", ""])
def test_WE_18_any_other_scheme_or_none_is_refused(run, address):
    assert refused(run, address)


def test_WE_19_a_path_after_one_slash_or_three_is_reached(run, scripted, ca):
    server = scripted(FetchX509SVID=answer(ca))
    path = server.address.removeprefix("unix://")

    assert run(env=f"unix://{path}").returncode == 0
    assert run(env=f"unix:{path}").returncode == 0


@pytest.mark.parametrize("address", ["unix://run/a.sock", "unix://localhost/run/a.sock", "unix:a.sock", "unix:",
                                     "unix:///run/a.sock?x", "unix:///run/a.sock#x", "unix://"])
def test_WE_19_an_authority_a_relative_path_and_anything_more_are_refused(run, address):
    assert refused(run, address)


def test_WE_20_an_ip_address_with_a_port_is_reached(run, scripted, ca):
    server = scripted(FetchX509SVID=answer(ca))

    assert run(env=f"tcp://127.0.0.1:{server.port}").returncode == 0
    assert len(server.asked) == 1


def test_WE_20_an_ipv6_address_is_no_mistake_of_form(run):
    assert run(env="tcp://[::1]:1").returncode == UNREACHABLE


@pytest.mark.parametrize("address", ["tcp://localhost:1", "tcp://127.0.0.1", "tcp://127.0.0.1:1/foo",
                                     "tcp://127.0.0.1:1/", "tcp://127.0.0.1:1?x", "tcp://u@127.0.0.1:1"])
def test_WE_20_names_missing_ports_and_anything_more_are_refused(run, address):
    assert refused(run, address)


def test_WE_21_every_request_carries_the_header_once(run, scripted, ca):
    server = scripted(FetchX509SVID=answer(ca))

    run(env=server.address)

    assert [path for path, _ in server.asked] == [STREAM]
    for _, metadata in server.asked:
        assert [(name, value) for name, value in metadata if name == HEADER[0][0]] == list(HEADER)


@pytest.mark.parametrize("status", [STATUS.INVALID_ARGUMENT, STATUS.UNIMPLEMENTED], ids=lambda status: status.name)
def test_WE_22_what_cannot_mend_itself_is_asked_once(run, scripted, status):
    server = scripted(FetchX509SVID=status)

    done = run(env=server.address)

    assert done.returncode == FAILED
    assert status.name in done.stderr
    assert len(server.asked) == 1


@pytest.mark.parametrize("status, ends_with", [(STATUS.PERMISSION_DENIED, DENIED), (STATUS.UNAVAILABLE, UNREACHABLE)],
                         ids=["PERMISSION_DENIED", "UNAVAILABLE"])
def test_WE_22_a_script_can_tell_what_is_worth_another_try(run, scripted, status, ends_with):
    server = scripted(FetchX509SVID=status)

    assert run(env=server.address).returncode == ends_with


def test_WE_23_no_reflection_is_needed_nor_asked_for(run, scripted, ca):
    server = scripted(FetchX509SVID=answer(ca))  # it answers UNIMPLEMENTED to reflection

    assert run(env=server.address).returncode == 0
    assert not [path for path, _ in server.asked if "reflection" in path]


def test_WA_32_what_is_no_longer_sent_is_no_longer_told(run, scripted, ca):
    other = pki.Authority("other", "spiffe://other.example")
    federated = {"spiffe://other.example": pki.der(other.certificate)}
    server = scripted(FetchX509SVID=[answer(ca, federated_bundles=federated), answer(ca)])

    first, second = (json.loads(run("-o", "json", env=server.address).stdout) for _ in range(2))

    assert list(first["federated_bundles"]) == ["spiffe://other.example"]
    assert second["federated_bundles"] == {}


def test_WA_32_what_is_no_longer_sent_is_no_longer_among_the_files(run, scripted, ca, folder):
    other = pki.Authority("other", "spiffe://other.example")
    federated = {"spiffe://other.example": pki.der(other.certificate)}
    two = messages.X509SVIDResponse(svids=[svid(ca), svid(ca, "db")], federated_bundles=federated)
    server = scripted(FetchX509SVID=[two, answer(ca)])
    written = []

    for _ in range(2):
        assert run("--write", folder, env=server.address).returncode == 0
        written.append({path.name for path in folder.iterdir() if path.suffix in (".pem", ".key")})

    assert written[0] > written[1]
    assert written[1] == {"svid.0.pem", "svid.0.key", "bundle.0.pem"}


@pytest.mark.parametrize("field", ["spiffe_id", "x509_svid", "x509_svid_key", "bundle"])
def test_WA_33_a_message_without_a_mandatory_field_is_discarded(run, scripted, ca, field):
    empty = "" if field == "spiffe_id" else b""
    whole, broken = svid(ca), svid(ca, "db", **{field: empty})
    server = scripted(FetchX509SVID=messages.X509SVIDResponse(svids=[whole, broken]))

    done = run("-o", "json", env=server.address)

    assert done.returncode == FAILED
    assert done.stdout == ""


def test_WA_33_a_message_without_an_svid_is_discarded(run, scripted):
    server = scripted(FetchX509SVID=messages.X509SVIDResponse())

    assert run(env=server.address).returncode == FAILED


def test_WA_33_of_two_svids_with_one_hint_the_first_counts(run, scripted, ca):
    svids = [svid(ca, "web", hint="x"), svid(ca, "db", hint="x"), svid(ca, "log"), svid(ca, "cron")]
    server = scripted(FetchX509SVID=messages.X509SVIDResponse(svids=svids))

    assert ids(run("-o", "json", env=server.address)) == [spiffe_id("web"), spiffe_id("log"), spiffe_id("cron")]


def test_X509_21_the_client_holds_an_svid_against_the_bundle_sent_with_it(run, scripted, ca):
    other = pki.Authority("ca", spiffe_id("").rstrip("/"))
    server = scripted(FetchX509SVID=messages.X509SVIDResponse(svids=[svid(ca, bundle=pki.der(other.certificate))]))

    done = run(env=server.address)

    assert done.returncode == FAILED
    assert done.stdout == ""
