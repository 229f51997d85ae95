"""A workload that holds its identity with py-spiffe: prints one JSON line for every update and error."""
import json
import sys
import threading

from spiffe import WorkloadApiClient


def show(**line):
    print(json.dumps(line), flush=True)


def watch(address, done):
    def on_update(context):
        svid = context.default_svid
        bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
        show(event="update", svids=len(context.x509_svids), spiffe_id=str(svid.spiffe_id),
             serial=format(svid.leaf.serial_number, "x"), roots=len(bundle.x509_authorities))

    def on_error(error):
        show(event="error", error=str(error))
        done.set()

    try:
        return WorkloadApiClient(address).stream_x509_contexts(on_update, on_error)
    except Exception as error:  # its constructor already looks for the socket
        return on_error(error)


def main():
    done = threading.Event()
    watch(sys.argv[1], done)
    done.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main())
