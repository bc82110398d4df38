"""The soak's judges find what they are there to find (bench/soakbench/)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.soakbench.checks import Answers, Book, Findings, Records, Stream
from bench.soakbench.client import Ledger
from bench.soakbench.flatness import CALM_MIN, Bound, slope_of, theil_sen
from bench.soakbench.hub_process import INJECTED, faults_of
from bench.soakbench.launcher import InjectedFault, Seams, patch_actor
from bench.soakbench.log_check import check_records
from bench.soakbench.picture import draw
from bench.soakbench.report import is_good, slopes, table
from bench.soakbench.run import Outcome, Plan
from bench.soakbench.samples import Meter, Sample
from storage.pages import MissingRecords

PROJECT = "steady-01"
PLAN = Plan(minutes=5, clients=10, projects=2, faults=("server", "agent"), seed=1, cores=0.5)


def update(seq: int, kind: str = "claude", **data: Any) -> dict[str, Any]:
    return {
        "project_id": PROJECT,
        "update_type": kind,
        "data": data,
        "timestamp": "2026-11-29T00:00:00.000000Z",
        "seq": seq,
    }


def stream(findings: Findings) -> Stream:
    joined = Stream("client", PROJECT, Records(findings), findings)
    joined.joined("log", 0)
    return joined


def run_of(first_seq: int, execution_id: str, key: str, ends: int = 1) -> list[dict[str, Any]]:
    """Return the records of one execution."""
    records = [
        update(first_seq, "prompt", execution_id=execution_id, key=key),
        update(first_seq + 1, "execution_started", execution_id=execution_id),
    ]
    for _ in range(ends):
        seq = first_seq + len(records)
        records.append(update(seq, "execution_finished", execution_id=execution_id))
    return records


def checked(records: list[Any], promised: dict[str, str] | None = None) -> dict[str, int]:
    findings = Findings()
    check_records(PROJECT, records, {}, promised or {}, findings)
    return dict(findings.counts)


# -- streams


def test_a_whole_stream_has_no_findings_over_joins_and_ephemeral_updates() -> None:
    findings = Findings()
    whole = stream(findings)
    for seq in (1, 2, 3):
        whole.update(update(seq))
    whole.update({"project_id": PROJECT, "update_type": "status", "data": {}})
    whole.left()
    whole.joined("log", 1)
    whole.update(update(2))
    assert findings.counts == {}
    assert whole.updates == 4


def test_a_missing_number_is_a_hole() -> None:
    findings = Findings()
    broken = stream(findings)
    broken.update(update(1))
    broken.update(update(3))
    assert findings.counts == {"hole": 1}


def test_a_gap_is_a_hole() -> None:
    findings = Findings()
    gap = update(0, "gap", first_seq=1, last_seq=4)
    del gap["seq"]
    broken = stream(findings)
    broken.update(gap)
    broken.update(update(5))
    assert findings.counts == {"hole": 1}


def test_a_number_that_comes_again_is_a_double() -> None:
    findings = Findings()
    broken = stream(findings)
    broken.update(update(1))
    broken.update(update(1))
    assert findings.counts == {"double": 1}


def test_an_update_of_a_project_that_was_left_is_a_double() -> None:
    findings = Findings()
    broken = stream(findings)
    broken.left()
    broken.update(update(1))
    assert findings.counts == {"double": 1}


def test_another_update_under_a_known_number_is_found() -> None:
    findings = Findings()
    records = Records(findings)
    for text in ("one", "another"):
        reader = Stream(text, PROJECT, records, findings)
        reader.joined("log", 0)
        reader.update(update(1, text=text))
    assert findings.counts == {"differs": 1}


def test_another_log_and_history_that_is_gone_are_found() -> None:
    findings = Findings()
    broken = stream(findings)
    broken.joined("another log", 0)
    broken.refused({"first_seq": 9})
    assert findings.counts == {"lost log": 1, "hole": 1}


# -- answers and prompts


def test_answers_in_their_order_have_no_findings() -> None:
    findings = Findings()
    answers = Answers("client", findings)
    answers.asked("1", "ping")
    answers.asked("2", "ping")
    assert answers.answered("1") and answers.answered("2")
    answers.asked("3", "ping")
    assert answers.lost() == 1
    assert findings.counts == {}


@pytest.mark.parametrize("order", [("1", "1"), ("2", "1"), ("7",), (None,)])
def test_a_second_answer_a_wrong_order_and_a_strange_answer_are_found(
    order: tuple[str | None, ...],
) -> None:
    findings = Findings()
    answers = Answers("client", findings)
    answers.asked("1", "ping")
    answers.asked("2", "execute")
    for request_id in order:
        answers.answered(request_id)
    assert findings.counts["wrong answer"] >= 1


def test_a_request_that_stays_open_is_found() -> None:
    findings = Findings()
    answers = Answers("client", findings)
    answers.asked("1", "execute")
    answers.late("1", "execute", 90)
    assert findings.counts == {"no answer": 1}


def test_a_key_with_two_executions_is_a_double_prompt() -> None:
    findings = Findings()
    book = Book(findings)
    book.accepted(PROJECT, "key", "e1")
    book.accepted(PROJECT, "key", "e1")
    assert findings.counts == {}
    book.accepted(PROJECT, "key", "e2")
    assert findings.counts == {"double prompt": 1}


# -- logs


def test_a_whole_log_has_no_findings() -> None:
    records = [*run_of(1, "e1", "k1"), *run_of(4, "e2", "k2")]
    assert checked(records, {"k1": "e1", "k2": "e2"}) == {}


def test_a_log_with_a_missing_number_has_a_hole() -> None:
    records = [record for record in run_of(1, "e1", "k1", ends=1) if record["seq"] != 2]
    assert checked(records) == {"hole": 1}


def test_a_log_with_unreadable_records_has_a_hole() -> None:
    missing = MissingRecords(first_seq=1, last_seq=3)
    assert checked([missing, *run_of(4, "e1", "k1")]) == {"hole": 1}


def test_an_execution_without_an_end_and_one_with_two_are_found() -> None:
    assert checked(run_of(1, "e1", "k1", ends=0)) == {"lost end": 1}
    assert checked(run_of(1, "e1", "k1", ends=2)) == {"double end": 1}


def test_a_prompt_that_ran_twice_is_found() -> None:
    records = [*run_of(1, "e1", "same"), *run_of(4, "e2", "same")]
    assert checked(records) == {"double prompt": 1}


def test_an_acknowledged_prompt_that_no_log_has_is_found() -> None:
    assert checked(run_of(1, "e1", "k1"), {"k2": "e2"}) == {"lost prompt": 1}


def test_what_a_client_got_must_be_what_is_stored() -> None:
    findings = Findings()
    records = run_of(1, "e1", "k1")
    check_records(PROJECT, records, {1: 0}, {}, findings)  # another digest
    check_records(PROJECT, records, {4: 0}, {}, findings)  # a number that is not there
    assert findings.counts == {"differs": 1, "hole": 1}


def test_the_hub_may_log_only_the_exceptions_that_the_soak_has_made() -> None:
    bug = json.dumps({"event": "bug: an actor is still alive"})
    exception = json.dumps({"event": "failed", "exception": "Traceback … KeyError: 1"})
    injected = json.dumps({"event": "failed", "exception": f"{INJECTED} Project fail"})
    normal = json.dumps({"event": "stopped"})
    lines = [bug, "Thread 0x1 (most recent call first):", exception, injected, normal]
    assert faults_of([*lines, "Traceback (most recent call last):"]) == [
        bug,
        exception,
        "Traceback (most recent call last):",
    ]


# -- curves


def curve(value: Callable[[float], float], moments: int = 20) -> list[tuple[float, float]]:
    return [(60.0 * n, value(60.0 * n)) for n in range(moments)]


def test_the_slope_is_that_of_a_line_and_an_outlier_does_not_move_it() -> None:
    points = curve(lambda at_s: 3 + 0.5 * at_s)
    points[7] = (points[7][0], 10_000.0)
    assert theil_sen(points) == pytest.approx(0.5)


def test_a_level_curve_is_flat_and_a_rising_one_is_not() -> None:
    bound = Bound(floor=4, share=0.05)
    level = slope_of("memory", "MiB", curve(lambda at_s: 80 + (at_s % 120) / 60), bound)
    rising = slope_of("memory", "MiB", curve(lambda at_s: 80 + at_s / 200), bound)
    assert level.is_flat
    assert not rising.is_flat
    assert rising.per_hour == pytest.approx(18)


def test_a_curve_that_falls_is_flat() -> None:
    assert slope_of("threads", "", curve(lambda at_s: 300 - at_s), Bound(4, 0)).is_flat


def test_too_few_calm_moments_show_nothing() -> None:
    points = curve(lambda at_s: 80.0, CALM_MIN - 1)
    slope = slope_of("memory", "MiB", points, Bound(4, 0))
    assert not slope.is_flat
    assert slope.verdict.startswith("NOT SHOWN")


# -- the launcher's seams


def test_a_failure_happens_once_and_only_to_its_kind_of_actor() -> None:
    class Project:
        def on_receive(self, message: str) -> str:
            return message

    seams = Seams()
    patch_actor(Project, seams)
    project = Project()
    seams.follow("fail Client\n")
    assert project.on_receive("one") == "one"
    seams.follow("fail Project\n")
    with pytest.raises(InjectedFault, match=INJECTED):
        project.on_receive("two")
    assert project.on_receive("three") == "three"


def test_steps_of_the_clock_add_up() -> None:
    seams = Seams()
    for step in ("3600", "-7200.5"):
        seams.follow(f"step {step}\n")
    assert seams.step().total_seconds() == -3600.5


# -- the verdict


def outcome_of(leak: float = 0.0, leak_mib: float = 0.0, plan: Plan = PLAN) -> Outcome:
    """A run of which each calm sample has `leak` more descriptors, and `leak_mib` more memory, than
    the one before it."""
    meter = Meter()
    for n in range(15):
        meter.samples.append(
            Sample(
                at_s=plan.total_s / 15 * n,
                age_s=20.0 * n,
                life=1,
                memory_mib=80 + leak_mib * n,
                descriptors=int(200 + leak * n),
                threads=300,
                processes=6,
                is_calm=True,
            )
        )
    return Outcome(plan, Ledger(), meter, "a disk", seconds=plan.total_s)


def test_a_run_without_findings_is_good() -> None:
    outcome = outcome_of()
    assert is_good(outcome, slopes(outcome))
    assert table(outcome, slopes(outcome)).endswith("\ngood")


def test_a_finding_or_a_leak_makes_a_run_bad() -> None:
    lost = outcome_of()
    lost.ledger.findings.note("lost end", "e1 has no end")
    leaking = outcome_of(leak=3)
    for bad in (lost, leaking):
        assert not is_good(bad, slopes(bad))
        assert table(bad, slopes(bad)).endswith("\nNOT GOOD")
    assert "e1 has no end" in table(lost, slopes(lost))
    rises = [line for line in table(leaking, slopes(leaking)).splitlines() if "NOT FLAT" in line]
    assert [line.split()[0] for line in rises] == ["descriptors"]


def test_a_long_run_has_the_narrower_bound_for_memory() -> None:
    long = replace(PLAN, minutes=60)
    for minutes, leak_mib, is_flat in ((5, 1, True), (60, 1, False), (5, 3, False)):
        outcome = outcome_of(leak_mib=leak_mib, plan=long if minutes == 60 else PLAN)
        assert is_good(outcome, slopes(outcome)) == is_flat


def test_the_keys_of_prompts_in_the_window_widen_the_bound_up_to_what_the_hub_keeps() -> None:
    bounds = []
    for prompts in (0, 1024, 100_000):
        outcome = outcome_of()
        outcome.ledger.latencies.by_kind["execute"] = [(200.0, 0.01)] * prompts
        bounds.append(slopes(outcome)[0].bound)
    assert bounds[1] - bounds[0] == pytest.approx(0.5)
    assert bounds[2] - bounds[0] == pytest.approx(PLAN.projects * 1000 * 512 / 1024 / 1024)


def test_only_one_life_of_the_server_is_measured() -> None:
    outcome = outcome_of()
    outcome.meter.samples[-3:] = [
        Sample(280, 5, 2, 20, 2000, 3000, 6, is_calm=True),
    ]
    assert is_good(outcome, slopes(outcome))


def test_the_picture_has_the_curves_their_units_and_the_faults() -> None:
    outcome = outcome_of()
    outcome.ledger.latencies.by_kind["execute"] = [(1.0, 0.01), (2.0, 0.02)]
    svg = draw(outcome, slopes(outcome))
    for said in ("(MiB)", "(ms)", "minutes", "server", "agent", "prefers-color-scheme: dark"):
        assert said in svg
