"""The catalogue of events, and that the sources keep to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agent.telemetry.events import EVENTS, LEVELS, SPOKEN

ROOT = Path(__file__).parents[4]
METHODS = {"log", "debug", "info", "warning", "error", "exception", "critical"}
NAME = re.compile(r"[a-z_]+\.[a-z_]+")


def sources() -> Iterator[Path]:
    yield from (path for path in ROOT.glob("*.py"))
    for package in ("agent", "workers"):
        yield from (ROOT / package).rglob("*.py")


def logged(source: str) -> Iterator[str]:
    """The event names that a module logs: first arguments that are written out and look like one."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        value = node.args[0].value
        if name in METHODS and isinstance(value, str) and NAME.fullmatch(value):
            yield value


def test_every_event_that_is_logged_stands_in_the_catalogue() -> None:
    unknown = {(path.name, event) for path in sources() for event in logged(path.read_text()) if event not in EVENTS}
    assert unknown == set()


def test_the_search_finds_events() -> None:
    found = list(logged('log("a.b", x=1)\nself._log.warning("c.d")\nlog.exception("e.f")\nprint("g.h")\nlog("Hello.")'))
    assert found == ["a.b", "c.d", "e.f"]


def test_names_are_a_noun_and_what_became_of_it() -> None:
    assert all(NAME.fullmatch(name) for name in EVENTS)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in EVENTS.values())


def test_levels_and_spoken_events_belong_to_the_catalogue() -> None:
    assert set(LEVELS) | SPOKEN <= set(EVENTS)
    assert set(LEVELS.values()) <= {"debug", "warning", "error"}
