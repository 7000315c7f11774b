"""SQL lives in files: every query there has a name of its own, can be prepared, and is used."""

from __future__ import annotations

import re

import apsw
import apsw.ext
import pytest

from agent.store.connection import Connection
from agent.store.queries import SQL, load, parse

FILES = sorted(path.stem for path in SQL.glob("*.sql"))


def test_queries_are_told_apart_by_their_names() -> None:
    text = "-- About the file.\n\n-- name: one\n-- Why.\nSELECT 1\n\n-- name: two\nSELECT 2,\n  3\n"

    assert parse(text) == {"one": "SELECT 1", "two": "SELECT 2, 3"}


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a query's name stands twice: one"):
        parse("-- name: one\nSELECT 1\n-- name: two\nSELECT 2\n-- name: one\nSELECT 3\n")


def test_a_file_is_read_once() -> None:
    assert load("tasks") is load("tasks")


@pytest.mark.parametrize("file", FILES)
def test_every_query_can_be_prepared(connection: Connection, file: str) -> None:
    for name, query in vars(load(file)).items():
        prepared = apsw.ext.query_info(connection.handle, query.replace("{values}", "(?, ?, ?, ?, ?)"))
        assert not prepared.query_remaining, f"{file}.{name} is more than one statement"


def test_every_query_is_used() -> None:
    source = "\n".join(path.read_text("utf-8") for path in SQL.parent.glob("*.py"))
    names = [f"{file}.{name}" for file in FILES for name in vars(load(file))]

    assert [name for name in names if not re.search(rf"sql\.{name.partition('.')[2]}\b", source)] == []
