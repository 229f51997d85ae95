"""Holds test runs against a catalogue of what must be proven, and writes the page that says so.

A catalogue is JSON: title -> rows. A test is named for the one row that it proves. A row has a test
that passed, or a reason not to, never both. Runs of --also are of suites with other purposes, too:
of those only the tests that are named for a row count.
"""
import argparse
import dataclasses
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


@dataclasses.dataclass(frozen=True)
class Proofs:
    catalogue: pathlib.Path
    page: str  # its name in docs/
    head: str  # what the page says before its tables
    noun: str  # what a row is, in the plural
    columns: dict  # heading -> key of a row; the first key names the row
    named: re.Pattern  # the groups of a match with a test's name, joined by "-", are the row's name
    reasons: dict  # key of a row that holds a reason not to have a test -> how the page calls it

    @property
    def key(self):
        return next(iter(self.columns.values()))

    def outcomes(self, runs):
        """Row -> the outcomes of its tests; and the names of tests that name none."""
        found, strays = {}, []
        for run in runs:
            for test in xml.parse(run).iter("testcase"):
                named = self.named.match(test.get("name"))
                kinds = {child.tag for child in test}
                outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
                if named:
                    found.setdefault("-".join(named.groups()), []).append(outcome)
                else:
                    strays.append(f"{test.get('name')}: the name does not begin with one of the {self.noun}")
        return found, strays

    def verdict(self, row, tests):
        """(kind, text of the row's result); the kind "wrong" is for what must not be."""
        reasons = [key for key in self.reasons if key in row]
        if reasons and tests:
            return "wrong", "has a test, and a reason not to have one"
        if reasons:
            return reasons[0], f"{self.reasons[reasons[0]]}: {row[reasons[0]]}"
        if "failed" in tests:
            return "wrong", "a test failed"
        if "passed" not in tests:
            return "wrong", "no test ran, and the catalogue gives no reason"
        return "passed", f"passed; {row['remark']}" if "remark" in row else "passed"

    def judge(self, catalogue, found, strays):
        """The verdict on each row, and all that is wrong."""
        verdicts = {row[self.key]: self.verdict(row, found.get(row[self.key], []))
                    for rows in catalogue.values() for row in rows}
        unknown = [f"{name}: tests name it, the catalogue does not" for name in sorted(found.keys() - verdicts.keys())]
        failed = [f"{name}: {text}" for name, (kind, text) in verdicts.items() if kind == "wrong"]
        return verdicts, strays + unknown + failed

    def summary(self, verdicts):
        kinds = [kind for kind, _ in verdicts.values()]
        counts = {"passed": "passed", "wrong": "failed", **self.reasons}
        return f"{len(kinds)} {self.noun}: " + ", ".join(f"{kinds.count(kind)} {text}" for kind, text in counts.items())

    def document(self, catalogue, verdicts):
        table = ["| " + " | ".join([*self.columns, "Result"]) + " |", "|---" * (len(self.columns) + 1) + "|"]
        lines = [self.head, self.summary(verdicts)]
        for title, rows in catalogue.items():
            lines += ["", f"## {title}", "", *table]
            for row in rows:
                cells = [row[key] for key in self.columns.values()] + [verdicts[row[self.key]][1]]
                lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def self_test(self):
        """A report must be able to fail, in every way."""
        reason = next(iter(self.reasons))
        rows = [{self.key: str(number)} for number in range(1, 7)]
        rows[4][reason] = rows[5][reason] = "so"
        found = {"1": ["passed", "skipped"], "2": ["passed", "failed"], "3": ["skipped"], "6": ["passed"], "9": ["passed"]}
        verdicts, wrong = self.judge({"all": rows}, found, ["stray"])
        assert [kind for kind, _ in verdicts.values()] == ["passed", "wrong", "wrong", "wrong", reason, "wrong"]
        assert [line.split(":")[0] for line in wrong] == ["stray", "9", "2", "3", "4", "6"]

    def main(self, description):
        """Writes the page, or with --check compares it; the exit code."""
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--check", action="store_true")
        parser.add_argument("--also", nargs="+", default=[], metavar="RUN.xml")
        parser.add_argument("runs", nargs="+", metavar="RUN.xml")
        options = parser.parse_args()
        self.self_test()
        catalogue = json.loads(self.catalogue.read_text())
        found, strays = self.outcomes(options.runs)
        for row, tests in self.outcomes(options.also)[0].items():
            found.setdefault(row, []).extend(tests)
        verdicts, wrong = self.judge(catalogue, found, strays)
        text, page = self.document(catalogue, verdicts), DOCS / self.page
        if not wrong and not options.check:
            page.write_text(text)
        if not wrong and page.read_text() != text:
            wrong.append(f"{self.page} is out of date; write it anew: {' '.join(arg for arg in sys.argv if arg != '--check')}")
        print(*(f"FAILED {line}" for line in wrong), self.summary(verdicts), sep="\n")
        return 1 if wrong else 0
