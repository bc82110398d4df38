"""Texts of others on a terminal: nothing moves the cursor, and nothing is hidden."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from claudehub.show.lines import Kind, folded, lines_of
from claudehub.show.safe_text import cut, one_line, plain, shortened, string, visible, width

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
DIRECTIONAL = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_safe(text: str) -> bool:
    """Return whether a terminal would only print it."""
    return not any(
        (unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t") or c in DIRECTIONAL
        for c in text
    )


@given(ANY_TEXT)
def test_no_control_character_and_no_lone_surrogate_is_left(text: str) -> None:
    assert is_safe(plain(text))
    assert is_safe(visible(text))
    assert is_safe(one_line(text)) and not set(one_line(text)) & set("\n\t\u2028\u2029")
    plain(text).encode()


@given(st.text(st.characters(exclude_categories=["C"])))
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_every_directional_control_is_removed() -> None:
    assert plain("".join(sorted(DIRECTIONAL))) == ""


def test_what_a_person_approves_shows_its_invisible_characters() -> None:
    assert visible("rm\x1b[8m -rf\u200b \u202etxt\U000e0041 \ud800") == (
        "rm\\x1b[8m -rf\\u200b \\u202etxt\\U000e0041 \\ud800"
    )
    assert visible("a\u3164b\u2800c\U000e0100") == "a\\u3164b\\u2800c\\U000e0100"
    assert visible("größer\n\tüber 😀") == "größer\n\tüber 😀"


def test_a_cut_text_says_how_much_is_left_out() -> None:
    assert shortened("a" * 10, 10) == "a" * 10
    assert shortened("a" * 8 + "b" * 8 + "c" * 4, 8) == (
        "aaaaaa [… 12 characters are not shown …] cc"
    )


def test_folded_lines_say_how_many_are_left_out() -> None:
    lines = lines_of(Kind.TEXT, "\n".join(map(str, range(100))))
    shown = folded(lines, 9)
    assert [line.text for line in shown] == [
        *map(str, range(6)),
        "… 92 lines are not shown …",
        "98",
        "99",
    ]
    assert folded(lines, 100) == lines


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301", "😀", "")] == [3, 4, 1, 2, 0]


@given(ANY_TEXT, st.integers(1, 30))
def test_a_cut_text_fits(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns
    assert cut(text, columns) == text or cut(text, columns).endswith("…")


def test_json_is_shown_as_json() -> None:
    assert string({"a": [1, None, "ü"]}) == '{"a": [1, null, "ü"]}'
    assert string("a") == "a"
