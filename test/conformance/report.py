#!/usr/bin/env python3
"""Holds test runs against the checklist and writes docs/conformance.md, one row for each requirement.

usage: report.py [--check] RUN.xml...    (JUnit: of test_conformance and of pytest)

A test is named for the one requirement that it proves: "ID-03 - a bare ? counts as a query",
test_WE_05_a_request_without_the_header. A requirement has a test that passed, or a reason in the
checklist, never both. --check compares the document instead of writing it.
"""
import argparse
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
CHECKLIST = HERE / "checklist.json"
DOCUMENT = HERE.parents[1] / "docs" / "conformance.md"
REASONS = {"not_met": "not met", "not_applicable": "not applicable"}
NAMED = re.compile(r"(?:test_)?(ID|WE|WA|X509|JWT|BN|FED)[-_](\d\d)(?: [+-] |_)")

HEAD = """# Conformance

What the SPIFFE standards ask of a node-local agent, and whether this one does it. `test/conformance/report.py` writes this page from a run of the tests in `test/conformance`, each of which is named for its requirement; `./check` fails if a row fails, is missing or differs from what is written here.

Level: M must, MN must not, S should, SN should not, m may, L said without a keyword. Role: A agent as a server, I issuer, V validator, P publisher of bundles, F consumer of foreign bundles, C client (`nodepilot fetch`); none: everybody. Standard: ID SPIFFE-ID, EP Workload Endpoint, API Workload API, X X509-SVID, J JWT-SVID, TB Trust Domain and Bundle, FD Federation, with sections.

WIT-SVID and the Broker API are incubating and not served; where the Workload API speaks of them there is a row.
"""

TABLE = ["| Id | Level | Role | Standard | Requirement | Result |", "|---|---|---|---|---|---|"]


def outcomes(runs):
    """Requirement -> the outcomes of its tests; and the names of tests that name none."""
    found, strays = {}, []
    for run in runs:
        for test in xml.parse(run).iter("testcase"):
            named = NAMED.match(test.get("name"))
            kinds = {child.tag for child in test}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            if named:
                found.setdefault("-".join(named.groups()), []).append(outcome)
            else:
                strays.append(f"{test.get('name')}: the name does not begin with a requirement")
    return found, strays


def verdict(row, tests):
    """(kind, text of the row's result); the kind "wrong" is for what must not be."""
    reasons = [key for key in REASONS if key in row]
    if reasons and tests:
        return "wrong", "has a test, and a reason not to have one"
    if reasons:
        return reasons[0], f"{REASONS[reasons[0]]}: {row[reasons[0]]}"
    if "failed" in tests:
        return "wrong", "a test failed"
    if "passed" not in tests:
        return "wrong", "no test ran, and the checklist gives no reason"
    return "passed", f"passed; {row['remark']}" if "remark" in row else "passed"


def document(checklist, verdicts):
    lines = [HEAD, summary(verdicts)]
    for title, rows in checklist.items():
        lines += ["", f"## {title}", "", *TABLE]
        for row in rows:
            cells = [row["id"], row["level"], row["role"], row["source"], row["rule"], verdicts[row["id"]][1]]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def summary(verdicts):
    kinds = [kind for kind, _ in verdicts.values()]
    return (f"{len(kinds)} requirements: {kinds.count('passed')} passed, {kinds.count('wrong')} failed, "
            f"{kinds.count('not_met')} not met, {kinds.count('not_applicable')} not applicable")


def judge(checklist, found, strays):
    """The verdict on each row, and all that is wrong."""
    verdicts = {row["id"]: verdict(row, found.get(row["id"], [])) for rows in checklist.values() for row in rows}
    unknown = [f"{name}: tests name it, the checklist does not" for name in sorted(found.keys() - verdicts.keys())]
    failed = [f"{name}: {text}" for name, (kind, text) in verdicts.items() if kind == "wrong"]
    return verdicts, strays + unknown + failed


def self_test():
    """The report must be able to fail, in every way."""
    rows = [{"id": f"ID-0{number}"} for number in range(1, 7)]
    rows[4]["not_met"] = rows[5]["not_applicable"] = "so"
    found = {"ID-01": ["passed", "skipped"], "ID-02": ["passed", "failed"], "ID-03": ["skipped"], "ID-06": ["passed"],
             "ID-99": ["passed"]}
    verdicts, wrong = judge({"all": rows}, found, ["stray"])
    assert [kind for kind, _ in verdicts.values()] == ["passed", "wrong", "wrong", "wrong", "not_met", "wrong"]
    assert [line.split(":")[0] for line in wrong] == ["stray", "ID-99", "ID-02", "ID-03", "ID-04", "ID-06"]
    assert NAMED.match("X509-02 - two")[2] == "02" and NAMED.match("test_WE_05_absent[x]")
    assert not NAMED.match("ID-1 + a") and not NAMED.match("test_of_ID_01_x")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("runs", nargs="+", metavar="RUN.xml")
    options = parser.parse_args()
    self_test()
    checklist = json.loads(CHECKLIST.read_text())
    verdicts, wrong = judge(checklist, *outcomes(options.runs))
    text = document(checklist, verdicts)
    if not wrong and not options.check:
        DOCUMENT.write_text(text)
    if not wrong and DOCUMENT.read_text() != text:
        wrong.append(f"{DOCUMENT.name} is out of date; write it anew: {sys.argv[0]} {' '.join(options.runs)}")
    print(*(f"FAILED {line}" for line in wrong), summary(verdicts), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
