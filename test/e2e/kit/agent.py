"""The real nodepilot daemon and its CLI."""
import json
import os
import pathlib
import socket
import subprocess

from kit.process import Process, identity_args, wait_until

TRUST_DOMAIN = "dev.local"


def accepts(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def spiffe_id(name):
    return f"spiffe://{TRUST_DOMAIN}/{name}"


def identity(name, *match, ttl="1h", **more):
    """One item of the configuration's `identities`."""
    return {"id": spiffe_id(name), "match": list(match), "x509": {"ttl": ttl}, **more}


class Agent:
    """One daemon on a directory that survives it, so that it can be restarted there."""

    def __init__(self, binary, home, run_args):
        self.binary = binary
        self.home = pathlib.Path(home)
        self.public = self.home / "public" / "api.sock"
        self.admin = self.home / "admin" / "admin.sock"
        self.state = self.home / "state"
        self.log = self.home.parent / f"{self.home.name}.log"
        self.run_args = run_args
        self.process = None

    @classmethod
    def dev(cls, binary, home, identities, ttl):
        """`run --dev`; identities are ID=SELECTOR[,SELECTOR...]."""
        args = ["--dev", "--dev-dir", home, "--ttl", ttl]
        return cls(binary, home, args + [arg for one in identities for arg in ("--identity", one)])

    @classmethod
    def configured(cls, binary, home, identities, **sections):
        """`run -c FILE`, with the directories that a package would have made."""
        config = pathlib.Path(home) / "agent.yaml"
        agent = cls(binary, home, ["-c", config])
        for folder, mode in ((agent.public.parent, 0o755), (agent.admin.parent, 0o750), (agent.state, 0o700)):
            folder.mkdir()
            folder.chmod(mode)
        config.write_text(json.dumps({  # JSON is YAML
            "trust_domain": TRUST_DOMAIN,
            "listen": {"path": str(agent.public), "mode": "0666"},
            "admin": {"path": str(agent.admin)},
            "state_dir": str(agent.state),
            "ca": {"local": {}},
            "identities": identities,
            **sections}, indent=2))
        return agent

    @property
    def address(self):
        return f"unix://{self.public}"

    def launch(self, env=None):
        """Starts the daemon without waiting for it."""
        self.process = Process("agent", [self.binary, "run", *self.run_args], self.log, env=env)
        return self.process

    def start(self):
        self.launch()
        wait_until("the agent's sockets", self._ready)
        return self

    def _ready(self):
        if not self.process.running():
            raise RuntimeError(f"the agent ended with {self.process.popen.returncode}:\n{self.process.tail()}")
        return accepts(self.public) and accepts(self.admin)

    def stop(self):
        return self.process.stop() if self.process else None

    def kill(self):
        self.process.kill()

    def command(self, *args, uid=None, binary=None, address=None, timeout=30):
        """One CLI command, as another user or with a copy of the binary if asked; never raises for its exit code."""
        env = {**os.environ, "NODEPILOT_ADMIN_SOCKET": str(self.admin),
               "SPIFFE_ENDPOINT_SOCKET": address or self.address}
        return subprocess.run([binary or self.binary, *map(str, args)], capture_output=True, text=True, env=env,
                              timeout=timeout, cwd="/", stdin=subprocess.DEVNULL, **identity_args(uid))

    def json(self, *args):
        done = self.command(*args, "-o", "json")
        if done.returncode != 0:
            raise RuntimeError(f"nodepilot {' '.join(args)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def serials(self):
        """SPIFFE ID -> serial now held, of the identities that somebody asked for."""
        return {i["spiffe_id"]: i["serial"] for i in self.json("status")["identities"] if i.get("serial")}

    def rotate(self):
        return self.json("rotate", "--all", "--wait", "10s")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
