"""Lines, tables and JSON that any terminal and any program can take."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.output import as_json, counted, one_line, seconds, table, tell, visible

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_json_is_printable_and_reads_back_as_it_was(value: object) -> None:
    text = as_json(value)

    assert text.isprintable()
    assert json.loads(text) == value


def test_json_keeps_text_readable() -> None:
    assert as_json({"a": "Zoë 😀", "b": "\x1b[0m\x9b\u202e"}) == '{"a":"Zoë 😀","b":"\\u001b[0m\\u009b\\u202e"}'


@given(st.text())
def test_visible_text_holds_nothing_but_lines_of_printable_characters(text: str) -> None:
    shown = visible(text)

    assert shown.replace("\n", "").isprintable()
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("\x1b]0;title\x07", "\\x1b]0;title\\x07"), ("a\r\nb", "a\\r\nb"), ("\x9b1m", "\\x9b1m")],
)
def test_control_characters_are_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_what_the_terminal_cannot_spell_is_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))

    tell("Zoë")

    assert written.getvalue() == b"Zo\\xeb\n"


def test_numbers_stand_to_the_right_and_nothing_is_a_dash() -> None:
    assert table(["type", "n"], [["a", 5], ["longer", 1234], ["b", None]]) == (
        "type       n\n"
        "a          5\n"
        "longer  1234\n"
        "b          –"
    )  # fmt: skip


def test_a_cell_is_one_short_line() -> None:
    lines = table(["error"], [["first\nsecond " + "x" * 100]]).splitlines()

    assert len(lines) == 2
    assert len(lines[1]) == 60
    assert lines[1].endswith("…")


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(["a", "b"], []) == "a  b"


def test_a_cut_line_says_so() -> None:
    assert one_line("a  b\n c", 10) == "a b c"
    assert one_line("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(9.94, "9.9 s"), (42.4, "42 s"), (60, "1 m"), (185, "3 m 5 s"), (7800, "2 h 10 m"), (442_800, "5 d 3 h")],
)
def test_spans_are_told_in_two_units_at_most(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_nouns_follow_their_number() -> None:
    assert (counted(1, "task"), counted(0, "task"), counted(2000, "task")) == ("1 task", "0 tasks", "2,000 tasks")
