"""A hub's metrics, as a scraper sees them."""

import http.client
import socket

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import TIMEOUT_S, HubProcess


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Scrape:
    """One scrape: values by name and labels."""

    def __init__(self, port: int) -> None:
        status, self.text = get(port, "/metrics")
        assert status == 200, self.text
        self.families = {f.name: f for f in text_string_to_metric_families(self.text)}
        self._samples = [s for family in self.families.values() for s in family.samples]

    @property
    def names(self) -> set[str]:
        """Return all names of samples, and of families without any."""
        described = {
            line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE")
        }
        return {sample.name for sample in self._samples} | described

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; 0 if there is none."""
        found = [s.value for s in self._samples if s.name == name and s.labels == labels]
        assert len(found) <= 1
        return found[0] if found else 0.0

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a metric that are not 0, by the values of their labels."""
        return {
            tuple(s.labels[label] for label in labels): s.value
            for s in self._samples
            if s.name == name and s.value
        }


class ScrapedHub(HubProcess):
    """A hub with METRICS_PORT."""

    def start(self, **settings: str) -> "ScrapedHub":
        self.metrics_port = free_port()
        super().start(METRICS_PORT=str(self.metrics_port), **settings)
        return self

    def scrape(self) -> Scrape:
        return Scrape(self.metrics_port)

    def get(self, path: str) -> tuple[int, str]:
        return get(self.metrics_port, path)
