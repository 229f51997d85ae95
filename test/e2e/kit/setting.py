"""Where the tests run and as whom."""
import pathlib

import pytest

from kit.process import IS_ROOT

ROOT = pathlib.Path(__file__).resolve().parents[3]
WEB_UID, CLIENT_UID, NOBODY_UID = (61001, 61002, 65534) if IS_ROOT else (None, None, None)

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root: runs workloads as several users")
parts = {}  # of the closing table of ./check: name -> what it was


def skip_part(part, why):
    parts[part] = f"skipped ({why})"
    pytest.skip(why)
