"""A program that reads everything: each kind of update, and what it holds."""

import claudehub


def shown(update: claudehub.Update) -> str:  # noqa: C901 - a case for each kind
    match update:
        case claudehub.Prompt(text=text, user=user):
            return f"{user or 'somebody'}: {text}"
        case claudehub.ExecutionQueued(queue_position=position):
            return f"place {position + 0}"
        case claudehub.ExecutionStarted(origin=origin, session_id=session_id):
            return origin + (session_id or "")
        case claudehub.ClaudeText(text=text) | claudehub.Thinking(text=text):
            return text.upper()
        case claudehub.ToolUse(tool=tool, input=tool_input):
            return f"{tool.lower()} {sorted(tool_input)}"
        case claudehub.ToolResult(text=text, is_error=is_error):
            return text if is_error else ""
        case claudehub.Result(text=text):
            return text.strip()
        case claudehub.ApiRetry(attempt=attempt, max_retries=most, delay_s=delay_s):
            return f"try {attempt} of {most} in {delay_s:.0f} s"
        case claudehub.RateLimit(status=status, resets_at=resets_at):
            return status + ("" if resets_at is None else f" until {resets_at:.0f}")
        case claudehub.ClaudeLine(line=line):
            return str(line.get("type"))
        case claudehub.ClaudeDelta(text=text) | claudehub.OutputText(text=text):
            return text.lower()
        case claudehub.PermissionRequest(tool=tool, suggestions=suggestions):
            return tool + str(len(suggestions))
        case claudehub.PermissionResolved(decision=decision, by=by):
            return decision + by
        case claudehub.SessionReset(reason=reason):
            return reason.title()
        case claudehub.ExecutionFinished(outcome=outcome, cost_usd=cost_usd):
            return outcome + ("" if cost_usd is None else f" {cost_usd:.2f}")
        case claudehub.FilesChanged(paths=paths):
            return ", ".join(paths)
        case claudehub.Status(status=status):
            return status.title()
        case claudehub.Gap(first_seq=first, last_seq=last):
            return str(last - first)
        case claudehub.HistoryGone(log_id=log_id, first_seq=first):
            return log_id + str(first + 1)
        case claudehub.ProjectChanged(project=project):
            return project.status + str(project["name"])
        case claudehub.ProjectDeleted(by=by):
            return by or ""
        case _:
            return update.type


def positions(update: claudehub.Update) -> claudehub.Position | None:
    position = update.position
    if position is not None:
        assert claudehub.Position.parse(str(position)) == position
    return position


def main(url: str | None = None) -> list[str]:
    with claudehub.connect(url, give_up_after_s=5) as hub:
        site = hub.project("~/src/site")
        run: claudehub.Execution = site.execute("Fix the failing test", model="opus")
        lines = [shown(update) for update in run]
        place = [positions(update) for update in site.history()][-1]
        with site.follow(after=place, ephemeral=False) as updates:
            updates.close()
        newest = [update.seq for update in site.history(newest_first=True)]
        info: claudehub.ProjectInfo = site.info()
        waiting: list[str] = [entry.prompt for entry in info.queue]
        state: claudehub.State = hub.state
        outcome: str | None = run.outcome
        return [*lines, *waiting, str(newest[:1]), state, outcome or ""]
