"""What the daemon's memory still holds of keys that were rotated away."""
import base64
import re

from conftest import needs_root
from kit.agent import identity

# Where the scalar stands in the PKCS#8 form of a P-256 key, and how long it is.
SCALAR = slice(36, 68)


def scalar_of(pem):
    der = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
    return der[SCALAR]


def copies_in_memory(pid, needle):
    """How often the bytes occur in the writable memory of a process, in either byte order."""
    found = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if not rights.startswith("rw"):
                continue
            memory.seek(int(start, 16))
            try:
                region = memory.read(int(end, 16) - int(start, 16))
            except OSError:
                continue
            found += region.count(needle) + region.count(needle[::-1])
    return found


@needs_root
def test_a_key_that_was_rotated_away_is_nowhere_in_memory(make_agent, own_uid, folder):
    agent = make_agent([identity("web", own_uid)]).start()
    assert agent.command("fetch", "x509", "--write", folder).returncode == 0
    scalar = scalar_of((folder / "svid.0.key").read_text())
    assert copies_in_memory(agent.process.pid, scalar) > 0  # the search itself works

    agent.rotate()

    assert copies_in_memory(agent.process.pid, scalar) == 0
