#!/usr/bin/env python3
"""Fails when an include breaks the direction of dependencies (docs/architecture.md)."""
import pathlib
import re
import sys

# Room -> the rooms that its files may include besides their own. Longest matching path wins.
ROOMS = {
    "agent/base": [],
    "attest": ["agent/base"],
    "attest/kubernetes": ["attest", "agent/base"],
    "attest/systemd": ["attest", "agent/base"],
    "attest/docker": ["attest", "agent/base"],
    "rotation/pki": ["agent/base"],
    "rotation": ["rotation/pki", "agent/base"],
    "rotation/https": ["rotation/pki", "agent/base"],
    "rotation/federation": ["rotation", "rotation/https", "rotation/pki", "agent/base"],
    "rotation/state": ["rotation", "rotation/pki", "agent/base"],
    "rotation/outputs": ["rotation", "rotation/pki", "agent/base"],
    "rotation/ca": ["rotation", "rotation/pki", "agent/base", "proto"],
    "rotation/ca/istiod": ["rotation", "rotation/pki", "agent/base", "proto"],
    "rotation/ca/vault": ["rotation", "rotation/https", "rotation/pki", "agent/base"],
    "sds/rpc": ["attest", "agent/base"],
    "sds": ["sds/rpc", "attest", "rotation", "rotation/pki", "agent/base", "proto"],
    "agent/mesh": ["agent/base", "proto"],
    "agent/config": ["sds", "sds/rpc", "attest", "attest/kubernetes", "attest/docker", "rotation",
                     "rotation/ca/istiod", "rotation/ca/vault", "rotation/https",
                     "rotation/federation", "rotation/outputs", "agent/base", "agent/mesh"],
    "agent/cli": ["agent", "agent/config", "agent/mesh", "rotation", "rotation/pki", "agent/base", "proto"],
    "agent": ["sds", "sds/rpc", "attest", "attest/kubernetes", "attest/docker", "attest/systemd",
              "rotation", "rotation/pki", "rotation/ca", "rotation/ca/istiod",
              "rotation/ca/vault", "rotation/https", "rotation/federation",
              "rotation/state", "rotation/outputs", "agent/base", "agent/cli", "agent/config", "agent/mesh",
              "proto"],
}

# Library header -> the rooms where it may be included.
LIBRARIES = {
    r"openssl/(?!crypto\.h|ssl\.h|err\.h)": ["rotation/pki", "agent/base"],
    r"openssl/(ssl|err)\.h": ["rotation/pki", "rotation/https"],
    r"openssl/crypto\.h": ["rotation/pki", "agent/base", "agent"],
    r"cjose/": ["rotation/pki"],
    r"nghttp2/": ["sds/rpc"],
    r"grpc(pp)?/|.*\.grpc\.pb\.h": ["rotation/ca/istiod", "agent/cli"],
    r"boost/asio": ["agent/base", "sds/rpc", "rotation/https", "attest/docker", "agent"],
    r"boost/beast": ["rotation/https", "attest/docker", "agent"],
    r"spdlog/": ["agent/base"],
    r"yaml-cpp/": ["agent/config"],
    r"prometheus/": ["agent"],
    r"CLI/": ["agent/cli", "agent"],
    r"systemd/": ["agent", "rotation/outputs", "attest/systemd"],
}


def room_of(path):
    fits = [room for room in ROOMS if path.startswith(room + "/")]
    return max(fits, key=len) if fits else None


def violations(root):
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root).as_posix()
        room = room_of(path)
        if room is None or file.suffix not in (".h", ".cc"):
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            include = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if not include:
                continue
            target = include.group(1)
            place = f"{path}:{number}: {room} may not include {target}"
            target_room = "proto" if target.startswith("proto/") else room_of(target)
            if target_room and target_room != room and target_room not in ROOMS[room]:
                yield place
            for pattern, allowed in LIBRARIES.items():
                if re.match(pattern, target) and room not in allowed:
                    yield place


def self_test():
    """The check must be able to fail: plant one bad include of each sort and look for it."""
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, include in {"attest/a.cc": '"rotation/rotator.h"', "agent/base/b.h": '"sds/caller.h"',
                              "rotation/c.cc": "<openssl/evp.h>", "sds/d.cc": "<nghttp2/nghttp2.h>",
                              "sds/rpc/e.cc": '"proto/envoy/sds.pb.h"'}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(f"#include {include}\n")
        found = list(violations(root))
        assert len(found) == 5, found


if __name__ == "__main__":
    self_test()
    bad = list(violations(pathlib.Path(sys.argv[1])))
    print("\n".join(bad))
    sys.exit(1 if bad else 0)
