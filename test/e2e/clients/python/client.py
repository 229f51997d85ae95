"""A workload that holds its identity with py-spiffe: prints one JSON line for every update and error.

Usage: client.py ADDRESS watch|source|tokens
"""
import hashlib
import json
import sys
import threading

from spiffe import JwtSource, JwtSvid, WorkloadApiClient, X509Source
from spiffe.errors import PySpiffeError

AUDIENCE = "backend"
done = threading.Event()


def show(**line):
    print(json.dumps(line), flush=True)


def show_x509(context):
    svid = context.default_svid
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    show(event="update", svids=len(context.x509_svids), spiffe_id=str(svid.spiffe_id),
         serial=format(svid.leaf.serial_number, "x"), roots=len(bundle.x509_authorities))


def fail(error):
    show(event="error", error=str(error))
    done.set()


def watch(address):
    """Every X.509 context as it comes."""
    WorkloadApiClient(address).stream_x509_contexts(show_x509, fail)


def hold_source(address):
    """What a server sees that leaves all of it to the library."""
    source = X509Source(socket_path=address, timeout_in_seconds=20)
    source.subscribe_for_updates(lambda: show_x509(source.get_x509_context()))
    show_x509(source.get_x509_context())


def use_token(client, source):
    """Fetches a token and has it validated here and by the agent; the agent must not take it for another audience."""
    svid = source.fetch_svid({AUDIENCE})
    bundle = source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    here = JwtSvid.parse_and_validate(svid.token, bundle, {AUDIENCE})
    there = client.validate_jwt_svid(svid.token, AUDIENCE)
    refusal = ""
    try:
        client.validate_jwt_svid(svid.token, "frontend")
    except PySpiffeError as error:
        refusal = str(error)
    show(event="update", spiffe_id=str(svid.spiffe_id), token=hashlib.sha256(svid.token.encode()).hexdigest(),
         here=str(here.spiffe_id), there=str(there.spiffe_id), refusal=refusal)


def hold_tokens(address):
    """Uses a token at every update of the JWT bundles."""
    client = WorkloadApiClient(address)
    source = JwtSource(client, timeout_in_seconds=20)
    source.subscribe_for_updates(lambda: use_token(client, source))
    use_token(client, source)


MODES = {"watch": watch, "source": hold_source, "tokens": hold_tokens}


def main():
    _, address, mode = sys.argv
    try:
        MODES[mode](address)
        done.wait()
    except Exception as error:  # the constructors already look for the socket
        fail(error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
