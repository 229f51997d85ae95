"""The k8s attestor against a kubelet of our own, with callers in real cgroups of the kernel's making."""
import os
import pathlib
import subprocess
import threading
import time
import uuid

import pytest

from kit import kubelet as kubelets
from kit.agent import identity
from kit.cgroups import writable_hierarchies
from kit.process import IS_ROOT, wait_until
from kit.setting import parts

WEB = ["k8s:ns:shop", "k8s:sa:web"]


class Container:
    """A cgroup named as a kubelet names it; programs run in it."""

    def __init__(self, root, uid=None):
        self.uid, self.id = uid or str(uuid.uuid4()), uuid.uuid4().hex * 2
        self.folder = root / "kubepods" / "burstable" / f"pod{self.uid}" / self.id
        self.folder.mkdir(parents=True)

    def fetch(self, agent, timeout=40):
        """`nodepilot fetch x509` run in here."""
        procs = str(self.folder / "cgroup.procs")
        script = 'echo $$ > "$1" && shift && exec "$@"'
        env = {**os.environ, "SPIFFE_ENDPOINT_SOCKET": agent.address}
        return subprocess.run(["sh", "-c", script, "sh", procs, str(agent.binary), "fetch", "x509"],
                              capture_output=True, text=True, env=env, timeout=timeout, cwd="/",
                              stdin=subprocess.DEVNULL)

    def remove(self):
        for folder in (self.folder, self.folder.parent):
            wait_until("the cgroup to be empty", lambda: not (folder / "cgroup.procs").read_text(), 5)
            folder.rmdir()


@pytest.fixture
def make_container():
    made = []
    roots = writable_hierarchies() if IS_ROOT else []

    def make(**options):
        for root in roots:
            try:
                made.append(Container(root, **options))
            except OSError:
                continue
            parts["pods' cgroups"] = f"real ({root})"
            return made[-1]
        parts["pods' cgroups"] = "skipped (no cgroup hierarchy in which we may make any)"
        pytest.skip("no cgroup hierarchy that we may write to")

    yield make
    for container in made:
        container.remove()


@pytest.fixture
def kubelet(folder):
    (folder / "kubelet").mkdir()
    server = kubelets.Kubelet(folder / "kubelet")
    yield server
    server.stop()


@pytest.fixture
def agent(make_agent, kubelet):
    def make(**more):
        return make_agent([identity("web", *WEB)], attestors={"kubernetes": kubelet.config(**more)}).start()
    return make


def has_identity(done):
    return done.returncode == 0 and "spiffe://dev.local/web" in done.stdout


def test_a_pod_gets_its_identity_and_another_does_not(agent, kubelet, make_container):
    web, other = make_container(), make_container()
    kubelet.pods = [kubelets.pod(web.uid, web.id),
                    kubelets.pod(other.uid, other.id, name="other-0", account="other")]
    served = agent()

    assert has_identity(web.fetch(served))
    refused = other.fetch(served)
    assert not has_identity(refused)
    assert "PERMISSION_DENIED" in refused.stderr or "no identity" in refused.stderr
    outside = served.command("fetch", "x509")
    assert outside.returncode != 0


def test_fault_61_a_container_that_is_not_listed_yet_is_waited_for(agent, kubelet, make_container):
    web = make_container()
    served = agent()
    threading.Timer(2.0, lambda: kubelet.pods.append(kubelets.pod(web.uid, web.id))).start()

    began = time.monotonic()
    done = web.fetch(served)

    assert has_identity(done), done.stderr
    assert 1.5 < time.monotonic() - began < 5
    assert kubelet.asked >= 3


def test_a_container_in_another_pods_cgroup_is_refused(agent, kubelet, make_container):
    web = make_container()
    kubelet.pods = [kubelets.pod(str(uuid.uuid4()), web.id)]
    served = agent()

    assert not has_identity(web.fetch(served))
    assert "but the kubelet lists it for pod" in served.log.read_text()


def test_a_static_pod_is_known_by_the_hash_of_its_configuration(agent, kubelet, make_container):
    web = make_container(uid=uuid.uuid4().hex)
    mirror = kubelets.pod(str(uuid.uuid4()), web.id)
    mirror["metadata"]["annotations"]["kubernetes.io/config.hash"] = web.uid
    kubelet.pods = [mirror]

    assert has_identity(web.fetch(agent()))


def test_fault_59_a_token_that_is_replaced_is_read_again(agent, kubelet, make_container):
    web = make_container()
    kubelet.pods = [kubelets.pod(web.uid, web.id)]
    served = agent(reuse="0s")
    kubelet.token = "the-next"

    refused = web.fetch(served)
    assert not has_identity(refused)
    assert "PERMISSION_DENIED" not in refused.stderr + refused.stdout
    kubelet.token_file.write_text("the-next")

    assert has_identity(web.fetch(served))
    assert "the-next" not in served.log.read_text()


def test_fault_57_a_kubelet_that_is_down_or_talks_nonsense_denies_nobody(agent, kubelet, make_container):
    web = make_container()
    kubelet.pods = [kubelets.pod(web.uid, web.id)]
    served = agent(wait="2s", reuse="0s")
    kubelet.fault = "malformed"
    broken = web.fetch(served)
    kubelet.fault = None
    assert has_identity(web.fetch(served))
    kubelet.stop()
    down = web.fetch(served)
    kubelet.start()

    for refused in (broken, down):
        assert not has_identity(refused)
        assert "PERMISSION_DENIED" not in refused.stderr + refused.stdout
    assert has_identity(web.fetch(served))


def test_fault_60_a_list_of_fifty_megabytes_is_read_in_bounded_memory(agent, kubelet, make_container):
    web = make_container()
    kubelet.pods = [kubelets.pod(web.uid, web.id)]
    kubelet.padding = 50_000_000
    served = agent(timeout="30s")

    def peak():
        lines = pathlib.Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    before = peak()
    assert has_identity(web.fetch(served))
    assert peak() - before < 40_000, "KiB of growth"
