"""What promtool says of a real scrape and of the dashboard's queries: .ci/metrics."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import simplejson

from tests.harness import TIMEOUT_S
from tests.monitoring_files import expressions_of_the_dashboard
from tests.scraping import ScrapedHub


@pytest.fixture
def hub(scratch: Path) -> Iterator[ScrapedHub]:
    hub = ScrapedHub(scratch).start()
    yield hub
    assert hub.stop() == 0


def promtool(*arguments: str, text: str = "") -> str:
    done = subprocess.run(
        ["promtool", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_has_nothing_against_a_scrape(hub: ScrapedHub) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "hello")
        assert promtool("check", "metrics", text=hub.scrape().text) == ""


def test_promtool_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions_of_the_dashboard())
    ]
    assert len(rules) > 40
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(simplejson.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))
