"""Fetches an X509-SVID in a thread that has outlived the one that the process began with: headless.py ADDRESS.
Prints the status that it got."""
import ctypes
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from kit import workload  # noqa: E402

SYS_EXIT = {"x86_64": 60}.get(os.uname().machine, 93)  # of this thread alone


def fetch():
    while "\nState:\tZ" not in pathlib.Path(f"/proc/{os.getpid()}/status").read_text():
        time.sleep(0.01)
    print(workload.refusal(sys.argv[1]).name, flush=True)
    os._exit(0)


threading.Thread(target=fetch).start()
ctypes.CDLL(None).syscall(SYS_EXIT, 0)
