"""A pid that passes to another process takes no identity with it."""
import json
import pathlib
import subprocess
import sys

from conftest import NOBODY_UID, needs_root

RIG = pathlib.Path(__file__).parent / "clients" / "python" / "pid_reuse.py"
ROUNDS = 300
pytestmark = needs_root


def test_fault_39_whoever_gets_a_callers_pid_and_socket_gets_no_identity(nodepilot, folder):
    home = folder / "reuse"
    done = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, str(RIG),
                           str(nodepilot), str(home), str(NOBODY_UID), str(ROUNDS)],
                          capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr

    result = json.loads(done.stdout.splitlines()[-1])

    assert result["honest"], "the same bytes from a live caller must be served, or nothing is proven"
    assert result["recycled"] >= 0.9 * ROUNDS
    assert result["granted"] == 0
