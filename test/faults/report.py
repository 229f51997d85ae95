#!/usr/bin/env python3
"""Holds test runs against the catalogue of faults and writes docs/faults.md, one row for each fault.

usage: report.py [--check] RUN.xml... [--also RUN.xml...]    (JUnit: of test_faults and of pytest; of other suites)

A test is named for the one fault that it makes: "fault 09: a leaf for another key is refused",
test_fault_82_the_next_call_has_the_new_token. A fault has a test that passed, or a reason in the
catalogue ("missing"), never both. --check compares the document instead of writing it.
"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from proofs import Proofs  # noqa: E402

NAMED = re.compile(r"(?:test_)?fault[ _](\d\d)(?:: |_)")

HEAD = """# Faults

What goes wrong around a node agent, what it owes then, and whether it does. `test/faults/report.py` writes this page from a run of the tests that are named for a fault, as are all of those in `test/faults`; `./check` fails if a row fails, is missing without a reason or differs from what is written here.

What holds in every row:

- R1: a valid SVID that is served is never replaced by something worse, nor withdrawn for a passing fault.
- R2: nothing expired, mismatched or unverified is ever sent.
- R3: a fault of one identity, client or upstream stays there.
- R4: every fault is logged, not more often than it is tried, and can be seen in `nodepilot status` with its cause.
- R5: retries are for each identity apart, with full jitter, doubling from 0.5 s to 150 s or to a twentieth of the life that is left; expiry never passes without a try.
"""

PROOFS = Proofs(
    catalogue=HERE / "catalogue.json", page="faults.md", head=HEAD, noun="faults",
    columns={"Number": "number", "Fault": "fault", "Expected": "expected"},
    named=NAMED, reasons={"missing": "missing"})

if __name__ == "__main__":
    assert NAMED.match("fault 09: a leaf")[1] == "09" and NAMED.match("test_fault_82_token[x]")[1] == "82"
    assert not NAMED.match("fault 9: a leaf") and not NAMED.match("a fault 09: a leaf")
    sys.exit(PROOFS.main(__doc__))
