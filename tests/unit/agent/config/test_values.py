"""Values are read strictly where they are typed, and leniently where everything is text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import parse_size, readers
from agent.config.values import Reader

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("10B", 10),
        ("64MB", 64_000_000),
        ("64M", 64_000_000),
        ("512MiB", 512 << 20),
        ("1.5 GiB", 3 << 29),
        ("2kib", 2048),
    ],
)
def test_a_size_is_a_number_of_bytes_or_a_text_with_a_unit(value: int | str, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["", "MB", "12 parsecs", "-1MB", "1e3", True, 1.5, None, "1" * 400 + "GB"])
def test_what_is_no_size_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a number of bytes or a size such as 64MB or 512MiB, not "):
        parse_size(value)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("Yes", True), ("1", True), ("off", False), ("0", False)])
def test_a_switch_in_a_variable_may_be_spelled_in_many_ways(text: str, value: bool) -> None:
    assert readers()["escalation.enabled"].read(text, is_text=True) is value


def test_numbers_in_a_variable_may_be_surrounded_by_space() -> None:
    assert readers()["bulk.max_concurrent"].read(" 4 ", is_text=True) == 4
    assert readers()["governance.cpu_high_pct"].read(" 8.5e1 ", is_text=True) == 85


@settings(deadline=None)
@given(raw=ANYTHING, is_text=st.booleans())
def test_whatever_is_given_is_read_or_refused_in_one_short_sentence(raw: object, is_text: bool) -> None:
    for reader in set(readers().values()):
        complaint = refusal(reader, raw, is_text)

        assert complaint is None or complaint.startswith("must ")
        assert complaint is None or ("\n" not in complaint and len(complaint) < 400)


def refusal(reader: Reader, raw: object, is_text: bool) -> str | None:
    """What a reader says against a value, if anything."""
    try:
        reader.read(raw, is_text)
    except ValueError as error:
        return str(error)
    return None
