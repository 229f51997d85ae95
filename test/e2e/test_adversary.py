"""Thousands of attacks on the attestation of a real agent, by processes of many users, programs and cgroups: none gets
an identity that is another's. `--attacks N` for more of them, `--attack-seed N` to play the same again."""
import json
import os
import pathlib
import random
import subprocess
import uuid

import pytest

from conftest import needs_root, parts
from kit import kubelet as kubelets
from kit.agent import identity
from kit.process import install_copy, wait_until
from kit.setting import ROOT

VICTIMS, PROGRAM_UID, FORGER_UID = range(61011, 61019), 61031, 61041  # as in test/adversary/stage.h
HIERARCHIES = [pathlib.Path("/sys/fs/cgroup") / name for name in ("pids", "freezer", "unified", "systemd", "")]
pytestmark = needs_root


def delegate(folder):
    """As systemd and container engines do: its owner may make cgroups below and move into them."""
    for path in (folder, folder / "cgroup.procs"):
        os.chown(path, FORGER_UID, FORGER_UID)
    return folder


@pytest.fixture
def cgroups():
    """A cgroup of no pod, and those of containers of two pods; whatever is made below goes with them."""
    made = []

    def make(folder):
        folder.mkdir(parents=True)
        made.append(folder)
        return delegate(folder)

    def container(root):
        return make(root / "kubepods" / "burstable" / f"pod{uuid.uuid4()}" / (uuid.uuid4().hex * 2))

    for root in HIERARCHIES:
        if not (root / "cgroup.procs").exists():
            continue
        try:
            yield make(root / f"nodepilot-e2e-{os.getpid()}"), container(root), container(root)
            break
        except OSError:
            continue
    else:
        parts["adversary"] = "skipped (no cgroup hierarchy in which we may make any)"
        pytest.skip("no cgroup hierarchy that we may write to")
    for top in made:
        for folder, _, _ in os.walk(top, topdown=False):
            wait_until(f"{folder} to be empty", lambda: not pathlib.Path(folder, "cgroup.procs").read_text(), 5)
            os.rmdir(folder)
        if top.parent.name.startswith("pod"):
            top.parent.rmdir()


@pytest.fixture
def kubelet(folder):
    (folder / "kubelet").mkdir()
    server = kubelets.Kubelet(folder / "kubelet")
    yield server
    server.stop()


@pytest.mark.timeout(0)  # it has one that grows with --attacks
def test_nobody_gets_an_identity_that_is_anothers(request, make_agent, kubelet, cgroups, folder):
    driver = request.config.getoption("--binary").parent / "test" / "adversary"
    if not driver.exists():
        parts["adversary"] = f"skipped ({driver} is missing)"
        pytest.skip(f"{driver} is missing: build all, or the target `adversary`")
    rounds = request.config.getoption("--attacks")
    seed = request.config.getoption("--attack-seed")
    seed = random.randrange(2**32) if seed is None else seed
    outside, web, shop = cgroups
    for name, container in (("web", web), ("shop", shop)):
        kubelet.pods.append(kubelets.pod(container.parent.name.removeprefix("pod"), container.name,
                                         name=f"{name}-0", account=name))
    allowed, other = (install_copy(driver, folder / name) for name in ("allowed", "other"))
    agent = make_agent(
        [identity("root", "unix:uid:0"), *(identity(f"u{uid}", f"unix:uid:{uid}") for uid in VICTIMS),
         identity("program", f"unix:uid:{PROGRAM_UID}", f"unix:path:{allowed}"),
         *(identity(f"pod-{name}", "k8s:ns:shop", f"k8s:sa:{name}") for name in ("web", "shop"))],
        attestors={"kubernetes": kubelet.config()}, log={"level": "error"})

    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", allowed, "--agent", agent.binary,
         "--config", agent.home / "agent.yaml", "--log", agent.log, "--socket", agent.public, "--allowed", allowed,
         "--other", other, "--outside", outside, "--web", web, "--shop", shop,
         "--rounds", str(rounds), "--seed", str(seed)],
        capture_output=True, text=True, timeout=60 + rounds / 50, cwd="/")

    print(f"seed {seed}", done.stderr[-4000:], done.stdout, sep="\n")
    assert done.returncode == 0
    result = json.loads(done.stdout.splitlines()[-1])
    kinds = result["kinds"]
    parts["adversary"] = f"real ({result['rounds']} attacks, {result['rounds_per_second']:.0f}/s, seed {seed})"
    assert {name: kind["wrong"] for name, kind in kinds.items()} == dict.fromkeys(kinds, 0)
    assert kinds["control"]["unfair"] == 0, "an honest caller must be served, or nothing is proven"
    assert kinds["control"]["granted_rightly"] >= 0.04 * rounds
    assert sum(kind["missed"] + kind["silent"] for kind in kinds.values()) <= 0.001 * rounds
    assert min(kind["tried"] for kind in kinds.values()) >= 0.05 * rounds
    assert result["agent_ended_well"]
