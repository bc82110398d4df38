"""The queries of deploy/grafana-dashboard.json and deploy/alerts.yml."""

import re
from typing import Any

import simplejson
import yaml

from tests.harness import ROOT

# What Grafana puts in place of its variables.
_VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
_METRIC = re.compile(r"\b(?:claudehub|process|websocket|messages)_\w+")


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = simplejson.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    return read


def expressions_of_the_dashboard() -> list[str]:
    found = [t["expr"] for panel in dashboard()["panels"] for t in panel.get("targets", ())]
    for name, value in _VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def rules() -> list[dict[str, Any]]:
    read = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def alerts_that_are_tried() -> set[str]:
    """Return the alerts that `promtool test rules` must see fire."""
    read = yaml.safe_load((ROOT / ".ci/alerts_test.yml").read_text())
    expected = [case["exp_samples"] for test in read["tests"] for case in test["promql_expr_test"]]
    labels = [sample["labels"] for samples in expected for sample in samples]
    return {name for text in labels for name in re.findall(r'alertname="(\w+)"', text)}


def metrics_in(expressions: list[str]) -> set[str]:
    """Return the names of metrics in PromQL."""
    return {name for expression in expressions for name in _METRIC.findall(expression)}
