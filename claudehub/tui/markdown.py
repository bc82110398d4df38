"""Lay out markdown with the sixteen colours of the terminal, so that it can be read on a light and
on a dark background."""

from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.padding import Padding
from rich.style import Style
from rich.syntax import Syntax
from rich.theme import Theme

# Rich's own choices put a black background behind code.
STYLES = Theme(
    {
        "markdown.code": Style(color="cyan"),
        "markdown.code_block": Style(),
        "markdown.block_quote": Style(italic=True),
        "markdown.h1": Style(bold=True, underline=True),
        "markdown.h2": Style(bold=True, color="magenta"),
        "markdown.h3": Style(bold=True),
        "markdown.h4": Style(bold=True),
        "markdown.h5": Style(italic=True),
        "markdown.h6": Style(italic=True),
        "markdown.item.bullet": Style(color="blue", bold=True),
        "markdown.item.number": Style(color="blue", bold=True),
        "markdown.link": Style(underline=True),
        "markdown.link_url": Style(color="blue"),
        "markdown.table.border": Style(dim=True),
        "markdown.table.header": Style(bold=True),
        "repr.number": Style(),
    }
)
_CODE_THEME = "ansi_light"
# HTML would be left out without a word; as text it is seen.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class _LeftHeading(Heading):
    """A heading that is not centred: a conversation is no page."""

    LEVEL_ALIGN: ClassVar = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _PlainCodeBlock(CodeBlock):
    """A code block without a background, two columns to the right."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip().expandtabs(4)
        syntax = Syntax(
            code,
            self.lexer_name,
            theme=_CODE_THEME,
            word_wrap=True,
            background_color="default",
        )
        yield Padding(syntax, (0, 0, 0, 2))


class ConversationMarkdown(Markdown):
    """Markdown whose line breaks are kept, and whose links show their address."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _PlainCodeBlock,
        "code_block": _PlainCodeBlock,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=_CODE_THEME, hyperlinks=False)
        self.markup = text
        self.parsed = _PARSER.parse(text)
        _keep_breaks(self.parsed)


def _keep_breaks(tokens: list[Token]) -> None:
    for token in tokens:
        if token.type == "softbreak":
            token.type = "hardbreak"
        if token.children:
            _keep_breaks(token.children)
