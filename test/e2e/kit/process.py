"""Child processes that cannot outlive us, and waiting with a deadline."""
import ctypes
import os
import shutil
import signal
import subprocess
import time

IS_ROOT = os.geteuid() == 0
_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def wait_until(what, condition, seconds=10.0, every=0.02):
    """Polls until `condition()` is truthy and returns that; TimeoutError names `what`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)


def identity_args(uid):
    """subprocess arguments that run a child as `uid`; only root can ask for one."""
    if uid is None:
        return {}
    return {"user": uid, "group": uid, "extra_groups": []}


def install_copy(source, target):
    """A copy that every user may execute, wherever the original stands."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o755)
    return target


class Process:
    """A child in a session of its own, its output in a file. It dies with us."""

    def __init__(self, name, argv, log, uid=None, env=None):
        self.name = name
        self.log = log
        # The new credentials would clear the death signal, so it is asked for after them.
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                [str(arg) for arg in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, env=env, cwd="/",
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
                **identity_args(uid))

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def tail(self, lines=25):
        return "\n".join(self.output().splitlines()[-lines:])

    def kill(self):
        self.popen.kill()
        return self.popen.wait(10)

    def stop(self, seconds=15):
        """SIGTERM, then SIGKILL to what does not listen; the exit code."""
        if self.running():
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
