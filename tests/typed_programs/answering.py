"""Programs that answer the agent's questions, with threads and with asyncio."""

import asyncio

import claudehub
from claudehub import Answer, PermissionRequest


def by_rule(question: PermissionRequest) -> str | Answer | None:
    match question:
        case PermissionRequest(tool="Bash", input={"command": str(command)}):
            return "allow" if command.startswith("git ") else Answer("deny", message="git only")
        case PermissionRequest(tool="AskUserQuestion"):
            return Answer("allow", answers={"Which colour?": "Blue"})
    return None


async def by_rule_later(question: PermissionRequest) -> str | Answer | None:
    return await asyncio.to_thread(by_rule, question)


def with_threads(url: str) -> str:
    with claudehub.connect(url) as hub:
        site = hub.project("site")
        run = site.execute("Commit", key="nightly", on_permission=by_rule)
        try:
            return run.wait(timeout_s=20)
        except TimeoutError:
            run.interrupt()
            return run.wait()


async def with_asyncio(url: str) -> str:
    async with claudehub.aio.connect(url) as hub:
        site = await hub.project("site")
        texts: list[str] = []
        async for update in site.execute("Commit", on_permission=by_rule_later):
            if isinstance(update, claudehub.ClaudeText):
                texts.append(update.text)
        execution = await site.execute("Push", on_permission=by_rule)
        async for update in execution:
            position = update.position
            assert position is None or position.seq > 0
        await execution.wait()
        async with site.follow(last=1) as updates:
            last: claudehub.Update = await anext(updates)
        async for stored in site.history(after=0):
            assert stored.seq is not None
        project = await hub.projects()
        return f"{execution.outcome} {texts} {last.type} {len(project)}"


def by_hand(url: str) -> None:
    """Answer from the outside, as another device does."""
    with claudehub.connect(url) as hub:
        for change in hub.watch():
            if not isinstance(change, claudehub.ProjectChanged):
                continue
            site = hub.project(change.project_id, create=False)
            for waiting in change.project.pending_permissions:
                permission_id: str = waiting["permission_id"]
                try:
                    site.answer(permission_id, "deny", message="ask me at home")
                except claudehub.RequestRefused as error:
                    if error.code not in ("already_answered", "permission_not_found"):
                        raise


def failing(url: str) -> str:
    try:
        claudehub.connect(url).close()
    except claudehub.ConnectFailed as error:
        failure: claudehub.Failure = error.failure
        return failure.value
    except claudehub.HubError as error:
        return str(error)
    return "connected"
