"""A real Podman of our own, run by root, whose API is at a socket in a folder."""
import contextlib
import os
import pathlib
import shutil
import subprocess

from kit.docker_engine import DockerEngine
from kit.process import IS_ROOT, Process, wait_until


def why_impossible():
    """What is missing for it, or None."""
    if not IS_ROOT:
        return "Podman as root needs root"
    missing = [program for program in ("podman", "conmon", "runc") if not shutil.which(program)]
    return f"no {', '.join(missing)} (Debian: podman, runc)" if missing else None


# Those that Podman asks for by itself may be more than we may give.
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class PodmanEngine(DockerEngine):
    """As Docker's: the commands are the same. runc, as crun refuses cgroups of which some are v1 and some v2."""

    def __init__(self, folder):
        self.socket = folder / "podman.sock"
        (folder / "containers.conf").write_text(
            '[containers]\nlog_driver = "k8s-file"\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nlock_type = "file"\nevents_logger = "file"\n'
            f'static_dir = "{folder}/static"\ntmp_dir = "{folder}/tmp"\nvolume_path = "{folder}/volumes"\n')
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/data"\nrunroot = "{folder}/run"\n')
        self._env = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf"),
                     "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf")}
        self.process = Process("podman", ["podman", "system", "service", "--time=0", f"unix://{self.socket}"],
                               folder / "podman.log", env=self._env)
        try:
            wait_until("Podman", self._answers, seconds=30, every=0.2)
        except TimeoutError:
            self.process.stop()
            raise

    def docker(self, *args, check=True, **options):
        return subprocess.run(["podman", *map(str, args)], check=check, capture_output=True, timeout=60,
                              env=self._env, **options)

    def run(self, image, *command, options=()):
        return super().run(image, *command, options=(*_LIMITS, *options))

    def _answers(self):
        if not self.process.running():
            raise RuntimeError(f"podman ended: {self.process.log.read_text()[-2000:]}")
        return self.socket.exists()

    @property
    def attestor(self):
        """What it is to the agent's docker attestor."""
        return {"podman_socket": str(self.socket)}

    def cgroup(self, container):
        """Of a container, from the hierarchy's root on."""
        return f"libpod_parent/libpod-{container}"

    def stop(self):
        super().stop()
        for folder in sorted(pathlib.Path("/sys/fs/cgroup").glob("**/libpod_parent/**/"), reverse=True):
            with contextlib.suppress(OSError):  # another Podman's are not empty
                folder.rmdir()
