"""The metrics as Prometheus reads them. Only a hub with METRICS_PORT imports this module.

prometheus_client brings the formats and the metrics of the process. Its own counters are not used:
each takes a lock for every step. Its own server is not used either: it starts a thread for each
connection without a limit, waits for ever for a request that does not come, and answers every path
with the metrics (tests/test_status_listener.py has the tries).
"""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from actors.metrics.catalogue import CATALOGUE, Metric
from actors.metrics.meter import Labels, Meter, Snapshot


class Exposition:
    """Make the text of a meter. Any thread may use it."""

    def __init__(self, meter: Meter) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_MeterCollector(meter))
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[str, bytes]:
        """Return the content type and the metrics, in the best format that `Accept` names."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _MeterCollector(Collector):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def describe(self) -> list[Family]:
        """Return nothing: otherwise registering would collect once, before anything is there."""
        return []

    def collect(self) -> Iterator[Family]:
        snapshot = self._meter.snapshot()
        for metric in CATALOGUE:
            yield _family(metric, snapshot)


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    shown: dict[Labels, float] = {}
    if metric.kind == "histogram":
        return _histogram(metric, snapshot)
    if not metric.labels and metric.is_always_shown:
        shown[()] = 0
    shown |= dict.fromkeys(metric.known, 0)
    shown |= {labels: v for (which, labels), v in snapshot.values.items() if which is metric}
    made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = made(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in sorted(shown.items()):
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, snapshot: Snapshot) -> Family:
    nothing = [0.0] * (len(metric.buckets) + 2)
    shown = dict.fromkeys(metric.known if metric.labels else ((),), nothing)
    shown |= {labels: h for (which, labels), h in snapshot.histograms.items() if which is metric}
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
    for labels, (*counts, total) in sorted(shown.items()):
        cumulated = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(labels, buckets=cumulated, sum_value=total)
    return family
