"""The demo's numbers and its page, from records."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cli.demo_report import OneCore, Scene, chosen, page, sample_step, summary

SCENE = Scene("3.14.1", 2, "/tmp/run 1", ["python", "enhanced_automation_agent.py"])
ONE_CORE = OneCore(step=8, files=1, bytes=1_000, seconds=2.0)


def record(task: int, start: int, end: int, size: int, lost_at: int | None = None) -> dict[str, Any]:
    """A task that succeeded between two seconds of a minute, after an attempt that was lost if `lost_at` is given."""
    attempts = [{"outcome": "succeeded", "started_at": at(start)}]
    if lost_at is not None:
        attempts.insert(0, {"outcome": "lost", "started_at": at(lost_at)})
    result = {"path": f"/lib/{task}.py", "lines": 10, "definitions": 2, "bytes": size, "compressed": size // 4}
    return {"id": task, "finished_at": at(end), "attempts": attempts, "result": result}


def at(second: int) -> str:
    return f"2026-11-22T10:00:{second:02d}.000000Z"


RECORDS = [record(1, 11, 12, 1_000), record(2, 14, 15, 4_000_000, lost_at=10), record(3, 12, 14, 999_000)]
KILLED = {"worker": "00ab", "pid": 4711, "task": 2, "state": "busy"}


def test_the_numbers_add_up() -> None:
    told = summary(RECORDS, ONE_CORE, KILLED, SCENE)

    assert (told["files"], told["lines"], told["definitions"]) == (3, 30, 6)
    assert (told["bytes"], told["bytes_saved"]) == (5_000_000, 3_750_000)
    assert (told["python"], told["workers"], told["directory"]) == ("3.14.1", 2, "/tmp/run 1")


def test_the_time_runs_from_the_first_start_to_the_last_end_lost_attempts_included() -> None:
    told = summary(RECORDS, ONE_CORE, KILLED, SCENE)

    assert (told["seconds"], told["tasks_per_s"]) == (5.0, 0.6)


def test_one_core_is_scaled_by_bytes() -> None:
    told = summary(RECORDS, ONE_CORE, KILLED, SCENE)

    assert told["one_core"]["seconds_for_all"] == 2.0 * 5_000_000 / 1_000
    assert told["speed_up"] == 2_000.0


def test_what_was_run_again_is_named() -> None:
    told = summary(RECORDS, ONE_CORE, KILLED, SCENE)

    assert told["killed"] == {"worker": "00ab", "pid": 4711, "task": 2}
    assert told["run_again"] == [{"id": 2, "path": "/lib/2.py", "outcomes": ["lost", "succeeded"]}]


def test_the_next_commands_can_be_typed_as_they_stand() -> None:
    told = summary(RECORDS, ONE_CORE, KILLED, SCENE)

    config = "python enhanced_automation_agent.py --config '/tmp/run 1/config.yml'"
    assert told["next"] == [
        f"{config} stats",
        f"{config} tasks --limit 5",
        f"{config} inspect 2 --attempts",
        "less '/tmp/run 1/logs/agent.jsonl'",
        "rm -r '/tmp/run 1'",
    ]


def test_the_page_tells_a_person_all_of_it() -> None:
    text = "\n".join(page(summary(RECORDS, ONE_CORE, KILLED, SCENE)))

    assert text.startswith("Python 3.14.1's standard library: 3 files, 30 lines, 6 definitions.\n")
    for words in (
        "5.0 s, 0.6 tasks/s with 2 workers",
        "measured on every 8th file",
        "2000.0 times",
        "5.0 MB, of which 3.8 MB were saved",
        "/lib/2.py, 4.0 MB",
        "worker 00ab (process 4711), by SIGKILL half-way",
        "task 2, /lib/2.py: lost → succeeded",
        "nothing: every task succeeded",
        "Where to look next:\n  python enhanced_automation_agent.py",
    ):
        assert words in text


def test_a_run_without_a_kill_says_so() -> None:
    told = summary(RECORDS[:1], OneCore(1, 1, 1_000, 2.0), None, SCENE)
    text = "\n".join(page(told))

    assert (told["killed"], told["run_again"]) == (None, [])
    assert "nobody: it was over before" in text
    assert "nothing: no handler was cut short" in text
    assert "measured on all files" in text


@pytest.mark.parametrize("number", [1, 3, 7, 10])
def test_so_many_files_are_chosen_from_the_whole(number: int) -> None:
    paths = [str(i) for i in range(10)]

    some = chosen(paths, number)

    assert len(set(some)) == number
    assert some == sorted(some)


def test_no_more_files_are_chosen_than_there_are() -> None:
    assert chosen(["a", "b"], None) == chosen(["a", "b"], 5) == ["a", "b"]


def test_few_files_are_measured_whole() -> None:
    assert (sample_step(199), sample_step(200)) == (1, 8)
