"""The picture of `claudehub attach` in the README."""

import html
import re
from pathlib import Path

import pytest

from tests import attach_picture
from tests.harness import ROOT

SHOWN = (
    "ann@laptop",
    "ann@phone",
    "CHANGELOG.md",
    "Run this command?",
    "git tag v1.4.2 && git push --tags",
    "connected",
    "Write a prompt",
)


def text_of(svg: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", svg)).replace("\u00a0", " ")


def test_the_picture_can_be_made(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attach_picture, "ROOTS", scratch / "src")
    attach_picture.main()
    made = text_of(capsys.readouterr().out)
    kept = text_of((ROOT / "docs" / "pictures" / "attach.svg").read_text())
    for words in SHOWN:
        assert words in made and words in kept


def test_the_picture_loads_nothing() -> None:
    svg = (ROOT / "docs" / "pictures" / "attach.svg").read_text()
    assert not re.search(r"url\(|href=|@import", svg.replace("url(#", "("))
