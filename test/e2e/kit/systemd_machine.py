"""A container whose PID 1 is the real systemd, with a real system bus: the programs of the machine that runs the tests,
on a root file system of its own."""
import io
import pathlib
import resource
import subprocess
import sys
import tarfile

from kit.process import wait_until

SYSTEMD = pathlib.Path("/usr/lib/systemd/systemd")
BINARY = "/opt/nodepilot"
USER = 1000  # who may have a systemd instance of his own

# What would change the kernel that all containers share.
_MASKED = ("systemd-sysctl.service", "systemd-modules-load.service", "systemd-binfmt.service",
           "proc-sys-fs-binfmt_misc.automount", "systemd-random-seed.service", "systemd-remount-fs.service",
           "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "dev-hugepages.mount",
           "sys-fs-fuse-connections.mount", "kmod-static-nodes.service")

_FILES = {
    "etc/passwd": f"root:x:0:0::/root:/bin/sh\nweb:x:1001:1001::/:/bin/sh\nalice:x:{USER}:{USER}::/:/bin/sh\n",
    "etc/group": f"root:x:0:\nweb:x:1001:\nalice:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/machine-id": "",
    # A user's instance starts by PAM, which has nothing to ask here, and without logind's module.
    "etc/pam.d/systemd-user": "account required pam_permit.so\nsession required pam_permit.so\n",
    "etc/pam.d/other": "account required pam_deny.so\nsession required pam_deny.so\n",
    "etc/systemd/system/user@.service.d/runtime.conf": "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n",
}


def why_impossible():
    """What is missing for a systemd in a container of Docker's, or None."""
    missing = [str(path) for path in (SYSTEMD, pathlib.Path("/usr/bin/dbus-daemon"), pathlib.Path("/usr/bin/systemctl"))
               if not path.exists()]
    if missing:
        return f"no {', '.join(missing)} (Debian: systemd, dbus)"
    return None if pathlib.Path("/lib").is_symlink() else "/lib and /usr/lib are not one here"


def _root():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        def add(name, content=None, link=None):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if content is None else 0o644
            entry.type = tarfile.SYMTYPE if link else tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.linkname, entry.size = link or "", len(content or "")
            tar.addfile(entry, content and io.BytesIO(content.encode()))

        for folder in ("usr", "etc", "opt", "proc", "root", "run", "sys", "tmp", "var"):
            add(folder)
        for link in ("bin", "sbin", "lib", "lib64"):
            add(link, link=f"usr/{link}")
        for name, content in _FILES.items():
            add(name, content)
        for unit in _MASKED:
            add(f"etc/systemd/system/{unit}", link="/dev/null")
    return packed.getvalue()


class SystemdMachine:
    """Started; its folders are read-only views of ours where programs are. stop() removes it."""

    def __init__(self, engine, nodepilot, *more_folders):
        self.engine = engine
        engine.load("systemd", _root())
        # Python's own folders, for clients that are written in it.
        shown = {"/usr", "/etc/ld.so.cache", sys.prefix, sys.base_prefix, *map(str, more_folders)}
        views = [f"{path}:{path}:ro" for path in sorted(shown) if path == "/usr" or not path.startswith("/usr/")]
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.container = engine.run(
            "systemd", SYSTEMD, "--unit=basic.target", options=(
                "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--ulimit", f"nofile={files}:{files}",
                "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
                "--tmpfs", "/run", "--tmpfs", "/tmp", "-e", "container=docker",
                "-v", "/sys/fs/cgroup:/sys/fs/cgroup", "-v", f"{nodepilot}:{BINARY}:ro",
                *(word for view in views for word in ("-v", view))))
        try:
            wait_until("systemd", self._is_up, seconds=20, every=0.1)
        except TimeoutError as error:
            log = engine.docker("logs", self.container, check=False).stdout[-500:]
            self.stop()
            raise TimeoutError(f"{error}: {log}") from None

    def _is_up(self):
        return self.run("systemctl", "is-active", "basic.target", "dbus.socket").stdout.split() == ["active"] * 2

    def run(self, *argv, user="root", env=None, check=False, text=None):
        """A program in there, outside of every unit."""
        options = [word for name, value in (env or {}).items() for word in ("-e", f"{name}={value}")]
        done = subprocess.run(["docker", "-H", f"unix://{self.engine.socket}", "exec", "-i", "-u", user, *options,
                               self.container, *map(str, argv)], capture_output=True, text=True, timeout=60,
                              input=text or "")
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{self.journal()}"
        return done

    def systemctl(self, *args):
        return self.run("systemctl", *args, check=True).stdout

    def show(self, unit, *names):
        """name -> value of the unit's properties."""
        told = self.systemctl("show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in told.splitlines())

    def write(self, path, text, user="root"):
        self.run("sh", "-ec", 'mkdir -p "${0%/*}"; cat > "$0"', path, text=text, user=user, check=True)

    def journal(self, unit=None):
        return self.run("journalctl", "--no-pager", "-o", "cat", *(("-u", unit) if unit else ("-n", "40"))).stdout

    def stop(self):
        self.engine.docker("rm", "-f", self.container)
