"""A workload that holds its identity with py-spiffe: prints one JSON line for every update and error.

Usage: client.py ADDRESS watch|source
"""
import json
import sys
import threading

from spiffe import WorkloadApiClient, X509Source

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


def main():
    _, address, mode = sys.argv
    try:
        {"watch": watch, "source": hold_source}[mode](address)
        done.wait()
    except Exception as error:  # the constructors already look for the socket
        fail(error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
