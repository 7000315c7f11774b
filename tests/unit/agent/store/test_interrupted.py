"""A signal's handler may raise anywhere in a verb (Ctrl-C, a time limit by SIGALRM): nothing of the verb stays held."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from agent.errors import StoreLocked
from agent.store import busy as busy_module
from agent.store import connection, locks, open_store, turns
from agent.store.busy import busy
from agent.store.locks import WriteLock
from agent.store.sqlite import SqliteStore
from agent.task import NewTask

NEW = [NewTask("demo", "{}")]
PLACES = {module.__file__ for module in (connection, locks, turns, busy_module, contextlib)}


class Rang(Exception):
    """What the signal's handler raises."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = open_store(tmp_path / "state.db", patience_s=1)
    store.tasks.enqueue(NEW, 1)
    yield store
    store.close()


def ring_at(moment: int, verb: Callable[[], object]) -> bool:
    """Call `verb` and raise at the given moment: where Python looks for signals, as a function is entered and as one
    in C has returned. Whether it came to that."""
    left = moment

    def look(frame: FrameType, event: str, _: Any) -> None:
        nonlocal left
        if event in ("call", "c_return") and frame.f_code.co_filename in PLACES:
            left -= 1
            if not left:
                sys.setprofile(None)
                raise Rang

    sys.setprofile(look)
    try:
        verb()
    except Rang:
        pass
    finally:
        sys.setprofile(None)
    return left <= 0


def what_is_held(store: SqliteStore) -> list[str]:
    used, lock = store._connection, WriteLock.of(store.run_directory)
    inode = os.stat(store.run_directory / "write.lock").st_ino
    kernels = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
    held = {
        "a transaction": used.handle.in_transaction,
        "the turn": used._turn_of_this_process().is_taken(),
        "the lock among threads": lock._threads.is_taken(),
        "the lock among processes": any(
            words[-3].endswith(f":{inode}") and words[-4] == str(os.getpid()) for words in kernels
        ),
        "the count": busy._words[busy._at] != 0,
    }
    return [what for what, is_so in held.items() if is_so]


@pytest.mark.parametrize("verb", ["enqueue", "totals", "data_version"])
def test_whoever_is_interrupted_holds_nothing_and_can_go_on(store: SqliteStore, verb: str) -> None:
    verbs: dict[str, Callable[[], object]] = {
        "enqueue": lambda: store.tasks.enqueue(NEW, 1),
        "totals": store.tasks.totals,
        "data_version": store.data_version,
    }
    moment = 1
    while ring_at(moment, verbs[verb]):
        assert not what_is_held(store), f"interrupted at the {moment}. moment"
        moment += 1
    assert moment > 5
    assert store.tasks.enqueue(NEW, 1)


def test_a_signals_handler_in_the_midst_of_a_write_is_refused_at_once(store: SqliteStore) -> None:
    before = sum(store.tasks.totals().states.values())
    with store._connection.writing() as cursor:
        with pytest.raises(StoreLocked, match="signal"):
            store.tasks.enqueue(NEW, 1)
        cursor.execute("UPDATE task SET priority = 1")
    assert sum(store.tasks.totals().states.values()) == before
