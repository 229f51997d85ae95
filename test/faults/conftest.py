"""Fixtures of the faults that need the real daemon."""
pytest_plugins = ["kit.fixtures"]
