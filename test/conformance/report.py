#!/usr/bin/env python3
"""Holds test runs against the checklist and writes docs/conformance.md, one row for each requirement.

usage: report.py [--check] RUN.xml...    (JUnit: of test_conformance and of pytest)

A test is named for the one requirement that it proves: "ID-03 - a bare ? counts as a query",
test_WE_05_a_request_without_the_header. A requirement has a test that passed, or a reason in the
checklist, never both. --check compares the document instead of writing it.
"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from proofs import Proofs  # noqa: E402

NAMED = re.compile(r"(?:test_)?(ID|WE|WA|X509|JWT|BN|FED)[-_](\d\d)(?: [+-] |_)")

HEAD = """# Conformance

What the SPIFFE standards ask of a node-local agent, and whether this one does it. `test/conformance/report.py` writes this page from a run of the tests in `test/conformance`, each of which is named for its requirement; `./check` fails if a row fails, is missing or differs from what is written here.

Level: M must, MN must not, S should, SN should not, m may, L said without a keyword. Role: A agent as a server, I issuer, V validator, P publisher of bundles, F consumer of foreign bundles, C client (`nodepilot fetch`); none: everybody. Standard: ID SPIFFE-ID, EP Workload Endpoint, API Workload API, X X509-SVID, J JWT-SVID, TB Trust Domain and Bundle, FD Federation, with sections.

WIT-SVID and the Broker API are incubating and not served; where the Workload API speaks of them there is a row.
"""

PROOFS = Proofs(
    catalogue=HERE / "checklist.json", page="conformance.md", head=HEAD, noun="requirements",
    columns={"Id": "id", "Level": "level", "Role": "role", "Standard": "source", "Requirement": "rule"},
    named=NAMED, reasons={"not_met": "not met", "not_applicable": "not applicable"})

if __name__ == "__main__":
    assert NAMED.match("X509-02 - two")[2] == "02" and NAMED.match("test_WE_05_absent[x]")
    assert not NAMED.match("ID-1 + a") and not NAMED.match("test_of_ID_01_x")
    sys.exit(PROOFS.main(__doc__))
