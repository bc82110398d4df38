"""The picture of the table of states in docs/agent.md: `python -m tests.state_picture` makes it
anew."""

import re

from actors.executor.states import TABLE, Action, State
from tests.harness import ROOT

BEGIN, END = "<!-- states: made by tests/state_picture.py -->", "<!-- end of states -->"


def picture() -> str:
    """A Mermaid state diagram, one arrow for each row."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.IDLE}"]
    for (state, event), step in TABLE.items():
        action = "" if step.action is Action.NOTHING else f" / {step.action}"
        lines.append(f"    {state} --> {step.state}: {event}{action}")
    return "\n".join([*lines, f"    {State.GONE} --> [*]", "```"])


def main() -> None:
    page = ROOT / "docs" / "agent.md"
    between = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    made = f"{BEGIN}\n\n{picture()}\n\n{END}"
    page.write_text(between.sub(lambda _: made, page.read_text()))


if __name__ == "__main__":
    main()
