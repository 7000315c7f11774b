"""Stores with one fault each, and statements of the suite that have to notice: what tests the suite itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import AgentError
from agent.lifecycle import State
from agent.store import claims, custody, migrations, outcomes, tasks, upkeep
from agent.store.connection import Connection
from agent.store.values import Death
from agent.task import Enqueued, NewTask, Outcome
from tests.conformance import (
    test_burials,
    test_claims,
    test_fences,
    test_keys,
    test_moves,
    test_processes,
    test_tasks,
    test_upkeep,
    test_waiting,
)
from tests.conformance.backends import Backend
from tests.conformance.scene import Scene, failed, succeeded

Check = Callable[[Scene], None]

CHECKS: dict[str, Check] = {
    "another worker's outcome": partial(
        test_fences.test_an_outcome_under_another_workers_name_is_stale, record=test_fences.by_the_worker, end=succeeded
    ),
    "an earlier claim's outcome": partial(
        test_fences.test_an_outcome_of_an_earlier_claim_of_the_same_worker_is_stale,
        record=test_fences.by_the_worker,
        end=succeeded,
        begun=False,
    ),
    "a repeated outcome": partial(
        test_fences.test_an_outcome_repeated_changes_nothing_and_is_not_stale,
        record=test_fences.by_the_worker,
        end=failed,
        again=succeeded,
    ),
    "a start after the end": partial(
        test_moves.test_a_verb_moves_a_task_from_its_states_and_touches_it_in_no_other,
        verb=test_moves.VERBS["begin"],
        state=State.FAILED,
    ),
    "a release of what has begun": test_claims.test_giving_back_leaves_others_and_what_has_begun_alone,
    "priority": test_claims.test_the_highest_priority_goes_first_then_the_lowest_id,
    "priority among types": test_claims.test_a_chunk_is_of_one_type_and_one_priority,
    "a limit": test_claims.test_the_limit_of_a_type_counts_workers_not_tasks,
    "a crashed task": partial(test_claims.test_a_task_that_has_crashed_is_claimed_alone, death=Death.CRASHED),
    "an outdated admission": test_claims.test_an_outdated_admission_claims_nothing_but_records_and_gives_back,
    "the outcome in the slot": partial(
        test_burials.test_an_outcome_in_the_slot_wins_over_the_death, death=Death.CRASHED, end=succeeded
    ),
    "poison": partial(
        test_burials.test_a_task_that_ends_its_workers_again_and_again_is_poison,
        death=Death.CRASHED,
        limit=custody.CRASH_LIMIT,
        begun=True,
    ),
    "a burial": test_burials.test_a_deaths_three_parts_are_one,
    "a conflict": partial(
        test_keys.test_a_conflict_stores_nothing_of_its_batch, state=State.QUEUED, other=test_keys.again('{"a":1}')
    ),
    "a kept result": test_keys.test_a_result_outlives_its_task,
    "a moved key": partial(test_keys.test_the_old_task_of_a_moved_key_cannot_be_retried, state=State.FAILED),
    "an id": test_tasks.test_an_id_is_never_used_again_even_if_the_newest_task_is_deleted,
    "promotion": test_waiting.test_what_is_due_is_queued_and_the_rest_waits,
    "retention": test_upkeep.test_attempts_go_with_their_task_and_only_they,
    "a fork": test_processes.test_what_a_child_writes_is_kept_though_its_parent_has_closed_the_store_since,
}


@dataclass(frozen=True)
class Broken:
    """A fault, put into our store, and the check that has to find it."""

    put: Callable[[pytest.MonkeyPatch], None]
    found_by: str


def statement(queries: SimpleNamespace, name: str, old: str, new: str) -> Callable[[pytest.MonkeyPatch], None]:
    """A fault in one SQL statement."""

    def put(patch: pytest.MonkeyPatch) -> None:
        sound = getattr(queries, name)
        assert old in sound, f"{name} has changed: no {old!r} in it"
        patch.setattr(queries, name, sound.replace(old, new))

    return put


def attribute(owner: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """A fault in one function or constant."""
    return lambda patch: patch.setattr(owner, name, value)


def enqueue_one_by_one(
    sound: Any, self: tasks.Tasks, new: Sequence[NewTask], now: int, max_queued: int = 0
) -> list[Enqueued]:
    """A batch that is not atomic."""
    return [answer for each in new for answer in sound(self, [each], now, max_queued)]


def record_without_memory(sound: Any, cursor: Any, worker: int, outcome: Outcome) -> outcomes.Recorded:
    """An outcome told twice is taken for a stale one."""
    found = sound(cursor, worker, outcome)
    return outcomes.Recorded.STALE if found is outcomes.Recorded.BEFORE else found




def handle_of_any_process(self: Connection) -> Any:
    """A handle that is used on both sides of a fork."""
    if self._handle is None:
        self._open()
    return self._handle


def wrapped(owner: Any, name: str, wrapper: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """A fault around a function, which it gets first."""
    sound = getattr(owner, name)
    return attribute(owner, name, lambda *args, **named: wrapper(sound, *args, **named))


def without_autoincrement() -> list[str]:
    """A schema that uses the highest id again."""
    return [step.replace(" AUTOINCREMENT", "") for step in STEPS]


STEPS = migrations.steps()
BROKEN = {
    "the fence has no claim number": Broken(
        statement(outcomes.sql, "succeed_short", "AND claims = ?", "AND ? IS NOT NULL"), "an earlier claim's outcome"
    ),
    "the fence has no worker": Broken(
        statement(outcomes.sql, "succeed_short", "worker = ?", "? IS NOT NULL"), "another worker's outcome"
    ),
    "repeated outcomes count as stale": Broken(
        wrapped(outcomes, "_record_one", record_without_memory), "a repeated outcome"
    ),
    "a start is not guarded by state": Broken(
        statement(custody.sql, "begin", " AND state = 4", ""), "a start after the end"
    ),
    "counts are not kept": Broken(attribute(custody, "count_moves", lambda *moves: None), "a burial"),
    "a claim ignores priority": Broken(
        statement(claims.sql, "heads", "ORDER BY line.priority DESC, line.id", "ORDER BY line.id"), "priority"
    ),
    "a claim ignores priority among types": Broken(
        statement(claims.sql, "heads", "ORDER BY task.priority DESC, task.id", "ORDER BY task.id"),
        "priority among types",
    ),
    "a limit counts tasks": Broken(
        statement(claims.sql, "occupied", "count(DISTINCT worker)", "count(worker)"), "a limit"
    ),
    "a crashed task is claimed with others": Broken(
        statement(claims.sql, "claim", " AND crashes + kills = 0", ""), "a crashed task"
    ),
    "an outdated admission claims": Broken(
        statement(claims.sql, "version", "SELECT version", "SELECT 1"), "an outdated admission"
    ),
    "a release counts an attempt": Broken(
        statement(claims.sql, "release", "worker = NULL", "worker = NULL, attempt = attempt + 1"),
        "a release of what has begun",
    ),
    "a release takes what has begun": Broken(
        statement(claims.sql, "release", "AND state = 4 ", ""), "a release of what has begun"
    ),
    "poison is tried for ever": Broken(attribute(custody, "CRASH_LIMIT", 10**6), "poison"),
    "a key goes with its task": Broken(
        statement(
            upkeep.sql,
            "keep_result",
            "UPDATE key SET result = (SELECT result FROM task WHERE id = ?1), finished_at = ?2 WHERE",
            "DELETE FROM key WHERE ?2 IS NOT NULL AND",
        ),
        "a kept result",
    ),
    "the old task of a moved key is retried": Broken(
        statement(tasks.sql, "newer_owner", "task <> ?", "task <> ? AND FALSE"), "a moved key"
    ),
    "a conflict is half stored": Broken(wrapped(tasks.Tasks, "enqueue", enqueue_one_by_one), "a conflict"),
    "attempts outlive their task": Broken(
        statement(upkeep.sql, "drop_attempts", "task = ?", "task = ? AND FALSE"), "retention"
    ),
    "ids are used again": Broken(attribute(migrations, "steps", without_autoincrement), "an id"),
    "promotion comes early": Broken(statement(custody.sql, "promote", "due_at <= ?2", "due_at < ?2 * 2"), "promotion"),
    "a forked child uses its parent's handle": Broken(
        attribute(Connection, "handle", property(handle_of_any_process)), "a fork"
    ),
}


@contextmanager
def broken_by(fault: Broken) -> Iterator[None]:
    """Our store has the fault meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        fault.put(patch)
        yield


def complaint(backend: Backend, place: Path, check: Check) -> str | None:
    """What a check finds wrong with a new store."""
    try:
        scene = Scene(backend, place)
        check(scene)
        scene.close()
    except (AssertionError, AgentError, pytest.fail.Exception) as error:
        return repr(error)
    return None
