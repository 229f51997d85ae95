"""state: sealed, with the real daemon: what outlives a kill, and what a disk can do to it."""
import datetime
import os
import random
import re
import signal
import threading
import time

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit import sealed, workload
from kit.agent import identity, spiffe_id
from kit.process import wait_until

NAMES = [f"w{n}" for n in range(4)]


@pytest.fixture
def secret(folder):
    key = folder / "state.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    return key


@pytest.fixture
def make_sealed(make_agent, own_uid, secret):
    """make_sealed(ttl, **sections): an agent with four identities and sealed state, not started."""
    def make(ttl="1h", **sections):
        return make_agent([identity(name, own_uid, ttl=ttl) for name in NAMES],
                          **{"state": {"sealed": {"key_file": str(secret)}}, **sections})
    return make


class Life:
    """One run of the agent, by its part of the log."""

    def __init__(self, agent):
        self.log = agent.log
        self.begin = self.log.stat().st_size if self.log.exists() else 0
        self.started_at = time.monotonic()
        agent.start()
        workload.fetch(agent.address)
        self.ready_in = time.monotonic() - self.started_at

    def text(self):
        return self.log.read_bytes()[self.begin:].decode(errors="replace")


def wait_stored(agent, secret, count=len(NAMES)):
    """What the disk holds, once that is what the agent holds."""
    def stored():
        serials = agent.serials()
        on_disk = {one.spiffe_id: one.serial for one in read(agent, secret).values()}
        return len(serials) == count and on_disk == serials and on_disk
    return wait_until("the state on the disk", stored)


def read(agent, secret):
    return sealed.read_all(agent.state / "sealed", secret.read_bytes())


def test_what_was_served_is_served_again_after_kill_9(make_sealed, secret):
    agent = make_sealed()
    Life(agent)
    before = wait_stored(agent, secret)
    agent.kill()

    life = Life(agent)

    assert agent.serials() == before
    assert sealed.served_from_disk(life.text()) == before
    assert not re.search(r'msg="svid (issued|rotated)"', life.text())
    assert agent.json("status")["state"] == {"kind": "sealed", "last_error": None}


class MortalCa:
    """The files of an embedded CA whose root is given a new end, with the key and the name it had."""

    def __init__(self, folder):
        self.certificate, self.key_file = folder / "ca.pem", folder / "ca.key"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_file.write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.key_file.chmod(0o600)

    def end_in(self, seconds):
        now = datetime.datetime.now(datetime.timezone.utc)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mortal")])
        usage = {usage: usage in ("key_cert_sign", "crl_sign") for usage in (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(self.key, hashes.SHA256()))
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def test_what_was_served_is_served_after_kill_9_though_the_ca_cannot_sign(make_sealed, secret, folder):
    ca = MortalCa(folder)
    ca.end_in(24 * 3600)
    agent = make_sealed(ca={"local": {"certificate_file": str(ca.certificate), "key_file": str(ca.key_file)}})
    Life(agent)
    before = wait_stored(agent, secret)
    agent.kill()
    ca.end_in(9)  # with less than 10 s left it signs nothing

    Life(agent)

    refused = agent.command("rotate", "--all")
    assert refused.returncode == 1
    assert refused.stdout.count("renew the CA's certificate") == len(NAMES)
    assert agent.serials() == before
    workload.fetch(agent.address)


def test_nothing_is_written_with_state_memory(make_agent, own_uid):
    agent = make_agent([identity("web", own_uid)]).start()
    workload.fetch(agent.address)

    assert sorted(path.name for path in agent.state.iterdir()) == ["local-ca-jwt.json", "local-ca.pem"]
    assert agent.json("status")["state"]["kind"] == "memory"


def test_another_key_stops_the_start_and_touches_nothing(make_sealed, secret):
    agent = make_sealed()
    Life(agent)
    wait_stored(agent, secret)
    agent.stop()
    before = {path.name: path.read_bytes() for path in (agent.state / "sealed").iterdir()}
    secret.write_bytes(os.urandom(32))

    process = agent.launch()

    assert process.popen.wait(15) == 1
    assert "the state is sealed under another key than the one given" in process.output()
    assert {path.name: path.read_bytes() for path in (agent.state / "sealed").iterdir()} == before


def test_systemd_gives_the_key_as_a_credential(make_sealed, secret):
    agent = make_sealed(state="sealed")
    process = agent.launch()
    assert process.popen.wait(15) == 1
    assert "systemd-creds encrypt --name=nodepilot-state-key" in process.output()

    secret.rename(secret.parent / "nodepilot-state-key")
    agent.launch(env={**os.environ, "CREDENTIALS_DIRECTORY": str(secret.parent)})
    wait_until("the agent's sockets", agent._ready)
    workload.fetch(agent.address)

    wait_stored(agent, secret.parent / "nodepilot-state-key")


def test_a_second_agent_with_the_same_state_is_refused_and_the_first_untouched(make_sealed, secret, make_agent, own_uid):
    agent = make_sealed()
    Life(agent)
    before = wait_stored(agent, secret)
    other = make_agent([identity("other", own_uid)], home="other", state_dir=str(agent.state),
                       state={"sealed": {"key_file": str(secret)}})

    process = other.launch()

    assert process.popen.wait(15) == 1
    assert "another agent keeps its state there" in process.output()
    assert wait_stored(agent, secret) == before


class Client(threading.Thread):
    """A workload that holds a stream open, whatever becomes of the agent."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.updates, self.over = address, 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                with workload.channel(self.address) as opened:
                    for _ in workload.stream(opened, timeout=60):
                        self.updates += 1
            except grpc.RpcError:
                time.sleep(0.02)


def test_kill_9_at_random_moments_loses_and_tears_nothing(request, make_sealed, secret):
    """Four identities, each renewed about twice a second; killed while they are written."""
    rounds = request.config.getoption("--rounds")
    seed = random.randrange(2 ** 32)
    dice = random.Random(seed)
    agent = make_sealed(ttl="5s", rotation={"at": 0.1, "jitter": 0.5})
    life = Life(agent)
    clients = [Client(agent.address) for _ in range(3)]
    for client in clients:
        client.start()
    wait_until("a first rotation", lambda: agent.log.read_text().count("svid rotated") >= len(NAMES))

    slowest, served, half_written = 0.0, 0, 0
    for number in range(rounds):
        where = f"round {number} of seed {seed}"
        time.sleep(dice.uniform(0.0, 0.6))
        agent.process.popen.send_signal(signal.SIGKILL)
        agent.process.popen.wait(10)
        half_written += sum(path.suffix == ".tmp" for path in (agent.state / "sealed").iterdir())
        on_disk = read(agent, secret)
        # A machine that stands still for seconds lets some end.
        assert set(on_disk) == {spiffe_id(name) for name in NAMES} or "svid expired" in life.text(), where

        life = Life(agent)
        now = time.time()

        taken = sealed.served_from_disk(life.text())
        due = {one.spiffe_id: one.serial for one in on_disk.values() if one.not_after > now}
        assert due.items() <= taken.items(), where
        assert "set aside" not in life.text(), where
        served += len(taken)
        slowest = max(slowest, life.ready_in)

    for client in clients:
        client.over.set()
    print(f"\n{rounds} kills (seed {seed}): 0 torn files, {served} SVIDs served from the disk, "
          f"{half_written} half-written files removed, {sum(c.updates for c in clients)} updates seen by clients, "
          f"slowest start to first SVID {slowest * 1000:.0f} ms")
    assert served > rounds * len(NAMES) * 0.9
