"""What becomes of values, odd and secret ones, in a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent.secrecy import HIDDEN
from agent.telemetry.redaction import ALL_ITEMS_MAX, ITEMS_MAX, TEXT_MAX, plain

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers()
    | st.datetimes()
    | st.builds(object),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers() | st.tuples(), inner),
    max_leaves=20,
)


@given(anything)
def test_any_value_becomes_json(value: Any) -> None:
    msgspec.json.decode(msgspec.json.encode(plain(value)))


def test_secrets_are_hidden_however_deep_they_stand() -> None:
    @dataclass
    class Login:
        user: str
        password: str

    class Call(msgspec.Struct):
        token: str
        login: Login

    value = {"call": [Call("abc", Login("me", "geheim"))], "cookie": None}
    assert plain(value) == {
        "call": [{"token": HIDDEN, "login": {"user": "me", "password": HIDDEN}}],
        "cookie": None,
    }


def test_a_secret_inside_a_text_is_hidden() -> None:
    assert plain(["password=geheim", ValueError("token: geheim")]) == ["password=***", "ValueError: token: ***"]


def test_what_is_long_is_cut() -> None:
    assert plain("x" * (TEXT_MAX + 5)) == "x" * TEXT_MAX + "… 5 more characters"
    assert plain(list(range(ITEMS_MAX + 7)))[-2:] == [ITEMS_MAX - 1, "… 7 more"]


def test_what_contains_itself_comes_to_an_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "nested too deep" in str(plain(loop))


def test_what_holds_the_same_many_times_over_is_cut() -> None:
    fan: list[Any] = [1]
    for _ in range(20):
        fan = [fan] * 10
    assert len(msgspec.json.encode(plain(fan))) < 30 * ALL_ITEMS_MAX  # each says that it is nested too deep
    assert len(msgspec.json.encode(plain([[1] * 1000] * 1000))) < 10 * ALL_ITEMS_MAX


def test_a_value_that_refuses_to_be_shown_is_named() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert plain({"it": Shy(), "next": 1}) == {"it": "<Shy that cannot be shown: RuntimeError>", "next": 1}


def test_an_error_is_shown_with_its_type() -> None:
    assert plain(ValueError("no such thing")) == "ValueError: no such thing"
