"""What an agent's telemetry port tells, read with Prometheus' own parser."""
import http.client
import socket

from prometheus_client.parser import text_string_to_metric_families


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Telemetry:
    def __init__(self, port=None):
        self.port = port or free_port()

    def section(self, **more):
        """Of the configuration."""
        return {"telemetry": {"listen": f"127.0.0.1:{self.port}", **more}}

    def get(self, path, timeout=10):
        """(status, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self, path):
        """None while nobody serves the port."""
        try:
            return self.get(path)[0]
        except ConnectionError:
            return None

    def text(self):
        status, body = self.get("/metrics")
        assert status == 200, body
        return body

    def families(self):
        return list(text_string_to_metric_families(self.text()))

    def value(self, name, **labels):
        """Of the one series with these labels; None if there is none."""
        found = [sample.value for family in self.families() for sample in family.samples
                 if sample.name == name and labels.items() <= sample.labels.items()]
        assert len(found) <= 1, f"{name} {labels} are {len(found)} series"
        return found[0] if found else None

    def total(self, name, **labels):
        """Of all series with these labels."""
        return sum(sample.value for family in self.families() for sample in family.samples
                   if sample.name == name and labels.items() <= sample.labels.items())
