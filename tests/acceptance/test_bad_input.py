"""Bad input: one clear sentence with place and cure, its exit code, nothing stored in part, no traceback of ours."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.home import Home

DEEPEST = '{"a":' * 63 + "[]" + "}" * 63
MIB = 1 << 20


# -- Payloads


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("{value: 42}", "payload is not valid JSON at column 2 (expecting property name enclosed in"),
        ('{"a": 1,\n "b": }', "payload is not valid JSON at line 2, column 7"),
        ("", "payload is not valid JSON at column 1"),
        ('{"a": 1} {"b": 2}', "payload is not valid JSON at column 10"),
        ("[1]", "payload is a list, but must be a JSON object"),
        ("42", "payload is a number, but must be a JSON object"),
        ("null", "payload is null, but must be a JSON object"),
        ('{"a": {"b": [0, NaN]}}', "payload.a.b[1] is not a finite number"),
        ('{"a": -Infinity}', "payload.a is not a finite number"),
        ('{"a": 1e999}', "payload.a is not a finite number"),
        ('{"a": {"b": 1, "b": 2}}', 'payload.a has the key "b" more than once'),
        (r'{"a": "\ud800"}', "payload.a has half of a surrogate pair in it"),
        (DEEPEST.replace("[]", "[[]]"), "payload at column 317 is nested more than 64 levels deep"),
        ('{"a": 9223372036854775808}', "payload.a is a whole number beyond 64 bits"),
        ('{"a": -9223372036854775809}', "payload.a is a whole number beyond 64 bits"),
    ],
)
def test_a_bad_payload_is_refused_with_its_place_and_the_cure(home: Home, payload: str, why: str) -> None:
    told = home.refused(65, "enqueue", "echo", payload)

    assert told.startswith(why)
    assert ": " in told  # and the cure
    assert home.total() == 0


def test_a_payload_that_is_no_utf8_is_refused(home: Home) -> None:
    (home.directory / "latin-1.json").write_bytes(b'{"name": "M\xfcller"}')

    why = home.refused(65, "enqueue", "echo", "@latin-1.json")

    assert why == "payload in latin-1.json is not valid UTF-8 at column 12 (byte 11): save it as UTF-8"


def test_a_payload_of_more_than_a_mebibyte_is_refused(home: Home) -> None:
    (home.directory / "vast.json").write_text('{"text": "' + "x" * MIB + '"}')

    why = home.refused(65, "enqueue", "echo", "@vast.json")

    assert why.startswith("payload in vast.json is larger than the 1,048,576 bytes allowed: keep the data elsewhere")
    assert home.total() == 0


def test_what_is_just_allowed_is_stored_as_it_was(home: Home) -> None:
    (home.directory / "large.json").write_text('{"text":"' + "x" * (MIB - 11) + '"}')

    assert home.json("enqueue", "echo", "@large.json")["payload"] == {"text": "x" * (MIB - 11)}
    record = home.json("enqueue", "echo", '{"a":[9223372036854775807,-9223372036854775808]}')
    assert record["payload"] == {"a": [2**63 - 1, -(2**63)]}
    assert home.cli("enqueue", "echo", DEEPEST).code == 0
    assert home.json("enqueue", "echo", r'{"a":"\u0000\ud83d\ude00"}')["payload"] == {"a": "\0😀"}


# -- Types


def test_a_type_that_nobody_handles_is_guessed_and_waits_in_sight(home: Home) -> None:
    home.serve().stop()

    done = home.cli("enqueue", "ecko", "{}")

    assert (done.code, done.out) == (0, "1\n")
    assert "nobody is known to handle 'ecko', whose tasks wait until somebody does; did you mean 'echo'?" in done.err
    assert home.json("stats")["types"] == {"ecko": {"queued": 1}}
    drained = home.cli("resume", "--drain")
    assert drained.code == 0
    assert "handlers.missing_type type=ecko waiting=1" in drained.err
    assert home.agent.inspect(1)["state"] == "queued"


def test_types_of_a_file_that_nobody_handles_are_told(home: Home) -> None:
    home.serve().stop()
    lines = '{"payload": {}}\n{"payload": {}, "type": "odd"}\n{"payload": {}, "type": "echo"}\n'

    done = home.cli("enqueue", "ecko", "--many", "-", stdin=lines)

    warned = [line.split("'")[1] for line in done.err.splitlines()]
    assert (done.code, done.out, warned) == (0, "3\n", ["ecko", "odd"])


@pytest.mark.parametrize("words", [("tasks", "--type"), ("pause",), ("unpause",)])
def test_a_word_that_is_no_utf8_names_no_type(home: Home, words: tuple[str, ...]) -> None:
    said = home.refused(2, *words, "\udc80")

    assert said.startswith(r"'\udc80' cannot name a type: use 1 to 200 printable characters")


# -- Results


@pytest.fixture(scope="module")
def served(make_shared_home: Callable[[], Home]) -> Home:
    home = make_shared_home()
    home.serve()
    return home


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("nothing", "result is None, but a handler returns a dict: return {} when there is nothing to say"),
        ("a list", "result is a list, but must be a JSON object (a dict)"),
        ("a number", "result is a number, but must be a JSON object (a dict)"),
        ("a set", "result.value is of type set, which JSON lacks"),
        ("nan", "result.value is not a finite number"),
        ("a long number", "result.deep[0].value is a whole number beyond 64 bits"),
        ("vast", "result is larger than the 1,048,576 bytes allowed"),
    ],
)
def test_a_result_that_cannot_be_stored_fails_the_task_at_once(served: Home, what: str, why: str) -> None:
    task = served.agent.enqueue("returns", {"what": what})

    record = served.reach(task, "failed")

    assert record["error"].startswith(f"the handler of 'returns' returned what cannot be stored: {why}")
    assert record["result"] is None
    assert [each["outcome"] for each in record["attempts"]] == ["failed"]


# -- The database


def of_another_program(path: Path) -> str:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    return "belongs to another program"


def junk(path: Path) -> str:
    path.write_bytes(b"These are somebody's notes, and no database.\n" * 500)
    return "is not an SQLite database"


def newer(path: Path) -> str:
    with sqlite3.connect(ours(path)) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    return "has schema 999"


def hard_linked(path: Path) -> str:
    os.link(ours(path), path.with_name("other-name.db"))
    return "has other names (hard links)"


def corrupt(path: Path) -> str:
    ours(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)  # all pages but the first
    path.write_bytes(data)
    return "is damaged"


def directory(path: Path) -> str:
    path.mkdir()
    return "is a directory"


def ours(path: Path) -> Path:
    """A database as the agent leaves it."""
    home = Home(path.parent)
    home.agent.enqueue("echo", {})
    home.close()
    if home.directory / "state.db" != path:
        shutil.move(home.directory / "state.db", path)
    return path


@pytest.mark.parametrize("make", [of_another_program, junk, newer, hard_linked, corrupt, directory])
def test_a_database_that_cannot_be_used_is_named_and_left_as_it_is(home: Home, make: Callable[[Path], str]) -> None:
    path = home.directory / "their.db"
    why = make(path)
    before = path.read_bytes() if path.is_file() else b""
    env = {"SANAAGENT_PERSISTENCE_DB_PATH": str(path)}

    for words in (("enqueue", "echo", "{}"), ("resume", "--drain"), ("inspect", "1")):
        done = home.cli(*words, env=env) if "resume" in words else home.call(*words, env=env)
        (told,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert done.code == 69
        assert str(path) in told
        assert why in told
        assert ": " in told.removeprefix("error: ")  # and the cure
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_missing_directory_is_named(home: Home) -> None:
    env = {"SANAAGENT_PERSISTENCE_DB_PATH": "missing/state.db"}

    why = home.refused(69, "enqueue", "echo", "{}", env=env)

    missing = home.directory / "missing"
    assert why == f"there is no directory {missing} for the database: make it, or set persistence.db_path"
    assert not missing.exists()


def test_a_place_that_cannot_be_written_is_named(home: Home) -> None:
    database, logs = {"SANAAGENT_PERSISTENCE_DB_PATH": "/proc/state.db"}, {"SANAAGENT_TELEMETRY_LOG_DIR": "/proc/logs"}

    assert "/proc/state.db" in home.refused(69, "enqueue", "echo", "{}", env=database)
    done = home.cli("resume", "--drain", env=logs)

    assert done.code == 78
    assert "/proc/logs" in done.err
    assert "telemetry.log_dir" in done.err
