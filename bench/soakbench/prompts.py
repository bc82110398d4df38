"""What the agents are asked for. The directives are those of tests/mock_claude.py."""

import random
from dataclasses import dataclass

BIG_BYTES = 250_000


@dataclass(frozen=True)
class Prompt:
    """`stop` is the request that is to end it, if any."""

    kind: str
    text: str
    weight: int
    stop: str | None = None
    timeout_seconds: int | None = None


PROMPTS = (
    Prompt("short", "[[text:done]]", 50),
    Prompt("twenty lines", "[[lines:20]][[pace:0.02]]", 15),
    Prompt("partial output", "[[deltas:200:16]]", 4),
    Prompt("a tool that asks", "[[tool:Bash:rm -f soak-note]]", 8),
    Prompt("a file that asks", "[[tool:Write:soak-note.txt:hello]]", 4),
    Prompt("killed", "[[slow:200:0.05]]", 6, stop="agent_kill"),
    Prompt("interrupted", "[[slow:200:0.05]]", 6, stop="agent_interrupt"),
    Prompt("stubborn", "[[stubborn]][[hang]]", 1, stop="agent_kill"),
    Prompt("big", f"[[big:{BIG_BYTES}]]", 3),
    Prompt("exits", "[[exit:3]]", 2),
    Prompt("torn", "[[torn:half a line]]", 1),
    Prompt("leaves a process", "[[grandchild]][[text:left]]", 2),
    Prompt("a process of init's", "[[doublefork]][[exit:1]]", 1),
    Prompt("too long", "[[hang]]", 1, timeout_seconds=3),
)


def choose(chance: random.Random) -> Prompt:
    return chance.choices(PROMPTS, [prompt.weight for prompt in PROMPTS])[0]
