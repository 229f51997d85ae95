"""Callers in real Docker containers; what users forge to pass for them; an agent that is in a container itself."""
import os
import pathlib
import re
import subprocess
import tempfile
import uuid

import pytest

from kit import clients, docker_engine, kubelet as kubelets, podman_engine
from kit.agent import identity, spiffe_id
from kit.cgroups import remove, unified_hierarchy, writable_hierarchies
from kit.process import IS_ROOT, wait_until
from kit.setting import ROOT, parts, skip_part

USER = 1234
WEB = spiffe_id("web")
TEMPLATE = identity("ns/{k8s:ns}/sa/{k8s:sa}", "k8s:ns:*", "k8s:sa:*")


@pytest.fixture(scope="module")
def client(shared_folder):
    """go-spiffe's, and nothing else, as a root file system."""
    try:
        return docker_engine.image_of(clients.build_static_go(ROOT, shared_folder / "client"))
    except clients.Missing as reason:
        skip_part("containers", str(reason))


@pytest.fixture(scope="module")
def podman():
    if why := podman_engine.why_impossible():
        skip_part("podman", why)
    with tempfile.TemporaryDirectory(prefix="np-podman-", ignore_cleanup_errors=True) as folder:
        try:
            engine = podman_engine.PodmanEngine(pathlib.Path(folder))
        except (RuntimeError, TimeoutError) as reason:
            skip_part("podman", f"it does not start here: {str(reason)[-300:]}")
        parts["podman"] = f"real ({engine.docker('--version').stdout.decode().split()[-1]})"
        yield engine
        engine.stop()


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request, client):
    """With the image `client`."""
    made = request.getfixturevalue(request.param)
    made.load("client", client)
    return made


@pytest.fixture
def start(engine):
    """start(agent, *options): a container whose client watches the agent's socket; its id."""
    made = []

    def start(agent, *options):
        mount = ("-v", f"{agent.public.parent}:/sockets")
        made.append(engine.run("client", "/client", "unix:///sockets/api.sock", "watch", options=(*mount, *options)))
        return made[-1]

    def end_all():
        if made:
            engine.docker("rm", "-f", *made)
        made.clear()

    start.end_all = end_all
    yield start
    end_all()


def wait_for(engine, container, pattern):
    """What the client in there printed, once it holds that."""
    def printed():
        done = engine.docker("logs", container)
        text = (done.stdout + done.stderr).decode()
        return re.search(pattern, text) and text
    return wait_until(f"{pattern} from container {container[:12]}", printed, 20, 0.1)


@pytest.fixture
def docker_agent(make_agent, engine):
    return make_agent([identity("web", "docker:label:app:web")],
                      attestors={"docker": engine.attestor}).start()


def has_identity(done):
    return done.returncode == 0 and "spiffe://" in done.stdout


def test_a_container_with_the_label_gets_the_identity_and_another_is_refused(docker_agent, engine, start):
    web = start(docker_agent, "--label", "app=web")
    other = start(docker_agent, "--label", "app=other")

    assert WEB in wait_for(engine, web, "update")
    refused = wait_for(engine, other, r"PermissionDenied.*\(ref [0-9a-f]{6}\)")

    assert "update" not in refused
    ref = re.search(r"\(ref ([0-9a-f]{6})\)", refused)[1]
    told = docker_agent.command("explain", ref).stdout
    assert "wants docker:label:app:web" in told and "docker:label:app:other" in told


@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_a_pod_of_dockers_making_gets_the_identity_that_the_kubelet_tells(make_agent, engine, start, folder):
    (folder / "kubelet").mkdir()
    kubelet, uid = kubelets.Kubelet(folder / "kubelet"), str(uuid.uuid4())
    try:
        agent = make_agent([TEMPLATE], attestors={"kubernetes": kubelet.config()}).start()
        container = start(agent, "--cgroup-parent", f"/kubepods/burstable/pod{uid}")
        kubelet.pods = [kubelets.pod(uid, container)]

        printed = wait_for(engine, container, "update")
    finally:
        kubelet.stop()
        start.end_all()
        for left in pathlib.Path("/sys/fs/cgroup").glob(f"**/kubepods/burstable/pod{uid}"):
            left.rmdir()  # which an engine leaves there, as it is not its own

    assert spiffe_id("ns/shop/sa/web") in printed


@pytest.fixture
def delegated():
    """A cgroup that belongs to USER."""
    roots = writable_hierarchies() if IS_ROOT else []
    if not roots:
        skip_part("delegated cgroups", "no cgroup hierarchy that we may write to")
    top = roots[0] / f"np-forge-{uuid.uuid4().hex[:8]}"
    top.mkdir()
    for path in (top, top / "cgroup.procs", top / "tasks"):
        if path.exists():
            os.chown(path, USER, USER)
    yield top
    for folder, _, _ in os.walk(top, topdown=False):
        wait_until("the cgroup to be empty", lambda: not (pathlib.Path(folder) / "cgroup.procs").read_text(), 5)
        os.rmdir(folder)


def run_forging(agent, script, *args):
    """The program that fetches, which `script` starts by exec "$@" after its own two arguments."""
    return subprocess.run(["sh", "-ec", script, "sh", *map(str, args), agent.binary, "fetch", "x509", "--timeout", "3s"],
                          capture_output=True, text=True, timeout=40, cwd="/", stdin=subprocess.DEVNULL,
                          env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": agent.address})


BECOME_USER = f'setpriv --reuid {USER} --regid {USER} --clear-groups'


def test_a_user_who_makes_a_victims_cgroup_below_his_own_gets_nothing(docker_agent, engine, start, delegated):
    victim = start(docker_agent, "--label", "app=web")
    assert WEB in wait_for(engine, victim, "update")

    forged = run_forging(
        docker_agent,
        'echo $$ > "$1/cgroup.procs"; export TOP="$1" VICTIM="$2"; shift 2; exec ' + BECOME_USER + ''' sh -ec '
            mkdir -p "$TOP/$VICTIM"
            echo $$ > "$TOP/$VICTIM/cgroup.procs"
            grep "/$VICTIM\\$" /proc/self/cgroup
            exec "$@"' sh "$@"''', delegated, engine.cgroup(victim))

    assert f"/{engine.cgroup(victim)}" in forged.stdout, forged.stderr  # it was forged
    assert not has_identity(forged)
    assert "looks like a container's" in docker_agent.log.read_text()


def test_a_mount_over_the_cgroup_file_convinces_nobody(docker_agent, engine, start, folder):
    victim = start(docker_agent, "--label", "app=web")
    assert WEB in wait_for(engine, victim, "update")
    text = pathlib.Path(f"/proc/{engine.pid(victim)}/cgroup").read_text()
    assert victim in text
    (folder / "cgroup").write_text(text)

    forged = run_forging(
        docker_agent,
        'export FAKE="$1" VICTIM="$2"; shift 2; exec unshare -m sh -ec \'mount --bind "$FAKE" /proc/$$/cgroup; '
        'grep "$VICTIM" /proc/$$/cgroup; exec ' + BECOME_USER + ' "$@"\' sh "$@"', folder / "cgroup", victim)

    assert f"/{engine.cgroup(victim)}" in forged.stdout, forged.stderr
    assert not has_identity(forged)
    assert "PERMISSION_DENIED" in forged.stderr


class Pods:
    """An agent in a pod's cgroup, with a cgroup namespace of its own, and a workload in another pod's."""

    def __init__(self, root):
        self.top = root / "kubepods"
        self.web = str(uuid.uuid4()), uuid.uuid4().hex * 2
        own = str(uuid.uuid4()), uuid.uuid4().hex * 2
        self.web_folder, self.own_folder = (self.top / "burstable" / f"pod{uid}" / id for uid, id in (self.web, own))
        for folder in (self.web_folder, self.own_folder):
            folder.mkdir(parents=True)

    def contain(self, agent, folder, prepare=""):
        """Makes `agent` one that starts in its own pod."""
        wrapper = folder / "contained"
        wrapper.write_text(f'#!/bin/sh -e\necho $$ > {self.own_folder}/cgroup.procs\n'
                           f'exec unshare -C -m sh -ec \'{prepare}\nexec "$@"\' sh {agent.binary} "$@"\n')
        wrapper.chmod(0o755)
        agent.binary, self.binary = wrapper, agent.binary
        return agent

    def fetch(self, agent):
        script = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
        return subprocess.run(["sh", "-c", script, "sh", self.web_folder, self.binary, "fetch", "x509"],
                              capture_output=True, text=True, timeout=40, cwd="/", stdin=subprocess.DEVNULL,
                              env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": agent.address})

    def remove(self):
        for folder in (self.web_folder, self.own_folder):
            wait_until("the cgroup to be empty", lambda: not (folder / "cgroup.procs").read_text(), 5)
            remove(folder, folder.parent)


@pytest.fixture
def unified():
    root = unified_hierarchy() if IS_ROOT else None
    tried = root and subprocess.run(["unshare", "-C", "-m", "true"], capture_output=True)
    if not root or tried.returncode != 0:
        skip_part("cgroup namespaces", "no cgroup v2 in which we may make cgroups and namespaces")
    parts["cgroup namespaces"] = f"real ({root})"
    return root


@pytest.fixture
def pods(unified):
    return Pods(unified)


@pytest.fixture
def pod_agent(pods, make_agent, folder):
    """pod_agent(prepare, **more in `attestors`): in its own pod; not started."""
    (folder / "kubelet").mkdir()
    kubelet = kubelets.Kubelet(folder / "kubelet")
    kubelet.pods = [kubelets.pod(*pods.web)]
    made = []

    def make(prepare="", **attestors):
        made.append(make_agent([TEMPLATE], home=f"home{len(made)}",
                               attestors={"kubernetes": kubelet.config(), **attestors}))
        return pods.contain(made[-1], folder, prepare)

    yield make
    for agent in made:
        agent.stop()
    kubelet.stop()
    pods.remove()


def test_an_agent_in_a_pod_knows_the_other_pods_by_the_hosts_cgroups(pods, pod_agent, unified):
    agent = pod_agent(host_cgroup=str(unified)).start()
    cgroup = pathlib.Path(f"/proc/{agent.process.pid}/cgroup").read_text()
    assert f"0::/kubepods/burstable/{pods.own_folder.parent.name}/" in cgroup

    done = pods.fetch(agent)

    assert has_identity(done), done.stderr
    assert spiffe_id("ns/shop/sa/web") in done.stdout


def test_without_the_hosts_cgroups_such_an_agent_says_what_to_set(pods, pod_agent):
    agent = pod_agent().start()

    assert not has_identity(pods.fetch(agent))
    assert "set attestors.host_cgroup" in agent.log.read_text()


def test_an_agent_that_is_shown_its_own_cgroups_for_the_hosts_does_not_start(pod_agent, folder):
    (folder / "own").mkdir()
    agent = pod_agent(f"mount -t cgroup2 none {folder}/own", host_cgroup=str(folder / "own"))

    process = agent.launch()

    assert process.popen.wait(10) != 0
    assert "it shows no more than our own cgroup namespace" in process.output()
