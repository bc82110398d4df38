"""The keys, for the line at the bottom and for the help."""

from textual.strip import Strip

from claudehub.tui import styles
from claudehub.tui.layout import line_of

Key = tuple[str, str]

AT_PROMPT: list[Key] = [
    ("enter", "send"),
    ("^c", "interrupt"),
    ("tab", "conversation"),
    ("^f", "search"),
    ("^t", "details"),
    ("F1", "help"),
    ("^q", "leave"),
]
IN_CONVERSATION: list[Key] = [
    ("↑ ↓", "move"),
    ("enter", "unfold"),
    ("^o", "all"),
    ("y", "copy"),
    ("/", "search"),
    ("end", "latest"),
    ("esc", "prompt"),
    ("^q", "leave"),
]
AT_QUESTION: list[Key] = [
    ("y", "allow"),
    ("r", "remember"),
    ("n", "deny"),
    ("shift ↑ ↓", "scroll"),
    ("esc", "later"),
    ("^c", "interrupt"),
    ("^q", "leave"),
]
AT_CHOICES: list[Key] = [
    ("1-9", "choose"),
    ("enter", "send"),
    ("o", "own answer"),
    ("n", "refuse"),
    ("esc", "later"),
    ("^c", "interrupt"),
    ("^q", "leave"),
]
IN_SEARCH: list[Key] = [("enter ↑", "older"), ("↓", "newer"), ("esc", "close")]
IN_TEXT: list[Key] = [("enter", "send"), ("esc", "back")]
IN_BOARD: list[Key] = [
    ("↑ ↓", "move"),
    ("enter", "attach"),
    ("a", "answer"),
    ("F1", "help"),
    ("^q", "leave"),
]

ATTACH_HELP: list[tuple[str, list[Key]]] = [
    (
        "Prompt",
        [
            ("enter", "send; while the agent works it waits in the queue"),
            ("ctrl+j", "a new line; so does \\ at the end of a line"),
            ("↑ ↓", "earlier prompts, whoever sent them"),
            ("ctrl+c", "interrupt the agent; again: kill it"),
            ("ctrl+n twice", "the next prompt begins a new conversation"),
        ],
    ),
    (
        "Conversation",
        [
            ("tab, esc", "go there, and back to the prompt"),
            ("pgup pgdn, wheel", "scroll, from anywhere; the past is loaded on demand"),
            ("↑ ↓, enter", "choose an entry, unfold it; ctrl+o unfolds all"),
            ("home, end", "the oldest that is loaded; the present"),
            ("y", "copy the entry to the terminal's clipboard"),
            ("ctrl+f, / then n N", "search; enter again searches the past"),
        ],
    ),
    (
        "Questions",
        [
            ("y r n", "allow, allow and remember, deny (you may say why)"),
            ("1-9 space, enter", "choose or mark, and send; o: another answer"),
            ("esc", "leave it for later or for others"),
        ],
    ),
    (
        "View",
        [
            ("ctrl+t", "queue, changed files, cost, who is here"),
            ("ctrl+q, ctrl+d", "leave; the agent goes on"),
        ],
    ),
]
WATCH_HELP: list[tuple[str, list[Key]]] = [
    (
        "Projects",
        [
            ("↑ ↓, enter", "choose a project, attach to it"),
            ("a, tab", "answer the question of the chosen project"),
            ("ctrl+q, q", "leave; the agents go on"),
        ],
    ),
]


def key_line(keys: list[Key], width: int) -> Strip:
    """Return keys and what they do, as many as fit."""
    parts: list[Strip] = []
    used = 0
    for key, what in keys:
        part = line_of((f" {key}", styles.BOLD), (f" {what} ", styles.DIM))
        if used + part.cell_length > width:
            break
        parts.append(part)
        used += part.cell_length
    return Strip.join(parts)
