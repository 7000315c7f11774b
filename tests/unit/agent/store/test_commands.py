"""Rows of the control table that nobody of ours has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.store import open_store

DEEP = b"[" * 50_000


@pytest.mark.parametrize("detail", [b"", b"{", b"[]", b'"x"', b'{"type": "\xff"}', DEEP, b'{"type": ' + DEEP, b"\xff"])
def test_a_row_that_is_no_command_is_one_with_a_flaw(tmp_path: Path, detail: bytes) -> None:
    store = open_store(tmp_path / "state.db")
    insert = "INSERT INTO control (verb, detail, created_at) VALUES (CAST(? AS TEXT), CAST(? AS TEXT), 1)"
    store._connection.handle.execute(insert, (b"pause", detail))
    store._connection.handle.execute(insert, (b"pause\xff", b"{}"))

    pause, odd = store.oversight.commands()

    assert pause.flaw.startswith("what it says makes no sense")
    assert odd.flaw == r"there is no command 'pause\\xff'"
