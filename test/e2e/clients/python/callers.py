"""Load on an agent's public socket, in a process of its own, since gRPC does not outlive a fork.

usage: callers.py SOCKET. Threads connect over and over; others hold a stream of certificates and come back when it
ends. Prints {"event": "held"} once every stream has had a certificate and, after SIGTERM, {"event": "end", ...}.
"""
import json
import pathlib
import signal
import socket
import sys
import threading
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from kit import workload  # noqa: E402

CONNECTING, STREAMING = 4, 4
PAUSE = 0.001  # between two connects of a thread


class Callers:
    def __init__(self, path):
        self.path = path
        self.connects = 0
        self.updates = 0
        self.refused = []  # what no client of an agent should see while it is replaced
        self.ending = threading.Event()
        self.calls = [None] * STREAMING
        self.held = [False] * STREAMING
        self.lock = threading.Lock()

    def connect(self):
        while not self.ending.is_set():
            with socket.socket(socket.AF_UNIX) as one:
                try:
                    one.connect(self.path)
                    with self.lock:
                        self.connects += 1
                except OSError as error:
                    self.refused.append(str(error))
            time.sleep(PAUSE)

    def stream(self, number):
        while not self.ending.is_set():
            try:
                with workload.channel(f"unix://{self.path}") as channel:
                    self.calls[number] = workload.stream(channel, timeout=300)
                    for answer in self.calls[number]:
                        if not answer:
                            self.refused.append("an update without a certificate")
                        with self.lock:
                            self.updates += 1
                        self.held[number] = True
            except grpc.RpcError as error:
                text = f"{error.code().name}: {error.details()}"
                ended = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
                if not ended or "refused" in text or "No such file" in text:
                    self.refused.append(text)

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: self.ending.set())
        threads = [threading.Thread(target=self.connect) for _ in range(CONNECTING)]
        threads += [threading.Thread(target=self.stream, args=(n,)) for n in range(STREAMING)]
        for thread in threads:
            thread.start()
        while not all(self.held) and not self.ending.wait(0.01):
            pass
        print(json.dumps({"event": "held"}), flush=True)
        self.ending.wait()
        for thread in threads:
            while thread.is_alive():  # one may just have begun another call
                for call in self.calls:
                    call.cancel()
                thread.join(0.05)
        print(json.dumps({"event": "end", "connects": self.connects, "updates": self.updates,
                          "refused": self.refused[:20]}), flush=True)


Callers(sys.argv[1]).run()
