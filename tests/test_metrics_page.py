"""docs/monitoring.md, the dashboard and the alert rules have the metrics that a hub has."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.fences import fences
from tests.harness import ROOT, TIMEOUT_S
from tests.metrics_table import table
from tests.scraping import ScrapedHub

PAGE = ROOT / "docs" / "monitoring.md"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScrapedHub]:
    hub = ScrapedHub(tmp_path_factory.mktemp("monitored")).start()
    hub.is_shared = True
    yield hub
    assert hub.stop() == 0


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    assert table() in PAGE.read_text(), "python -m tests.metrics_table"


def test_the_commands_of_monitoring_md_work(hub: ScrapedHub) -> None:
    serving, asking = [f for f in fences(PAGE) if f.language == "sh"]
    assert serving.text.strip() == "METRICS_PORT=9464 bin/claudehub serve"
    for command in asking.text.strip().splitlines():
        done = subprocess.run(
            ["sh", "-c", command.replace("9464", str(hub.metrics_port))],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert done.stdout == "ok\n" or "claudehub_ready 1.0\n" in done.stdout
