"""A real Docker engine of our own, on a socket in a folder, and containers on images of one program."""
import io
import json
import os
import shutil
import subprocess
import tarfile

from kit.process import IS_ROOT, Process, wait_until


def why_impossible():
    """What is missing for an engine, or None."""
    if not IS_ROOT:
        return "Docker's engine needs root"
    missing = [program for program in ("dockerd", "docker", "containerd", "runc") if not shutil.which(program)]
    return f"no {', '.join(missing)} (Debian: docker.io)" if missing else None


def image_of(program):
    """The root file system that holds nothing but a statically linked program, as /PROGRAM."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(program.name)
        entry.size, entry.mode = program.stat().st_size, 0o755
        with program.open("rb") as content:
            tar.addfile(entry, content)
    return packed.getvalue()


class DockerEngine:
    """Without networks: it touches no firewall. Short paths, for a socket's may have 107 bytes."""

    def __init__(self, folder):
        self.socket = folder / "docker.sock"
        self.process = Process("dockerd", [
            shutil.which("dockerd"), "--iptables=false", "--ip6tables=false", "--bridge=none",
            "--storage-driver=overlay2", "--data-root", folder / "data", "--exec-root", folder / "exec",
            "--pidfile", folder / "pid", "-H", f"unix://{self.socket}"], folder / "dockerd.log",
            env=os.environ)
        try:
            wait_until("the Docker engine", self._answers, seconds=30, every=0.2)
        except TimeoutError:
            self.process.stop()
            raise

    def _answers(self):
        if not self.process.running():
            raise RuntimeError(f"dockerd ended: {self.process.log.read_text()[-2000:]}")
        return self.docker("info", check=False).returncode == 0

    def docker(self, *args, check=True, **options):
        return subprocess.run(["docker", "-H", f"unix://{self.socket}", *map(str, args)], check=check,
                              capture_output=True, timeout=60, **options)

    @property
    def attestor(self):
        """What it is to the agent's docker attestor."""
        return {"socket": str(self.socket)}

    def cgroup(self, container):
        """Of a container, from the hierarchy's root on."""
        return f"docker/{container}"

    def load(self, name, root):
        """Makes an image of `root`, the tar of a root file system."""
        self.docker("import", "-", name, input=root)

    def run(self, image, *command, options=()):
        """Starts a container and returns its id. `options` are those of `docker run`."""
        done = self.docker("run", "-d", "--network", "none", "--cgroupns", "host", *options, image, *command)
        return done.stdout.decode().strip()

    def inspect(self, container):
        return json.loads(self.docker("inspect", container).stdout)[0]

    def pid(self, container):
        return self.inspect(container)["State"]["Pid"]

    def output(self, container):
        """Waits for its end: (exit code, all that it wrote)."""
        code = int(self.docker("wait", container).stdout)
        done = self.docker("logs", container)
        return code, (done.stdout + done.stderr).decode()

    def stop(self):
        """Removes all containers, then ends the engine, which ends its containerd."""
        containers = self.docker("ps", "-aq", check=False).stdout.decode().split()
        if containers:
            self.docker("rm", "-f", *containers, check=False)
        self.process.stop(seconds=30)
