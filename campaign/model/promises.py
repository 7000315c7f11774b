"""What must hold: of every step (before, label, after), and of every state. A breach is a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from agent.lifecycle import State as TaskState
from agent.lifecycle import is_legal
from campaign.model.state import (
    ABSENT,
    ALIVE,
    BY_US,
    CANCELLED,
    FINISHED,
    HELD,
    SUCCEEDED,
    Label,
    Outcome,
    State,
    Task,
    Worker,
    who,
)


def breach(before: State, label: Label, after: State) -> str | None:
    """The first promise that this step breaks."""
    if label[1] == "starts the handler":
        found = _at_start(before, label)
        if found:
            return found
    if after.tasks is not before.tasks or after.workers is not before.workers:
        return next(_of_step(before, label, after), None)
    return None


def is_finished(state: State) -> bool:
    """Whether every task has come to its end."""
    return all(row.state in FINISHED for row in state.tasks)


def _at_start(before: State, label: Label) -> str | None:
    name, _, number, claim = label
    row, place = before.tasks[number - 1], int(name[-1])
    if row.state == SUCCEEDED:
        return f"task {number} is started after it had succeeded (invariant 3)"
    if row.state not in HELD or (row.holder, row.claim) != (place, claim):
        return f"task {number} is started by {name}, whose claim does not stand in its row (invariant 2)"
    if row.kept:
        return f"task {number} is started again, though an outcome of it stood in a slot (invariant 4)"
    return None


def _of_step(before: State, label: Label, after: State) -> Iterator[str]:
    for number, (old, new) in enumerate(zip(before.tasks, after.tasks, strict=True), 1):
        if old is not new:
            yield from _of_row(number, old, new, label)
    yield from _of_label(before, label)
    for place, worker in enumerate(after.workers, 1):
        if worker.life == ALIVE and (worker.chunk or worker.desk.frozen):
            yield from _of_worker(after, place, worker)
    for number, row in enumerate(after.tasks, 1):
        if row.state in HELD and _is_nobodys(after.workers[row.holder - 1]):
            yield f"task {number} is held by a worker that nobody will bury (invariant 1)"


def _is_nobodys(worker: Worker) -> bool:
    return worker.life == ABSENT or worker.is_struck


def _of_row(number: int, old: Task, new: Task, label: Label) -> Iterator[str]:
    if old.state == new.state:
        return
    move = f"task {number} goes from {TaskState(old.state).word} to {TaskState(new.state).word}"
    if old.state in FINISHED and label[1] != "retries":
        yield f"{move}, though it was finished (invariant 10)"
    if not is_legal(TaskState(old.state), TaskState(new.state)):
        yield f"{move}, which no verb does (invariant 8)"
    if new.state == SUCCEEDED and not new.returned:
        yield f"{move}, though no handler of it has returned (invariant 3)"
    if new.state == CANCELLED and new.wanted:
        yield f"{move}, though it is wanted (invariant 1)"


def _of_label(before: State, label: Label) -> Iterator[str]:
    verb = label[1]
    released: tuple[int, ...] = ()
    if verb.startswith(("records", "exchanges")) and len(label) > 2:
        yield from _of_records(before, label[2])
        released = label[3] if len(label) > 3 else ()
    elif verb == "leaves" and (lost := _of_whom_nobody_knows(before, label[2])):
        yield f"the outcome of task {lost[0][0]} is lost, though nobody was killed (invariant 4)"
    elif verb in ("catches up for", "buries"):
        yield from _of_records(before, label[3])
        released = label[4]
    for number in released:
        if before.tasks[number - 1].begun:
            yield f"task {number} is given back uncounted, though its handler had begun (section 4: attempt)"
    if verb == "buries":
        yield from _of_burial(before, label)


def _of_whom_nobody_knows(before: State, unkept: tuple[Outcome, ...]) -> list[Outcome]:
    return [each for each in unkept if before.tasks[each[0] - 1].begun and before.tasks[each[0] - 1].claim == each[1]]


def _of_burial(before: State, label: Label) -> Iterator[str]:
    name, (*_, meant, ran, purpose) = label[2], label
    if not meant or not ran or meant == ran:
        return
    if purpose:
        yield f"task {ran[0]}, claim {ran[1]}, ends by a {purpose} that was meant for {meant} (invariant 1)"
    elif not before.workers[int(name[-1]) - 1].is_meddled_with:
        yield f"task {ran[0]} runs again because of a kill that was meant for {meant} (invariant 4)"


def _of_records(before: State, recorded: tuple[tuple[int, int, int], ...]) -> Iterator[str]:
    for number, place, claim in recorded:
        row = before.tasks[number - 1]
        if row.state in HELD and (row.holder, row.claim) != (place, claim):
            yield f"the outcome of task {number} by {who(place)}, claim {claim}, is stale and accepted (invariant 6)"


def _of_worker(after: State, place: int, worker: Worker) -> Iterator[str]:
    if worker.at == "running":
        number, claim = worker.chunk[worker.position - 1]
        row = after.tasks[number - 1]
        if place == 1 and _runs(after.workers[1], number):
            yield f"two attempts of task {number} live at the same time (invariant 5)"
        if row.state not in HELD or (row.holder, row.claim) != (place, claim):
            word = TaskState(row.state).word
            yield f"task {number} is {word} while {who(place)} runs it under claim {claim} (invariant 5)"
    if len(unkept := _unkept(after, place, worker)) > 1:
        yield f"killing {who(place)} would run {len(unkept)} tasks again (invariant 4)"
    if worker.desk.frozen == BY_US and worker.at == "in store" and not worker.is_meddled_with:
        yield f"{who(place)} is taken for frozen in the midst of a transaction (section 3: freeze)"


def _runs(worker: Worker, number: int) -> bool:
    return worker.life == ALIVE and worker.at == "running" and worker.chunk[worker.position - 1][0] == number


def _unkept(after: State, place: int, worker: Worker) -> list[int]:
    """Tasks whose handlers it has begun, and whose outcomes neither it nor its slot has brought to safety."""
    return [
        number
        for number, claim in worker.chunk[: worker.position]
        if (row := after.tasks[number - 1]).begun
        and row.state in HELD
        and (row.holder, row.claim) == (place, claim)
        and all(outcome[:2] != (number, claim) for outcome in worker.slot.ring)
    ]
