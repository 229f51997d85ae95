"""Files for programs that read files: real servers serve from them through rotations; curl and
OpenSSL read them as clients."""
import os
import shutil
import subprocess
import time

import pytest

from conftest import WEB_UID, parts
from kit.agent import identity, spiffe_id
from kit.process import wait_until
from kit.tls_load import NAME, TlsLoad
from kit.tls_servers import Envoy, Haproxy, Nginx

UNUSED = "unix:uid:4242424"  # nobody: these identities have no subscriber but their files


def serial_of(chain):
    out = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", chain], capture_output=True, text=True,
                         check=True).stdout
    return out.strip().removeprefix("serial=").lower()


def short(serial):
    """Tools differ in leading zeros."""
    return serial.lower().lstrip("0")


def output(name, directory, profile="tls", **more):
    return {"identity": f"/{name}", "directory": str(directory), "profile": profile, **more}


def status_of(agent, directory):
    return next(o for o in agent.json("status")["outputs"] if o["directory"] == str(directory))


@pytest.fixture
def make_server(request, folder):
    """make_server(class): one that is not started; its files are to be at folder/web."""
    servers = []
    request.node.logs = getattr(request.node, "logs", [])

    def make(kind):
        path = kind.binary()
        if not path:
            parts[kind.name] = "skipped (not installed)"
            pytest.skip(f"no {kind.name}")
        parts[kind.name] = f"real ({kind.version(path)})"
        home = folder / kind.name
        home.mkdir()
        servers.append(kind(path, home, folder / "web"))
        request.node.logs.append((kind.name, servers[-1].log))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def start_all(make_agent, server, folder, hooks):
    agent = make_agent([{**identity("web", UNUSED), "x509": {"ttl": "1h", "dns_names": [NAME]}},
                        identity("client", UNUSED)],
                       outputs=[output("web", folder / "web", server.profile, hooks=hooks),
                                output("client", folder / "client", "pem")]).start()
    wait_until("the first files", lambda: all((folder / name / "..data").exists() for name in ("web", "client")))
    server.start()
    return agent


@pytest.mark.parametrize("kind, how", [
    (Nginx, "exec"), (Nginx, "signal"), (Haproxy, "signal"), (Envoy, "watch")])
def test_a_server_serves_through_rotations(make_agent, make_server, folder, kind, how):
    server = make_server(kind)
    agent = start_all(make_agent, server, folder, server.hooks(how))
    web = folder / "web"
    # A client's own key and chain are read by two calls, so it takes one set and stays with it.
    client = shutil.copytree(folder / "client" / "..data", folder / "set")

    served = set()
    with TlsLoad(2, server.port, client / "bundle.pem", client / "svid.pem", client / "svid_key.pem") as load:
        for _ in range(12):
            rotated = {r["spiffe_id"]: r for r in agent.rotate()["rotations"]}[spiffe_id("web")]
            serial = short(rotated["new_serial"])
            # --wait has waited for the files.
            assert rotated["streams_current"] == rotated["streams"] == 1
            assert short(status_of(agent, web)["serial"]) == serial
            wait_until("the new certificate", lambda: serial in map(short, filter(None, set(load.serials))))
            served.add(serial)
        wait_until("requests in number", lambda: load.made > 50)

    assert load.failures == []
    assert len(served) == 12
    found = status_of(agent, web)
    assert found["last_error"] is None and found["hook_error"] is None
    assert "PRIVATE KEY" not in agent.log.read_text()


def test_curl_and_openssl_take_the_files_as_they_are(make_agent, make_server, folder):
    server = make_server(Nginx)
    start_all(make_agent, server, folder, [])
    client = folder / "client"

    curl = subprocess.run(["curl", "-sS", "--noproxy", "*", "--resolve", f"{NAME}:{server.port}:127.0.0.1",
                           "--cacert", client / "bundle.pem", "--cert", client / "svid.pem",
                           "--key", client / "svid_key.pem", f"https://{NAME}:{server.port}/"],
                          capture_output=True, text=True, timeout=20)
    openssl = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-verify_return_error",
                              "-CAfile", client / "bundle.pem", "-cert", client / "svid.pem",
                              "-key", client / "svid_key.pem", "-servername", NAME,
                              "-verify_hostname", NAME],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    stranger = subprocess.run(["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "--resolve",
                               f"{NAME}:{server.port}:127.0.0.1", "--cacert", client / "bundle.pem",
                               f"https://{NAME}:{server.port}/"], capture_output=True, text=True, timeout=20)

    assert (curl.returncode, curl.stdout) == (0, "hello"), curl.stderr
    assert "Verification: OK" in openssl.stdout, openssl.stdout + openssl.stderr
    assert stranger.stdout == "400"


def test_files_are_renewed_with_no_stream_open(make_agent, folder):
    make_agent([identity("web", UNUSED, ttl="5s")], outputs=[output("web", folder / "web", "bundle")]).start()
    bundle = folder / "web" / "credential-bundle.pem"
    wait_until("the first files", bundle.exists)

    seen = {serial_of(bundle)}
    wait_until("two renewals", lambda: seen.add(serial_of(bundle)) or len(seen) >= 3, seconds=30, every=0.2)

    assert bundle.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert bundle.stat().st_mode & 0o777 == 0o600


def test_a_restart_tidies_and_writes_a_new_set(make_agent, folder):
    agent = make_agent([identity("web", UNUSED)], outputs=[output("web", folder / "web")]).start()
    wait_until("the first files", (folder / "web" / "tls.key").exists)
    before = os.readlink(folder / "web" / "..data")
    agent.kill()
    left = folder / "web" / "..2025_01_01_00_00_00.7"
    left.mkdir()
    (left / "tls.key").write_text("of a crash")

    agent.start()
    wait_until("new files", lambda: os.readlink(folder / "web" / "..data") != before)

    assert not left.exists()
    assert (folder / "web" / before).exists()  # for who is in the midst of reading


@pytest.mark.skipif(WEB_UID is None, reason="needs root: gives files to another user")
def test_files_belong_to_whom_they_are_for(make_agent, folder):
    make_agent([identity("web", UNUSED)],
               outputs=[output("web", folder / "web", owner=str(WEB_UID), group=str(WEB_UID),
                               key_mode="0400", mode="0444")]).start()
    wait_until("the first files", (folder / "web" / "tls.key").exists)

    key, chain = ((folder / "web" / name).stat() for name in ("tls.key", "tls.crt"))
    assert (key.st_uid, key.st_gid, key.st_mode & 0o777) == (WEB_UID, WEB_UID, 0o400)
    assert (chain.st_uid, chain.st_gid, chain.st_mode & 0o777) == (WEB_UID, WEB_UID, 0o444)


def test_a_directory_that_others_may_write_to_stops_the_start(make_agent, folder):
    (folder / "web").mkdir()
    (folder / "web").chmod(0o777)
    agent = make_agent([identity("web", UNUSED)], outputs=[output("web", folder / "web")])

    process = agent.launch()

    assert process.popen.wait(10) == 1
    assert f"output {folder}/web: {folder}/web: mode 0777 lets others exchange what is written" in process.output()


def test_what_fails_shows_in_status_and_mends_itself(make_agent, folder):
    flag = folder / "flag"
    hook = {"exec": ["/bin/sh", "-c", f"test -e {flag} || {{ echo no flag >&2; exit 7; }}"],
            "retry": {"tries": 20, "delay": "100ms"}}
    agent = make_agent([identity("web", UNUSED)], outputs=[output("web", folder / "web", hooks=[hook])]).start()
    web = folder / "web"

    wait_until("the hook's error", lambda: status_of(agent, web)["hook_error"] ==
               "exec /bin/sh: exit status 7: no flag")
    assert "degraded" in agent.command("status").stdout
    flag.touch()
    wait_until("the hook to succeed", lambda: status_of(agent, web)["hook_error"] is None)

    web.rename(folder / "away")
    web.write_text("in the way")
    agent.command("rotate", "--all")
    wait_until("the error", lambda: "no directory" in (status_of(agent, web)["last_error"] or ""))
    assert (folder / "away" / "tls.key").exists()
    web.unlink()
    (folder / "away").rename(web)
    wait_until("the new set", lambda: status_of(agent, web)["last_error"] is None, seconds=20)
    assert short(serial_of(web / "tls.crt")) == short(agent.serials()[spiffe_id("web")])


def test_a_hook_that_hangs_delays_neither_rotation_nor_stop(make_agent, folder):
    agent = make_agent([identity("web", UNUSED)],
                       outputs=[output("web", folder / "web", hooks=[{"exec": ["/bin/sleep", "600"],
                                                                      "timeout": "10m"}])]).start()
    wait_until("the first files", (folder / "web" / "tls.key").exists)
    for _ in range(3):
        rotated = agent.rotate()["rotations"][0]
        assert rotated["streams_current"] == rotated["streams"] == 1

    begun = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - begun < 8
