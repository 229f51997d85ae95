"""Streams X509-SVIDs over a connection of its own and prints each answer's digest as a JSON line.
On SIGUSR1 it becomes another user, while the stream stays open: changeling.py ADDRESS UID."""
import hashlib
import json
import os
import pathlib
import signal
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from kit import workload  # noqa: E402


def say(**event):
    print(json.dumps(event), flush=True)


def change(*_):
    os.setuid(int(sys.argv[2]))
    say(event="changed")


signal.signal(signal.SIGUSR1, change)
with workload.channel(sys.argv[1]) as opened:
    try:
        for answer in workload.stream(opened, timeout=60):
            say(event="update", serial=hashlib.sha256(answer).hexdigest())
    except grpc.RpcError as error:
        say(event="error", error=error.code().name)
signal.pause()
