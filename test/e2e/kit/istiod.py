"""The fake istiod as a process: test/support/fake_istiod."""
import hashlib
import json
import pathlib
import subprocess

from kit.agent import TRUST_DOMAIN

NODE = f"spiffe://{TRUST_DOMAIN}/ns/infra/sa/node"


class FakeIstiod:
    """Listens on the loopback from the start; ends with its standard input, so with us."""

    def __init__(self, binary, folder):
        self.folder = pathlib.Path(folder)
        self._log = open(self.folder / "istiod.log", "ab")
        self._process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._log, text=True, bufsize=1, cwd="/")
        hello = json.loads(self._process.stdout.readline())
        self.address = hello["address"]
        self.root_file = self.folder / "istiod-root.pem"
        self.root_file.write_text(hello["root"])

    def _command(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def trust(self, token):
        """Whoever has `token` is the agent of this node."""
        self._command("trust", token, NODE, "node")

    def trust_workload(self, token, spiffe_id):
        """Whoever has `token` is that workload, and speaks for nobody else."""
        self._command("trust", token, spiffe_id)

    def distrust(self, token):
        self._command("distrust", token)

    def fault(self, name, milliseconds=0, only_for=""):
        """From now on; the names are those of fault.cc."""
        self._command("fault", name, milliseconds, only_for)

    def recover(self):
        self.fault("none")

    def counts(self):
        return self._command("counts")

    def has_seen(self, token):
        return hashlib.sha256(token.encode()).hexdigest() in self.counts()["tokens"]

    def stop(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._log.close()
