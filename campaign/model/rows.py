"""The store's transactions, as far as they move tasks: agent/store/{claims,custody,outcomes}.py on rows of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from campaign.model.rules import Rules
from campaign.model.state import (
    CANCELLED,
    FINISHED,
    HELD,
    IN_PROGRESS,
    QUEUED,
    RESERVED,
    Attempt,
    Outcome,
    State,
    Task,
    Worker,
    changed,
)

Tasks = tuple[Task, ...]
Recorded = tuple[tuple[int, int, int], ...]
"""Accepted outcomes: task, the place of the worker they came from, claim."""


def record(rules: Rules, tasks: Tasks, place: int, outcomes: Iterable[Outcome]) -> tuple[Tasks, Recorded]:
    """Record a worker's outcomes, each if its claim still holds the task."""
    accepted: Recorded = ()
    for number, claim, to in outcomes:
        row = tasks[number - 1]
        if (rules.fence_names_worker and row.holder != place) or (rules.fence_names_claim and row.claim != claim):
            continue
        if rules.fence_names_state and row.state not in HELD:
            continue
        tasks = changed(tasks, number, ended(row, to))
        accepted = (*accepted, (number, place, claim))
    return tasks, accepted


def ended(row: Task, to: int) -> Task:
    """A row whose attempt has ended, and that keeps who ran it while it is not finished."""
    if to in FINISHED:
        row = row._replace(holder=0, claim=0)
    return row._replace(state=to, begun=False, kept=False)


def begin(tasks: Tasks, place: int, attempt: Attempt) -> Tasks:
    """Write a start, if the attempt's claim is still reserved."""
    number, claim = attempt
    row = tasks[number - 1]
    if row.state != RESERVED or (row.holder, row.claim) != (place, claim):
        return tasks
    return changed(tasks, number, row._replace(state=IN_PROGRESS))


def release(tasks: Tasks, place: int, after: int = 0) -> tuple[Tasks, tuple[int, ...]]:
    """Queue again what a worker has reserved, of tasks with ids above `after`; which those were."""
    released = tuple(
        number
        for number, row in enumerate(tasks, 1)
        if row.state == RESERVED and row.holder == place and number > after
    )
    for number in released:
        tasks = changed(tasks, number, queued_again(tasks[number - 1]))
    return tasks, released


def queued_again(row: Task) -> Task:
    """A row that nobody holds any more."""
    return row._replace(state=QUEUED, holder=0, claim=0)


def line(tasks: Tasks) -> tuple[int, ...]:
    """The queued tasks in the order in which they are claimed."""
    return tuple(number for number, row in enumerate(tasks, 1) if row.state == QUEUED)


def claim(state: State, tasks: Tasks, place: int, numbers: Iterable[int]) -> tuple[Tasks, tuple[Attempt, ...]]:
    """Reserve tasks for a worker.

    The real number of a claim is one more than the last one's. Here it is the lowest that nobody knows of: only
    whether two are the same is ever asked, and the states stay few.
    """
    chunk: tuple[Attempt, ...] = ()
    for number in numbers:
        known = {tasks[number - 1].claim, *_known_claims(state, number)}
        fresh = next(each for each in range(1, len(known) + 2) if each not in known)
        row = tasks[number - 1]._replace(state=RESERVED, holder=place, claim=fresh, begun=False)
        tasks = changed(tasks, number, row)
        chunk = (*chunk, (number, fresh))
    return tasks, chunk


def _known_claims(state: State, number: int) -> Iterator[int]:
    for worker in state.workers:
        desk, slot = worker.desk, worker.slot
        for found in (*worker.chunk, *worker.ended, *slot.ring, slot.task, desk.halt[1:], desk.killed_for[1:]):
            if found and found[0] == number:
                yield found[1]
    if state.hand and state.hand[0] in ("catches up", "commits to"):
        for outcome in state.hand[2]:
            if outcome[0] == number:
                yield outcome[1]
    if state.hand and state.hand[0] == "catches up" and state.hand[3] and state.hand[3][0] == number:
        yield state.hand[3][1]
    if state.hand and state.hand[0] == "ends" and state.hand[2] == number:
        yield state.hand[3]


class Burial(NamedTuple):
    """What a burial's transaction did."""

    tasks: Tasks
    recorded: Recorded
    released: tuple[int, ...]
    meant: tuple[int, ...] = ()  # the attempt that we had killed the worker for
    ran: tuple[int, ...] = ()
    purpose: str = ""  # for which the attempt that ran was ended


def bury(rules: Rules, tasks: Tasks, place: int, worker: Worker, timed_out: int = 0) -> Burial:
    """All that is due after a death: record, end what ran, rescue, release. `timed_out`: state after a missed deadline.

    What the supervisor knows of the worker (`killed_for`) is empty when another supervisor buries it.
    """
    reads = rules.slot_is_read and worker.has_slot
    outcomes = worker.slot.ring if reads else ()
    running = worker.slot.task if reads else ()
    if any(outcome[:2] == running for outcome in outcomes):
        running = ()
    purpose, *meant = worker.desk.killed_for or ("",)
    if not running or (rules.kill_is_for_what_ran and tuple(meant) != running):
        purpose = ""
    if purpose == "deadline":
        outcomes = (*outcomes, (running[0], running[1], timed_out))
    tasks, recorded = record(rules, tasks, place, outcomes)
    if running and purpose != "deadline":
        tasks = _end_running(tasks, place, running, purpose)
    for number, row in enumerate(tasks, 1):
        if row.state == IN_PROGRESS and row.holder == place:
            tasks = changed(tasks, number, queued_again(row)._replace(begun=False))
    tasks, released = release(tasks, place)
    for number, row in enumerate(tasks, 1):
        if row.holder == place:  # nobody is left who could compare
            tasks = changed(tasks, number, row._replace(holder=0, claim=0))
    return Burial(tasks, recorded, released, tuple(meant), running, purpose)


def _end_running(tasks: Tasks, place: int, running: tuple[int, ...], purpose: str) -> Tasks:
    row = tasks[running[0] - 1]
    if row.state not in HELD or (row.holder, row.claim) != (place, running[1]):
        return tasks
    to = ended(row, CANCELLED) if purpose == "cancel" else queued_again(row)._replace(begun=False)
    return changed(tasks, running[0], to)
