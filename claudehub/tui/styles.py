"""The styles of the views: the sixteen colours of the terminal, on its own background.

So a light and a dark background work without asking the terminal which one it has. What a colour
says, a sign or a word says too: the views can be read with NO_COLOR.
"""

from rich.style import Style

PROMPT_SIGN = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT} "
PLAIN = Style()
DIM = Style(dim=True)
BOLD = Style(bold=True)
GOOD = Style(color="green")
BAD = Style(color="red")
WARNING = Style(color="yellow")
ACCENT = Style(color="blue")
PROMPT = Style(color="blue", bold=True)
ASKING = Style(color="yellow", bold=True)
THOUGHT = Style(dim=True, italic=True)
ADDED = Style(color="green")
REMOVED = Style(color="red")
FILE = Style(bold=True)
COMMAND = Style(bold=True)
SELECTED = Style(color="blue", bold=True)
FOUND = Style(reverse=True)
