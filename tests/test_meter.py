"""Counting without locks, and what a scrape reads meanwhile."""

import threading
from collections.abc import Iterator

import pytest

from actors.metrics import catalogue
from actors.metrics.actor_readings import actor_readings
from actors.metrics.catalogue import CATALOGUE, Metric
from actors.metrics.exposition import Exposition
from actors.metrics.meter import Meter, Reading
from actors.runtime.base import Actor
from actors.runtime.living import LIVING
from tests.harness import TIMEOUT_S
from tests.processes import wait_until

COUNT = catalogue.LOG_RECORDS
BATCH = catalogue.LOG_BATCH
WAITING = catalogue.OUTBOX_BYTES
LARGEST = catalogue.OUTBOX_LARGEST


def lines(meter: Meter, start: str) -> list[str]:
    _, text = Exposition(meter).text("")
    return [line for line in text.decode().splitlines() if line.startswith(start)]


def test_tallies_add_up_and_keep_their_counts_when_they_retire() -> None:
    meter = Meter()
    first, second = meter.tally(), meter.tally()
    first.count(COUNT)
    second.count(COUNT, by=4)
    meter.count(COUNT, by=10)
    assert meter.snapshot().values[COUNT, ()] == 15
    meter.retire(first)
    meter.retire(first)
    meter.retire(second)
    assert meter.snapshot().values[COUNT, ()] == 15


def test_a_retired_tally_leaves_its_counters_and_not_what_it_shows() -> None:
    meter = Meter()
    waiting = [5, 9]
    tallies = [
        meter.tally(lambda n=n: [(WAITING, (), n), (LARGEST, (), n), (COUNT, (), n)])  # type: ignore[misc]
        for n in waiting
    ]
    seen = meter.snapshot().values
    assert (seen[WAITING, ()], seen[LARGEST, ()], seen[COUNT, ()]) == (14, 9, 14)
    meter.retire(tallies[1])
    seen = meter.snapshot().values
    assert (seen[WAITING, ()], seen[LARGEST, ()], seen[COUNT, ()]) == (5, 5, 14)


def test_histograms_are_cumulative_with_inclusive_bounds() -> None:
    meter = Meter()
    tally = meter.tally()
    for value in (1, 2, 3, 5000):
        tally.observe(BATCH, value)
    meter.retire(tally)
    meter.tally().observe(BATCH, 2)
    shown = dict(line.rsplit(" ", 1) for line in lines(meter, BATCH.name))
    assert shown[f'{BATCH.name}_bucket{{le="1.0"}}'] == "1.0"
    assert shown[f'{BATCH.name}_bucket{{le="2.0"}}'] == "3.0"
    assert shown[f'{BATCH.name}_bucket{{le="2048.0"}}'] == "4.0"
    assert shown[f'{BATCH.name}_bucket{{le="+Inf"}}'] == shown[f"{BATCH.name}_count"] == "5.0"
    assert shown[f"{BATCH.name}_sum"] == "5008.0"


def test_what_one_actor_cannot_show_hides_nothing_else() -> None:
    meter = Meter()

    def broken() -> Iterator[Reading]:
        yield WAITING, (), 3
        raise RuntimeError("changed during iteration")

    meter.tally(broken).count(COUNT, by=2)
    meter.tally().count(COUNT)
    assert meter.snapshot().values[COUNT, ()] == 3


def test_a_counter_never_goes_back_while_tallies_begin_count_and_retire() -> None:
    """Scrapes come between all steps of other threads; the end is exact."""
    meter, each, rounds = Meter(), 200, 50
    done = threading.Event()

    def work() -> None:
        for _ in range(rounds):
            tally = meter.tally()
            for n in range(each):
                tally.count(COUNT)
                tally.observe(BATCH, n)
            meter.retire(tally)

    seen = [0.0]

    def scrape() -> None:
        while not done.is_set():
            seen.append(meter.snapshot().values.get((COUNT, ()), 0))

    workers = [threading.Thread(target=work) for _ in range(3)]
    scraper = threading.Thread(target=scrape)
    for thread in (scraper, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    scraper.join()
    assert seen == sorted(seen)
    last = meter.snapshot()
    assert last.values[COUNT, ()] == 3 * rounds * each
    assert sum(last.histograms[BATCH, ()][:-1]) == 3 * rounds * each


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_follow_the_rules_of_prometheus(metric: Metric) -> None:
    of_the_contract = metric in (catalogue.HANDSHAKES, catalogue.MESSAGES)
    assert metric.name.startswith("claudehub_") or of_the_contract
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not set(metric.name.split("_")) & {"ms", "milliseconds", "kb", "mib", "minutes"}
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)
    assert all(len(labels) == len(metric.labels) for labels in metric.known)
    assert metric.meaning.endswith(".") and "|" not in metric.meaning


def test_names_are_unique() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE) > 30


class Waiting(Actor):
    """It handles a message until it is told to go on; anything else makes it fail."""

    def __init__(self, entered: threading.Event, go_on: threading.Event) -> None:
        super().__init__(parent=None, name="waiting")
        self._entered, self._go_on = entered, go_on

    def on_receive(self, message: object) -> None:
        if message != "wait":
            raise ZeroDivisionError("a bug")
        self._entered.set()
        self._go_on.wait(TIMEOUT_S)


def test_actors_show_their_inboxes_their_ages_and_their_deaths() -> None:
    entered, go_on = threading.Event(), threading.Event()
    before = LIVING.deaths.get("Waiting", 0)
    ref = Waiting.start(entered, go_on)
    for message in ("wait", "wait", "die"):
        ref.tell(message)
    assert entered.wait(TIMEOUT_S)
    meter = Meter()
    meter.tally(lambda: actor_readings(LIVING))
    for now_s in (100.0, 107.0):
        LIVING.look(now_s)
    seen = meter.snapshot().values
    kind = ("Waiting",)
    assert seen[catalogue.ACTORS, kind] == 1
    assert seen[catalogue.INBOX, kind] == seen[catalogue.INBOX_LARGEST, kind] == 2
    assert seen[catalogue.INBOX_AGE, kind] == seen[catalogue.HANDLING, kind] == 7.0
    assert seen.get((catalogue.DEATHS, kind), 0) == before
    go_on.set()
    assert ref.actor_stopped.wait(TIMEOUT_S)
    wait_until(lambda: LIVING.deaths.get("Waiting", 0) == before + 1)
    LIVING.restarted("Waiting")
    after = meter.snapshot().values
    assert after[catalogue.DEATHS, kind] == before + 1
    assert after[catalogue.RESTARTS, kind] == 1
    wait_until(lambda: (catalogue.ACTORS, kind) not in meter.snapshot().values)
