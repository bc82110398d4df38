"""A test of a program, with the fake hub."""

from claudehub.testing import Ask, Ending, FakeHub, Hold, Steps
from tests.typed_programs import answering


def agent(prompt: str) -> Steps:
    yield "I shall commit."
    answer = yield Ask("Bash", {"command": "git commit"})
    if not answer.is_allowed:
        return Ending("error", answer.message)
    if prompt == "Hang":
        yield Hold()
    return "Committed."


def committed() -> list[str | None]:
    with FakeHub() as hub:
        hub.script("site", agent)
        answering.with_threads(hub.url)
        return [prompt.prompt for prompt in hub.prompts]
