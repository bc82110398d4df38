"""What updates say, in words. All of it is safe text in one line."""

from datetime import datetime

from claudehub.client.lines import ApiRetry, RateLimit
from claudehub.client.updates import (
    ExecutionFinished,
    FilesChanged,
    Gap,
    HistoryGone,
    JsonObject,
    PermissionResolved,
    SessionReset,
)
from claudehub.show.safe_text import one_line, string

_PATHS_SHOWN = 8
# The share of a limit that is used; a larger number is no share.
_UTILIZATION_MAX = 1_000
_API_ERRORS = {
    400: "the API does not accept the request",
    401: "the API refuses the key",
    403: "the API does not allow this to the key",
    404: "the API does not know the model",
    408: "the API has waited too long",
    413: "the request is too large for the API",
    429: "the API limits the rate of requests",
    500: "the API has an internal error",
    502: "the API is out of reach behind its gateway",
    503: "the API is not available",
    529: "the API is overloaded",
}
_LIMITS = {
    "five_hour": "five-hour limit",
    "seven_day": "weekly limit",
    "seven_day_opus": "weekly limit of Opus",
    "seven_day_sonnet": "weekly limit of Sonnet",
    "overage": "limit of extra usage",
}
_RESETS = {
    "requested": "the next prompt begins a new conversation",
    "cleared": "/clear has begun a new conversation",
    "forgotten": "the CLI no longer has the old conversation; a new one has begun",
}
_UNANSWERED = {
    "timeout": "nobody answered in time: denied",
    "withdrawn": "the agent no longer asks",
    "execution_finished": "the execution has ended before an answer",
}


def duration(seconds: float) -> str:
    """Return a length of time for people: `0.4 s`, `12 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def api_error(status: int | None, error: str) -> str:
    """Return why the API did not do it: "the API refuses the key (401)"."""
    if status is None:
        return one_line("no connection to the API" + (f" ({error})" if error else ""))
    known = _API_ERRORS.get(status) if isinstance(status, int) else None
    words = known or f"the API answers with an error, {error}".rstrip(", ")
    return one_line(f"{words} ({status})")


def api_retry(update: ApiRetry) -> str:
    """Return "the API refuses the key (401), try 5 of 10, next in 8 s"."""
    why = api_error(update.status, string(update.error))
    tries = f"try {update.attempt} of {update.max_retries}"
    return one_line(f"{why}, {tries}, next in {duration(update.delay_s)}")


def api_retries(last: ApiRetry) -> str:
    """Return what is left to say when the tries have ended: "the API is overloaded (529), tried
    again twice"."""
    times = {1: "once", 2: "twice"}.get(last.attempt, f"{last.attempt} times")
    return one_line(f"{api_error(last.status, string(last.error))}, tried again {times}")


def rate_limit(update: RateLimit) -> str:
    """Return how much of the account's limit is used, and when it resets, if the line says so."""
    info = update.line.get("rate_limit_info")
    used = info.get("utilization") if isinstance(info, dict) else None
    limit = _LIMITS.get(update.limit or "", "usage limit")
    if update.status == "rejected":
        words = f"the {limit} is used up"
    elif isinstance(used, int | float) and abs(used) <= _UTILIZATION_MAX:
        words = f"{used * 100:.0f} % of the {limit} is used"
    elif update.status == "allowed_warning":
        words = f"most of the {limit} is used"
    else:
        words = f"the {limit} is not reached"
    when = _clock(update.resets_at, update.timestamp)
    return words + (f"; it resets at {when}" if when else "")


def outcome(update: ExecutionFinished) -> str:
    """Return how an execution ended, without its result: "done in 12 s, $0.0123"."""
    took = duration(update.duration_ms / 1000)
    cost = "" if update.cost_usd is None else f", ${update.cost_usd:.4f}"
    words = {
        "success": f"done in {took}",
        "error": f"failed after {took}",
        "timeout": f"ended at its time limit, after {took}",
        "interrupted": f"interrupted after {took}",
        "killed": f"killed after {took}",
        "cancelled": "cancelled before it began",
        "lost": "lost: the hub ended without warning while it ran or waited",
    }.get(update.outcome, f"{update.outcome} after {took}")
    return one_line(words + cost)


def resolved(update: PermissionResolved) -> str:
    """Return who answered a question: "answered by phone: allow"."""
    unanswered = _UNANSWERED.get(update.by)
    return unanswered or one_line(f"answered by {update.by}: {update.decision}")


def permission_denied(line: JsonObject) -> str:
    """Return what a `permission_denied` line of the CLI says: it refused a tool by itself."""
    why = line.get("decision_reason") or line.get("message") or line.get("reason")
    tool = string(line.get("tool_name") or "a tool")
    return one_line(f"{tool} is refused without a question" + (f": {string(why)}" if why else ""))


def session_reset(update: SessionReset) -> str:
    return _RESETS.get(update.reason) or one_line(f"a new conversation ({update.reason})")


def files_changed(update: FilesChanged) -> str:
    """Return the first paths and how many there are besides."""
    shown, more = update.paths[:_PATHS_SHOWN], len(update.paths) - _PATHS_SHOWN
    words = "changed: " + ", ".join(one_line(string(path)) for path in shown)
    if update.truncated:
        return f"{words} and many more"
    return f"{words} and {more} more" if more > 0 else words


def gap(update: Gap) -> str:
    if update.first_seq == update.last_seq:
        return f"update {update.first_seq} cannot be read: it is damaged in the hub's log"
    return f"updates {update.first_seq} to {update.last_seq} cannot be read: the log is damaged"


def history_gone(update: HistoryGone) -> str:
    if update.last_seq < update.first_seq:
        return "what came before is gone from the hub's log; it is empty now"
    return f"what came before update {update.first_seq} is gone from the hub's log"


def connection_lost(why: str) -> str:
    """Return what to say when the connection is lost."""
    return f"the connection is lost ({one_line(why)}); what runs goes on, and I try again"


def connected_again(away_s: float) -> str:
    return f"connected again after {duration(away_s)}"


def _clock(seconds: float | None, now: str) -> str:
    """Return a time of day, with the date where it is another day than `now`, RFC 3339."""
    if not isinstance(seconds, int | float):
        return ""
    try:
        when = datetime.fromtimestamp(seconds).astimezone()
        today = datetime.fromisoformat(now).astimezone().date() if now else None
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{when:%H:%M}" if when.date() == today else f"{when:%H:%M on %Y-%m-%d}"
