"""`enqueue` in all its forms: what it prints, what it stores, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.home import Home
from tests.support.processes import start_agent
from tests.support.waiting import until

RECORD = [
    "id", "type", "state", "payload", "result", "error", "attempt", "max_attempts", "claims", "crashes", "priority",
    "key", "worker", "created_at", "due_at", "started_at", "finished_at", "attempts",
]  # fmt: skip


@pytest.fixture(scope="module")
def served(make_shared_home: Callable[[], Home]) -> Home:
    """A directory that an agent serves, for all tests that need one."""
    home = make_shared_home()
    home.serve()
    return home


# -- What it prints and stores


def test_the_id_is_all_that_is_printed(home: Home) -> None:
    first, second = home.cli("enqueue", "echo", '{"value": 42}'), home.cli("enqueue", "echo", "{}")

    assert (first.code, first.out, first.err) == (0, "1\n", "")
    assert second.out == "2\n"


def test_json_prints_the_record(home: Home) -> None:
    record = home.json("enqueue", "echo", '{"value": [1, 2.5, "ü", null, true]}')

    assert list(record) == RECORD
    assert record["state"] == "queued"
    assert record["payload"] == {"value": [1, 2.5, "ü", None, True]}
    assert record["attempt"] == record["claims"] == record["crashes"] == record["priority"] == 0
    assert record["max_attempts"] == 3  # the first and the two of bulk.retry_attempts
    assert datetime.fromisoformat(record["created_at"]).tzinfo == UTC
    assert len(record["created_at"]) == len("2026-12-24T18:00:00.000000Z")
    assert [record[name] for name in ("result", "error", "key", "worker", "started_at", "finished_at")] == [None] * 6
    assert record["attempts"] == []
    assert home.json("inspect", "1") == record


def test_the_payload_comes_from_a_file_or_from_stdin(home: Home) -> None:
    (home.directory / "payload.json").write_text('{"from": "a file"}')

    home.cli("enqueue", "echo", "@payload.json")
    home.cli("enqueue", "echo", "-", stdin='{"from": "stdin"}\n')

    assert [home.agent.inspect(task)["payload"]["from"] for task in (1, 2)] == ["a file", "stdin"]


def test_every_option_reaches_the_record(home: Home) -> None:
    options = "--key k --priority -7 --max-attempts 9 --timeout 10s --at 2099-12-24T18:00:00+02:00"

    record = home.json("enqueue", "echo", "{}", *options.split())

    assert (record["state"], record["key"], record["priority"], record["max_attempts"]) == ("scheduled", "k", -7, 9)
    assert record["due_at"] == "2099-12-24T16:00:00.000000Z"


def test_a_delay_counts_from_now(home: Home) -> None:
    record = home.json("enqueue", "echo", "{}", "--delay", "1h30m")

    delay = datetime.fromisoformat(record["due_at"]) - datetime.fromisoformat(record["created_at"])
    assert timedelta(seconds=5399) < delay <= timedelta(seconds=5400)


# -- Many


def test_a_file_of_tasks_is_stored_and_counted(home: Home) -> None:
    lines = [
        {"payload": {"n": 1}},
        {"payload": {"n": 2}, "type": "fails", "key": "k", "priority": 5},
        {"payload": {"n": 3}},
    ]
    (home.directory / "tasks.jsonl").write_text("\n\n".join(map(json.dumps, lines)))

    done = home.cli("enqueue", "echo", "--many", "tasks.jsonl")

    assert (done.code, done.out, done.err) == (0, "3\n", "")
    first, second, third = (home.agent.inspect(task) for task in (1, 2, 3))
    assert (second["type"], second["key"], second["priority"]) == ("fails", "k", 5)
    assert [first["type"], third["type"], third["payload"]] == ["echo", "echo", {"n": 3}]


def test_json_prints_the_ids_of_many(home: Home) -> None:
    lines = "".join(f'{{"payload": {{"n": {n}}}}}\n' for n in range(2500))

    done = home.cli("enqueue", "echo", "--many", "-", "--json", stdin=lines)

    assert done.json == {"ids": list(range(1, 2501))}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"payload": [1]}', "tasks.jsonl:1501: payload is a list"),
        ('{"payload": {"a": 1}', "tasks.jsonl:1501 is not valid JSON"),
        ('{"payload": {}, "prio": 1}', "tasks.jsonl:1501"),
        ('{"payload": {}, "priority": "high"}', "tasks.jsonl:1501"),
        ('{"type": "echo"}', "tasks.jsonl:1501"),
        ('{"payload": {}, "key": ""}', "tasks.jsonl:1501: an idempotency key is text of 1 to 1000 characters"),
        ('{"payload": {}, "type": " echo"}', "tasks.jsonl:1501: ' echo' cannot name a type"),
    ],
)
def test_every_line_is_checked_before_the_first_is_stored(home: Home, line: str, why: str) -> None:
    (home.directory / "tasks.jsonl").write_text('{"payload": {}}\n' * 1500 + line + "\n")

    assert home.refused(65, "enqueue", "echo", "--many", "tasks.jsonl").startswith(why)

    assert home.total() == 0


def test_a_conflict_on_the_way_names_what_was_stored(home: Home) -> None:
    home.agent.enqueue("echo", {"other": "payload"}, idempotency_key="taken")
    lines = '{"payload": {}}\n' * 1500 + '{"payload": {}, "key": "taken"}\n'

    done = home.cli("enqueue", "echo", "--many", "-", "--json", stdin=lines)

    assert done.code == 4
    assert done.json["ids"] == list(range(2, 1002))
    assert "taken" in done.json["error"]
    assert home.total() == 1 + 1000


def test_a_line_without_a_type_needs_one_on_the_command_line(home: Home) -> None:
    why = home.refused(65, "enqueue", "--many", "-", stdin='{"payload": {}}\n')

    assert why == "stdin:1 names no type: add one to the line, or give TYPE before --many"


# -- Idempotency keys


def test_a_key_of_an_unfinished_task_gives_its_id_back(home: Home) -> None:
    first = home.json("enqueue", "echo", '{"a": 1, "b": 2}', "--key", "k")
    again = home.json("enqueue", "echo", '{"b":2,"a":1}', "--key", "k")

    assert first["id"] == again["id"]
    assert home.total() == 1


@pytest.mark.parametrize("words", [("echo", '{"a": 2}'), ("echo", '{"a": 1.0}'), ("gate", '{"a": 1}')])
def test_a_key_with_another_type_or_payload_is_a_conflict(home: Home, words: tuple[str, str]) -> None:
    home.agent.enqueue("echo", {"a": 1}, idempotency_key="k")

    why = home.refused(4, "enqueue", *words, "--key", "k")

    assert "'k'" in why
    assert "task 1" in why
    assert home.total() == 1


def test_a_key_of_a_succeeded_task_gives_its_result_and_runs_nothing(served: Home) -> None:
    first = served.json("enqueue", "echo", '{"value": "once"}', "--key", "once", "--wait")
    again = served.json("enqueue", "echo", '{"value": "once"}', "--key", "once", "--wait")

    assert (first["state"], first["result"]) == ("succeeded", {"value": "once"})
    assert again == first
    assert served.runs(first["id"]) == 1
    assert "task" in served.refused(4, "enqueue", "echo", '{"value": "twice"}', "--key", "once")


def test_a_key_of_a_failed_task_moves_to_the_new_one(served: Home) -> None:
    failed = served.json("enqueue", "hopeless", "{}", "--key", "again")["id"]
    served.reach(failed, "failed")

    new = served.json("enqueue", "hopeless", "{}", "--key", "again")["id"]

    assert new != failed
    served.reach(new, "failed")
    assert str(new) in served.refused(4, "retry", str(failed))


def test_a_key_outlives_its_deleted_task_with_the_result(home: Home) -> None:
    enqueue = ("enqueue", "echo", '{"value": 1}', "--key", "kept")
    agent = home.serve()
    task = home.json(*enqueue, "--wait")["id"]
    agent.stop()
    at_once = {"SANAAGENT_PERSISTENCE_GC_COMPLETED_AFTER_DAYS": "0.00000001"}
    home.serve(env=at_once)
    until(lambda: home.total() == 0, what="the task to be deleted")

    again = home.cli(*enqueue, "--wait")

    assert again.out == '{"value":1}\n'
    assert home.cli(*enqueue).out == f"{task}\n"
    assert home.runs(task) == 1
    assert home.cli("inspect", str(task)).code == 3
    assert home.cli(*enqueue[:2], '{"value": 2}', "--key", "kept").code == 4


# -- Waiting for the end


def test_wait_prints_the_result(served: Home) -> None:
    done = served.cli("enqueue", "echo", '{"value": "é"}', "--wait")

    assert (done.code, done.out) == (0, '{"value":"é"}\n')
    assert done.err.startswith("task ")


def test_waiting_for_a_task_that_fails_says_why(served: Home) -> None:
    done = served.cli("enqueue", "hopeless", "{}", "--wait")

    assert (done.code, done.out) == (5, "")
    assert "failed: Fail: not worth another attempt" in done.err


def test_waiting_ends_in_time(served: Home) -> None:
    done = served.cli("enqueue", "gate", '{"gate": "never"}', "--wait", "--wait-timeout", "200ms")

    assert (done.code, done.out) == (6, "")
    task = int(done.err.split()[1])
    assert f"task {task} has not ended within 0.2 s" in done.err
    served.cli("cancel", str(task))
    served.reach(task, "cancelled")


def test_who_waits_is_told_of_each_change(home: Home) -> None:
    agent = home.serve(env={"SANAAGENT_BULK_RETRY_DELAY_SECONDS": "10m"})
    told = ["attempt 1 failed: ValueError: bad luck in attempt 1; the next is due in "]
    with start_agent(home.directory, "enqueue", "fails", "{}", "--wait") as waiter:
        until(lambda: told[0] in waiter.err, what=f"the failure in {waiter.err!r}")
        for told_next, change in (
            ("paused by an operator until `unpause`", home.agent.pause),
            ("work goes on", home.agent.unpause),
            ("no supervisor runs, so this waits until one does: start one with `resume`", agent.stop),
        ):
            change()
            told.append(told_next)
            until(lambda: told[-1] in waiter.err, what=f"{told[-1]!r} in {waiter.err!r}")
        home.agent.cancel(1)

        assert waiter.wait() == 5
    *lines, last = waiter.err.splitlines()
    assert [line.startswith(each) for line, each in zip(lines, ["task 1", *told], strict=True)] == [True] * 5
    assert (waiter.out, last) == ("", "error: task 1 cancelled: cancelled by request")


# -- When it runs


def test_a_task_runs_when_it_is_due_and_not_before(served: Home) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1)
    delayed = served.json("enqueue", "echo", "{}", "--delay", "1s")["id"]
    timed = served.json("enqueue", "echo", "{}", "--at", at.isoformat())["id"]

    for task in (delayed, timed):
        record = served.reach(task, "succeeded")
        assert record["started_at"] >= record["due_at"]


def test_a_timeout_ends_an_attempt(served: Home) -> None:
    task = served.json("enqueue", "gate", '{"gate": "never"}', "--timeout", "200ms", "--max-attempts", "1")["id"]

    record = served.reach(task, "failed")

    assert record["attempts"][0]["outcome"] == "timed_out"
    assert "0.2 s" in record["error"]


def test_higher_priorities_run_first(home: Home) -> None:
    tasks = [home.json("enqueue", "echo", "{}", "--priority", str(n))["id"] for n in (-1, 5, 0)]

    assert home.cli("resume", "--drain", "--max-concurrent", "1").code == 0

    ran = Path("runs").read_text().split()
    assert ran == [str(tasks[1]), str(tasks[2]), str(tasks[0])]


# -- What it refuses


def test_a_full_queue_refuses_more(home: Home) -> None:
    full = {"SANAAGENT_BULK_MAX_QUEUED": "2"}
    home.cli("enqueue", "echo", "{}", env=full)
    home.cli("enqueue", "echo", "{}", env=full)

    assert "bulk.max_queued" in home.refused(75, "enqueue", "echo", "{}", env=full)
    many = '{"payload": {}}\n' * 2
    assert home.cli("enqueue", "echo", "--many", "-", env=full, stdin=many).code == 75

    assert home.total() == 2


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("echo",),
        ("echo", "{}", "--delay", "1 fortnight"),
        ("echo", "{}", "--at", "tomorrow"),
        ("echo", "{}", "--delay", "1s", "--at", "2099-01-01"),
        ("echo", "{}", "--priority", "high"),
        ("echo", "{}", "--priority", "2147483648"),
        ("echo", "{}", "--max-attempts", "0"),
        ("echo", "{}", "--timeout", "0"),
        ("echo", "{}", "--key", ""),
        ("echo", "{}", "--wait-timeout", "1s"),
        ("echo", "{}", "--many", "tasks.jsonl"),
        ("echo", "--many", "tasks.jsonl", "--wait"),
        ("echo", "--many", "missing.jsonl"),
        ("echo", "@missing.json"),
        ("echo", "@."),
        ("", "{}"),
        (" echo", "{}"),
        ("x" * 201, "{}"),
        ("echo", "{}", "--no-such-option"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(home: Home, words: tuple[str, ...]) -> None:
    (home.directory / "tasks.jsonl").write_text('{"payload": {}}\n')

    home.refused(2, "enqueue", *words)

    assert home.total() == 0


def test_a_number_that_is_none_is_named(home: Home) -> None:
    why = home.refused(2, "enqueue", "echo", "{}", "--priority", "high")

    assert why == "Invalid value for '--priority': 'high' is not a valid whole number."
