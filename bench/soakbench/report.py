"""What a run tells: its table, its slopes, and whether all is well."""

from collections.abc import Sequence
from dataclasses import replace

from bench.soakbench.flatness import Bound, Slope, slope_of
from bench.soakbench.run import WARM_UP_MAX_S, Outcome
from bench.soakbench.samples import MIB, Sample, percentile
from storage.request_keys import REQUEST_KEYS_KEPT

# What the server may hold more at the end of the window than at its start, in calm moments. For
# descriptors and threads: the pipes and threads of the CLI processes that are kept warm, of which a
# kill -9 may just have taken some.
BOUNDS = {
    "memory": ("MiB", "memory_mib", Bound(floor=4.0, share=0.05)),
    "descriptors": ("descriptors", "descriptors", Bound(floor=16.0, share=0.0)),
    "threads": ("threads", "threads", Bound(floor=16.0, share=0.0)),
}
# For memory in a run with a warm-up of less than WARM_UP_MAX_S: the heap still meets its largest
# messages, and grows in steps until it has.
YOUNG_MEMORY = Bound(floor=4.0, share=0.2)
# What the hub keeps by design of each project's last REQUEST_KEYS_KEPT prompts, so that none runs
# twice: tracemalloc shows some 450 bytes for each.
KEY_BYTES = 512
MUST_BE_NONE = (
    "hole",
    "double",
    "differs",
    "lost log",
    "no answer",
    "wrong answer",
    "lost prompt",
    "double prompt",
    "lost end",
    "double end",
    "stuck",
    "the server ended",
    "a bug in its log",
    "a process left",
)


def measured(outcome: Outcome) -> list[Sample]:
    """Return the calm samples of the life that began last before the window."""
    calm = [s for s in outcome.meter.samples if s.is_calm and outcome.plan.is_measured(s.at_s)]
    return [sample for sample in calm if sample.life == calm[0].life]


def slopes(outcome: Outcome) -> list[Slope]:
    """Return the slopes of memory, descriptors and threads."""
    samples, found = measured(outcome), []
    for name, (unit, field, usual) in BOUNDS.items():
        bound = _memory_bound(outcome, samples) if name == "memory" else usual
        points = [(sample.at_s, float(getattr(sample, field))) for sample in samples]
        found.append(slope_of(name, unit, points, bound))
    return found


def _memory_bound(outcome: Outcome, samples: Sequence[Sample]) -> Bound:
    """Return the bound with what the keys of the prompts within the window may take."""
    is_young = outcome.plan.warm_up_s < WARM_UP_MAX_S
    usual = YOUNG_MEMORY if is_young else BOUNDS["memory"][2]
    if not samples:
        return usual
    sent = outcome.ledger.latencies.by_kind.get("execute", [])
    within = sum(samples[0].at_s <= at_s <= samples[-1].at_s for at_s, _ in sent)
    kept = min(within, outcome.plan.projects * REQUEST_KEYS_KEPT)
    return replace(usual, known=kept * KEY_BYTES / MIB)


def is_good(outcome: Outcome, found: Sequence[Slope]) -> bool:
    """Return True if nothing was lost, nothing is left, and every curve is flat."""
    return not outcome.ledger.findings.counts and all(slope.is_flat for slope in found)


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    ledger, totals = outcome.ledger, outcome.totals
    rows = [(name, f"{count:,}") for name, count in sorted(ledger.done.items())]
    rows += [(f"refused: {name}", f"{count:,}") for name, count in sorted(ledger.errors.items())]
    for kind in ("project_join", "execute"):
        times = [took_s * 1000 for _, took_s in ledger.latencies.by_kind.get(kind, [])]
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        rows.append((f"{kind}, request to result", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"))
    rows += [
        ("lives of the server", f"{outcome.lives:,}"),
        ("logs read at the end", f"{totals.logs:,}"),
        ("records in them", f"{totals.records:,}"),
        ("executions in them", f"{totals.executions:,}"),
        ("processor time of hub, agents and soak", f"{outcome.cores_used:.2f} cores"),
        ("how the disk was filled", outcome.disk),
    ]
    return rows


def table(outcome: Outcome, found: Sequence[Slope]) -> str:
    """Return everything as lines of text: what was done, then what must be none, then slopes."""
    findings = outcome.ledger.findings
    plan = outcome.plan
    lines = [
        f"soak of {plan.minutes:g} minutes, {plan.clients} clients, {plan.projects} projects, "
        f"seed {plan.seed}",
        "",
    ]
    lines += [f"  {name:58} {value:>14}" for name, value in _rows(outcome)]
    lines += ["", "  must be none"]
    lines += [f"  {kind:58} {findings.counts[kind]:>14,}" for kind in MUST_BE_NONE]
    lines += ["", "  growth in calm moments (slope times window; the bound is on the growth)"]
    for slope in found:
        lines.append(
            f"  {slope.name:12} about {slope.level:8.1f} {slope.unit}: {slope.per_hour:+.2f} an "
            f"hour, {slope.growth:+.2f} in the window, bound {slope.bound:.2f}, "
            f"{slope.moments} moments: {slope.verdict}"
        )
    if findings.sentences:
        lines += ["", "  what is wrong"]
        lines += [f"  {sentence}" for sentence in findings.sentences]
    lines += ["", "good" if is_good(outcome, found) else "NOT GOOD"]
    return "\n".join(lines)
