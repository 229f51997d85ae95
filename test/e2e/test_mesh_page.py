"""What docs/mtls-policy.md shows is what the commands print."""
import json
import re

import pytest
import yaml

from conftest import ROOT, WEB_UID
from kit.agent import identity
from kit.envoy import Envoy
from kit.mesh import curl, free_ports
from kit.process import wait_until

PAGE = (ROOT / "docs" / "mtls-policy.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)


def files():
    """{name: text} of the files that the page shows, their first line, which names them, in its place."""
    blocks = [text for language, text in BLOCKS if language == "yaml"]
    return {re.match(r"# ([\w.]+)", text)[1]: text.partition("\n")[2] for text in blocks}


def shown(command):
    """What the page shows of a command."""
    found = [text.partition("\n")[2] for _, text in BLOCKS if text.startswith(f"$ {command}\n")]
    assert len(found) == 1, f"{command} is shown {len(found)} times"
    return found[0]


def same_for_all(text):
    """Without what differs from run to run: durations and the width of columns."""
    return re.sub(" {2,}", "  ", re.sub(r"\b(\d+(ms|[dhms]))+\b", "T", text))


@pytest.fixture
def page(make_agent, selectors, folder, app):
    """An agent with the page's configuration, but for addresses, and its policy, without the file of mistakes."""
    mesh = yaml.safe_load(files()["agent.yaml"])["mesh"]
    policy = folder / "policy"
    policy.mkdir()
    (policy / "a.yaml").write_text(files()["a.yaml"])
    (policy / "b.yaml").write_text(files()["b.yaml"])
    mesh["policy"] = str(policy)
    web, = mesh["workloads"]
    *ports, service, admin = free_ports(5)
    for one, port in zip(web["ports"], ports):
        one.update(listen="0.0.0.0", app=f"127.0.0.1:{app.port}")
    web["services"][0]["listen"] = f"127.0.0.1:{service}"
    web["admin"] = f"127.0.0.1:{admin}"
    agent = make_agent([identity("ns/shop/sa/web", selectors[0])], mesh=mesh).start()
    return Page(agent, mesh, policy, ports)


class Page:
    def __init__(self, agent, mesh, policy, ports):
        self.agent, self.mesh, self.policy, self.ports = agent, mesh, policy, ports
        self.config = agent.home / "agent.yaml"

    def run(self, *words):
        return self.agent.command(*words, "-c", self.config)

    def move(self, numbers):
        """Onto other ports, which are free, policy and all."""
        text = self.config.read_text()
        for old, new in numbers.items():
            text = text.replace(f'"port": {old}', f'"port": {new}')
        self.config.write_text(text)
        file = self.policy / "a.yaml"
        manifests = file.read_text()
        for old, new in numbers.items():
            manifests = manifests.replace(str(old), str(new))
        file.write_text(manifests)


def test_explain_prints_what_the_page_shows(page):
    assert page.run("mesh", "explain", "web").stdout == shown("nodepilot mesh explain web")
    assert page.run("mesh", "explain", "web", "8081").stdout == shown("nodepilot mesh explain web 8081")


def test_mistakes_are_told_as_the_page_shows(page):
    file = page.policy / "policy.yaml"
    file.write_text(files()["policy.yaml"])

    told = page.run("envoy", "bootstrap", "--workload", "web").stderr

    assert told.replace(str(page.policy), "/etc/nodepilot/mesh") == shown("nodepilot envoy bootstrap --workload web")


def test_status_prints_what_the_page_shows(page, envoys, folder):
    numbers = dict(zip((8080, 8081, 8082), page.ports))
    page.move(numbers)
    page.agent.stop()
    page.agent.start()
    done = page.run("envoy", "bootstrap", "--workload", "web")
    assert done.returncode == 0, done.stderr
    envoy = Envoy(envoys[0], folder, json.loads(done.stdout), WEB_UID)
    try:
        envoy.wait_ready()
        # Two speak plaintext, by one connection for each request.
        for source in ("127.0.0.7", "127.0.0.9", "127.0.0.9"):
            assert curl(f"http://127.0.0.1:{numbers[8081]}/", "--interface", source) == (0, "200")
            wait_until(source, lambda source=source: source in page.run("mesh", "status").stdout)
        wait_until("the third", lambda: re.search(r"127\.0\.0\.9 +2 ", page.run("mesh", "status").stdout))
        told = page.run("mesh", "status").stdout
    finally:
        envoy.stop()

    for old, new in numbers.items():
        told = told.replace(f" {new} ", f" {old} ")
    assert same_for_all(told.replace("127.0.0.", "10.0.0.")) == same_for_all(shown("nodepilot mesh status"))
