"""`enqueue`: what reaches the agent, and what the caller gets to see."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from agent.errors import IdempotencyConflict, NotFound, PayloadError, QueueFull, TaskFailed, WaitTimeout
from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]
RECORD = {"id": 7, "type": "demo", "state": "queued", "payload": {"value": 42}, "attempts": []}


@pytest.fixture(autouse=True)
def stored_as_seven(agent: FakeAgent) -> None:
    agent.answers |= {"enqueue_text": 7, "inspect": RECORD}


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    return give


# -- One task


def test_the_id_is_printed(call: Called, agent: FakeAgent) -> None:
    assert call("enqueue", "demo", '{"value": 42}') == (0, "7\n", "")
    assert agent.given_to("enqueue_text") == {
        "type": "demo",
        "payload": b'{"value": 42}',
        "where": "payload",
        "idempotency_key": None,
        "priority": 0,
        "delay": None,
        "run_at": None,
        "max_attempts": None,
        "timeout": None,
    }


def test_json_is_the_task_record(call: Called, agent: FakeAgent) -> None:
    assert call("enqueue", "demo", "{}", "--json").json == RECORD
    assert agent.given_to("inspect") == {"task": 7}


def test_every_option_reaches_the_agent(call: Called, agent: FakeAgent) -> None:
    words = ["--key", "k1", "--priority", "-5", "--delay", "1h30m", "--max-attempts", "2", "--timeout", "500ms"]

    assert call("enqueue", "demo", "{}", *words).code == 0
    given = agent.given_to("enqueue_text")
    assert (given["idempotency_key"], given["priority"], given["delay"]) == ("k1", -5, 5400.0)
    assert (given["max_attempts"], given["timeout"]) == (2, 0.5)


def test_a_time_without_an_offset_is_utc(call: Called, agent: FakeAgent) -> None:
    call("enqueue", "demo", "{}", "--at", "2026-12-24T18:00:00")

    assert agent.given_to("enqueue_text")["run_at"] == datetime(2026, 12, 24, 18, tzinfo=UTC)


def test_the_payload_may_come_from_a_file(call: Called, agent: FakeAgent, data_dir: Path) -> None:
    (data_dir / "payload.json").write_bytes(b'{"value":\n 42}')

    assert call("enqueue", "demo", "@payload.json").out == "7\n"
    given = agent.given_to("enqueue_text")
    assert (given["payload"], given["where"]) == (b'{"value":\n 42}', "payload in payload.json")


def test_the_payload_may_come_from_stdin(call: Called, agent: FakeAgent, stdin: Callable[[bytes], None]) -> None:
    stdin(b'{"value":\n 42}')

    assert call("enqueue", "demo", "-").out == "7\n"
    given = agent.given_to("enqueue_text")
    assert (given["payload"], given["where"]) == (b'{"value":\n 42}', "payload from stdin")


def test_bytes_that_are_no_utf8_reach_the_agent_as_they_are(call: Called, agent: FakeAgent) -> None:
    call("enqueue", "demo", '{"a": "\udcff"}')

    assert agent.given_to("enqueue_text")["payload"] == b'{"a": "\xff"}'


def test_a_type_that_nobody_handles_is_stored_with_a_warning(call: Called, agent: FakeAgent) -> None:
    agent.answers["unhandled"] = "no handler is known for 'dmo'; did you mean 'demo'?"

    answer = call("enqueue", "dmo", "{}")

    assert answer == (0, "7\n", "warning: no handler is known for 'dmo'; did you mean 'demo'?\n")
    assert agent.given_to("unhandled") == {"type": "dmo"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(PayloadError("payload is not valid JSON"), 65), (IdempotencyConflict("k1"), 4), (QueueFull("full"), 75)],
)
def test_what_the_agent_refuses_is_told(error: Exception, code: int, call: Called, agent: FakeAgent) -> None:
    agent.answers["enqueue_text"] = error

    assert call("enqueue", "demo", "{") == (code, "", f"error: {error}\n")


def test_of_a_deleted_task_json_tells_what_its_key_has_kept(call: Called, agent: FakeAgent) -> None:
    agent.answers |= {"inspect": NotFound("gone"), "result": {"value": 42}}

    assert call("enqueue", "demo", "{}", "--key", "k1", "--json").json == {
        "id": 7,
        "type": "demo",
        "state": "succeeded",
        "result": {"value": 42},
        "key": "k1",
    }


@pytest.mark.parametrize("error", [NotFound("gone"), WaitTimeout("not yet")])
def test_of_a_deleted_task_the_result_may_be_unknown(error: Exception, call: Called, agent: FakeAgent) -> None:
    agent.answers |= {"inspect": NotFound("gone"), "result": error}

    assert call("enqueue", "demo", "{}", "--key", "k1", "--json").json["result"] is None


# -- Misuse


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "TYPE and JSON are missing"),
        (["demo"], "JSON is missing"),
        (["demo", "{}", "more"], "unexpected extra argument"),
        (["demo", "{}", "--delay", "5s", "--at", "2026-12-24T18:00:00Z"], "--delay and --at exclude each other"),
        (["demo", "{}", "--wait-timeout", "5s"], "--wait-timeout needs --wait"),
        (["demo", "{}", "--many", "f.jsonl"], "--many and JSON exclude each other"),
        (["demo", "--many", "f.jsonl", "--key", "k"], "--many and --key exclude each other"),
        (["demo", "--many", "f.jsonl", "--priority", "0"], "--many and --priority exclude each other"),
        (["demo", "--many", "f.jsonl", "--delay", "5s"], "--many and --delay exclude each other"),
        (["demo", "--many", "f.jsonl", "--wait"], "--many and --wait exclude each other"),
        (["demo", "{}", "--priority", "2147483648"], "'--priority'"),
        (["demo", "{}", "--priority", "-2147483649"], "'--priority'"),
        (["demo", "{}", "--priority", "high"], "'--priority'"),
        (["demo", "{}", "--delay", "soon"], "'--delay'"),
        (["demo", "{}", "--at", "soon"], "'--at'"),
        (["demo", "{}", "--max-attempts", "0"], "'--max-attempts'"),
        (["demo", "{}", "--timeout", "-1s"], "'--timeout'"),
        (["demo", "@missing.json"], "'missing.json' cannot be read (No such file or directory)"),
        (["demo", "@"], "'' cannot be read"),
        (["demo", "@."], "'.' cannot be read (Is a directory)"),
    ],
)
def test_misuse_is_one_sentence_and_stores_nothing(
    words: list[str], sentence: str, call: Called, agent: FakeAgent, data_dir: Path
) -> None:
    answer = call("enqueue", *words)

    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err.splitlines()[0]
    assert agent.calls == []


def test_a_closed_stdin_is_misuse(call: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    assert call("enqueue", "demo", "-").err == "error: stdin is closed: give the name of a file instead of -\n"


# -- Waiting


def test_waiting_prints_the_result(call: Called, agent: FakeAgent) -> None:
    agent.answers["result"] = {"result": "Zoë\x1b"}

    assert call("enqueue", "demo", "{}", "--wait", "--wait-timeout", "1m") == (
        0,
        '{"result":"Zoë\\u001b"}\n',
        "task 7\n",
    )
    assert agent.given_to("result") == {"task": 7, "timeout": 60.0, "meanwhile": ANY}


def test_waiting_with_json_prints_the_record(call: Called, agent: FakeAgent) -> None:
    agent.answers |= {"result": {"result": 42}, "inspect": {**RECORD, "state": "succeeded"}}

    assert call("enqueue", "demo", "{}", "--wait", "--json").json["state"] == "succeeded"


def test_waiting_for_a_key_whose_task_is_deleted_prints_what_is_kept(call: Called, agent: FakeAgent) -> None:
    agent.answers |= {"result": {"result": 42}, "inspect": NotFound("gone")}

    answer = call("enqueue", "demo", "{}", "--key", "k1", "--wait", "--json")

    assert answer.json == {"id": 7, "type": "demo", "state": "succeeded", "result": {"result": 42}, "key": "k1"}


@pytest.mark.parametrize(
    ("error", "code"), [(TaskFailed("task 7 failed: boom"), 5), (WaitTimeout("task 7 has not ended within 1 s"), 6)]
)
def test_waiting_in_vain_has_its_own_exit_code(error: Exception, code: int, call: Called, agent: FakeAgent) -> None:
    agent.answers["result"] = error

    assert call("enqueue", "demo", "{}", "--wait", "--json") == (code, "", f"error: {error}\n")


# -- Many


@pytest.fixture
def lines(agent: FakeAgent, data_dir: Path) -> list[bytes]:
    """What reached the agent of `tasks.jsonl`."""
    seen: list[bytes] = []

    def store(given: Iterable[bytes], type: str | None, where: str, *, seen_types: set[str]) -> list[int]:
        seen.extend(given)
        seen_types.update(("demo", "other"))
        return list(range(1, len(seen) + 1))

    agent.answers["enqueue_lines"] = store
    (data_dir / "tasks.jsonl").write_bytes(b'{"payload": {}}\n{"type": "other", "payload": {}}\n{"type": 5}\nno json')
    return seen


def test_many_prints_a_count(call: Called, agent: FakeAgent, lines: list[bytes]) -> None:
    assert call("enqueue", "demo", "--many", "tasks.jsonl") == (0, "4\n", "")
    assert lines == [b'{"payload": {}}\n', b'{"type": "other", "payload": {}}\n', b'{"type": 5}\n', b"no json"]
    given = agent.given_to("enqueue_lines")
    assert (given["type"], given["where"]) == ("demo", "tasks.jsonl")


def test_many_with_json_prints_the_ids(call: Called, lines: list[bytes]) -> None:
    assert call("enqueue", "--many", "tasks.jsonl", "--json").json == {"ids": [1, 2, 3, 4]}


def test_many_may_come_from_stdin(
    call: Called, agent: FakeAgent, lines: list[bytes], stdin: Callable[[bytes], None]
) -> None:
    stdin(b'{"payload": {}}\n')

    assert call("enqueue", "demo", "--many", "-").out == "1\n"
    assert agent.given_to("enqueue_lines")["where"] == "stdin"


def test_many_warns_once_of_each_type_that_nobody_handles(call: Called, agent: FakeAgent, lines: list[bytes]) -> None:
    agent.answers["unhandled"] = lambda type: f"no handler is known for {type!r}"

    answer = call("enqueue", "demo", "--many", "tasks.jsonl")

    assert answer.err.splitlines() == [f"warning: no handler is known for {name!r}" for name in ("demo", "other")]


def test_many_without_a_file_stores_nothing(call: Called, agent: FakeAgent, lines: list[bytes]) -> None:
    answer = call("enqueue", "demo", "--many", "missing.jsonl")

    assert (answer.code, answer.out, lines) == (2, "", [])
    assert "'missing.jsonl' cannot be read (No such file or directory)" in answer.err


def stored_before(ids: list[int]) -> PayloadError:
    error: Any = PayloadError("the disk is full")
    error.ids = ids
    return error


def test_an_error_on_the_way_tells_what_was_stored(call: Called, agent: FakeAgent, lines: list[bytes]) -> None:
    agent.answers["enqueue_lines"] = stored_before([1, 2, 3, 5, 7, 8])

    assert call("enqueue", "demo", "--many", "tasks.jsonl") == (
        65,
        "6\n",
        "stored before the error: 6 tasks, 1–3, 5, 7–8\nerror: the disk is full\n",
    )


def test_an_error_on_the_way_tells_programs_the_ids(call: Called, agent: FakeAgent, lines: list[bytes]) -> None:
    agent.answers["enqueue_lines"] = stored_before([1, 2])

    answer = call("enqueue", "demo", "--many", "tasks.jsonl", "--json")

    assert answer.code == 65
    assert answer.json == {"ids": [1, 2], "error": "the disk is full"}


def test_an_error_before_the_first_insert_prints_nothing(call: Called, agent: FakeAgent, lines: list[bytes]) -> None:
    agent.answers["enqueue_lines"] = PayloadError("tasks.jsonl:4 is not valid JSON")

    assert call("enqueue", "demo", "--many", "tasks.jsonl") == (65, "", "error: tasks.jsonl:4 is not valid JSON\n")
