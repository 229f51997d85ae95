#!/usr/bin/env python3
"""Prints policy_matrix.h; `--check FILE` fails if that is not what would be printed. Narrowest first: it asks the
port, then the workload, the namespace and the mesh, where the resolver goes the other way and overwrites."""
import itertools
import sys

LETTERS = "-UDPS"  # no policy, UNSET, DISABLE, PERMISSIVE, STRICT


def effective(mesh, namespace, workload, port):
    narrow_first = (port if workload != "-" else "-", workload, namespace, mesh, "P")
    return next(letter for letter in narrow_first if letter not in "-U")


def render():
    rows = ['    {"%s", "%s"},' % ("".join(scopes), "".join(effective(*scopes, port) for port in LETTERS))
            for scopes in itertools.product(LETTERS, repeat=3)]
    return "\n".join([
        "// Made by policy_matrix.py. Policies of mesh, namespace and workload, then the mode in force for",
        "// each entry of the port: - none, U UNSET, D DISABLE, P PERMISSIVE, S STRICT.",
        "#pragma once", "", "// clang-format off",
        "constexpr struct {", "  const char* scopes;", "  const char* modes;", "} kPolicyMatrix[] = {",
        *rows, "};", ""])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        sys.exit(0 if open(sys.argv[2], encoding="ascii").read() == render() else "policy_matrix.h is out of date")
    print(render(), end="")
