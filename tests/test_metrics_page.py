"""docs/monitoring.md, the dashboard and the alert rules have the metrics that a hub has."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from actors.metrics.catalogue import CATALOGUE
from tests.fences import fences
from tests.harness import ROOT, TIMEOUT_S
from tests.metrics_table import table
from tests.monitoring_files import (
    alerts_that_are_tried,
    dashboard,
    expressions_of_the_dashboard,
    metrics_in,
    rules,
)
from tests.scraping import ScrapedHub

# Of little use over time.
NOT_SHOWN = {"claudehub_log_torn_bytes_total"}
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


def test_every_metric_of_the_dashboard_and_the_rules_is_in_a_scrape(hub: ScrapedHub) -> None:
    with hub.client() as client:  # histograms have no buckets before the first value
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "hello")
        shown = hub.scrape().names
    in_rules = metrics_in([rule["expr"] for rule in rules()])
    on_the_dashboard = metrics_in(expressions_of_the_dashboard())
    assert len(in_rules) > 10 and len(on_the_dashboard) > 30
    assert (in_rules | on_the_dashboard) - shown == set()


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    used = metrics_in([rule["expr"] for rule in rules()] + expressions_of_the_dashboard())
    plain = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    assert {metric.name for metric in CATALOGUE} - plain == NOT_SHOWN


def test_the_dashboards_panels_have_places_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) < 24
    groups = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert len(groups) == len(set(groups)) == 5
    for panel in panels:
        sources = (
            [panel["datasource"], *(t["datasource"] for t in panel.get("targets", ()))]
            if (panel["type"] != "row")
            else []
        )
        assert all(source["uid"] == "${datasource}" for source in sources)


def test_every_rule_says_where_how_bad_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"], rule
        assert rule["annotations"]["description"], rule
        assert "sum(" not in rule["expr"], "it would lose the instance"


def test_every_rule_is_seen_to_fire() -> None:
    """.ci/metrics runs promtool on that file."""
    assert alerts_that_are_tried() == {rule["alert"] for rule in rules()}


def test_every_quantile_is_compared_with_a_bound_of_its_buckets() -> None:
    """Between two bounds a quantile is made up: all flushes may be faster than it says."""
    bounds = {metric.name: metric.buckets for metric in CATALOGUE}
    compared = [
        (name, float(value))
        for rule in rules()
        if "histogram_quantile" in rule["expr"]
        for name, value in re.findall(r"(\w+)_bucket.*> ([\d.]+)", rule["expr"])
    ]
    assert compared
    assert all(value in bounds[name] for name, value in compared), compared


def test_every_counter_that_a_rule_watches_is_there_before_it_counts(hub: ScrapedHub) -> None:
    """increase() does not see that a series begins with 1."""
    watched = {
        (name, tuple(re.findall(r'(\w+)="(\w+)"', labels)))
        for rule in rules()
        for name, labels in re.findall(r"increase\((\w+)({.*?})?\[", rule["expr"])
    }
    assert len(watched) > 4
    text = hub.scrape().text
    for name, labels in watched:
        found = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        for label, value in labels:
            found = [line for line in found if f'{label}="{value}"' in line]
        assert found, name
