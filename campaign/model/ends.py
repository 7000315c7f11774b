"""Deaths, and what follows: burials, a lost fork server, a dead supervisor, recovery."""

from __future__ import annotations

from campaign.model import rows
from campaign.model.rules import Rules
from campaign.model.state import (
    ABSENT,
    ALIVE,
    DOWN,
    FAILED,
    LOST,
    RECOVERING,
    RETRY_SCHEDULED,
    UP,
    Desk,
    State,
    Steps,
    Worker,
    is_locked,
    on_desk,
    put,
    spend,
    who,
)
from campaign.model.workers import fallen

US, KERNEL, RIVAL = "supervisor", "kernel", "rival"
NOBODY = Worker()


def act(rules: Rules, state: State) -> Steps:
    """Every death that can happen now, and what is done about those that have."""
    yield from _die(state)
    if state.supervisor == UP and not state.hand:
        yield from _bury(rules, state)
        if state.fork_server == LOST:
            yield from _lose_all(rules, state)
    elif state.supervisor == DOWN:
        yield from _start(rules, state)
    elif state.supervisor == RECOVERING:
        yield from _recover(rules, state)
    if not rules.one_supervisor:
        yield from _rival(rules, state)


def _die(state: State) -> Steps:
    for place, worker in enumerate(state.workers, 1):
        if worker.life != ALIVE:
            continue
        after = NOBODY if worker.is_struck else fallen(worker)
        if worker.is_doomed:
            yield (KERNEL, "ends with its parent", who(place)), put(state, place, after)
        elif state.left.death:
            yield (who(place), "dies"), spend(put(state, place, after), "death")
    if state.left.crash and state.supervisor != DOWN:
        yield (US, "dies"), spend(_orphaned(state), "crash")
    if state.left.fork_server_death and state.fork_server == UP:
        workers = tuple(_doomed(on_desk(worker, down=())) for worker in state.workers)
        lost = state._replace(workers=workers, fork_server=LOST)
        yield ("fork server", "dies"), spend(lost, "fork_server_death")


def _doomed(worker: Worker) -> Worker:
    return worker._replace(is_doomed=True, event="") if worker.life == ALIVE else worker


def _orphaned(state: State) -> State:
    """Without its supervisor: what it knew is gone, its fork server dies with it, and so will the workers."""
    workers = tuple(_doomed(worker._replace(desk=Desk())) for worker in state.workers)
    return state._replace(workers=workers, supervisor=DOWN, fork_server=LOST, hand=())


# Burials


def _bury(rules: Rules, state: State) -> Steps:
    for place, worker in enumerate(state.workers, 1):
        if worker.is_struck:
            continue
        is_taken_for_dead = (worker.desk.frozen and not rules.frozen_is_not_dead) or (
            worker.at == "running" and not rules.silence_is_no_death
        )
        if worker.desk.up[:1] == ("exited",) or is_taken_for_dead:
            yield from _bury_one(rules, state, place, worker)


def _bury_one(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    if worker.has_slot and not rules.slot_outlives_burial:
        after = worker._replace(has_slot=False, slot=NOBODY.slot)
        yield (US, "removes the slot of", who(place)), put(state, place, after)
    if is_locked(state):
        return
    is_deadline = worker.desk.killed_for[:1] == ("deadline",)
    for timed_out in (RETRY_SCHEDULED, FAILED) if is_deadline else (0,):
        yield _buried(rules, state, place, worker, US, timed_out)


def _buried(
    rules: Rules, state: State, place: int, worker: Worker, by: str, timed_out: int = 0
) -> tuple[tuple[object, ...], State]:
    done = rows.bury(rules, state.tasks, place, worker, timed_out)
    after = worker._replace(is_struck=True) if worker.life == ALIVE else NOBODY
    label = (by, "buries", who(place), *done[1:])
    return label, put(state._replace(tasks=done.tasks), place, after)


def _lose_all(rules: Rules, state: State) -> Steps:
    """The reports are read to their end; then every worker is killed and waited for, and another fork server starts."""
    if any(worker.desk.up for worker in state.workers):
        return
    workers = tuple(_reported(worker, rules.death_is_proven) for worker in state.workers)
    yield (US, "loses its fork server, and starts another"), state._replace(workers=workers, fork_server=UP)


def _reported(worker: Worker, is_waited_for: bool) -> Worker:
    if worker.life == ABSENT:
        return worker
    if worker.life == ALIVE and is_waited_for:
        worker = fallen(worker)
    return on_desk(worker, up=("exited",))


# Recovery


def _start(rules: Rules, state: State) -> Steps:
    """Another supervisor has the lock: it kills the workers it finds rows of, and waits for their deaths."""
    workers = tuple(
        fallen(worker) if worker.life == ALIVE and worker.has_row and rules.killed_before_requeue else worker
        for worker in state.workers
    )
    after = state._replace(workers=workers, supervisor=RECOVERING, fork_server=UP)
    if not rules.harvest_before_claim and not is_locked(after):
        tasks = after.tasks
        for place in (1, 2):
            tasks = _queued_by_rows(tasks, place)
        after = after._replace(tasks=tasks, supervisor=UP)
        after = after._replace(workers=tuple(_reported(worker, True) for worker in after.workers))
    yield (US, "starts"), after


def _queued_by_rows(tasks: rows.Tasks, place: int) -> rows.Tasks:
    nothing_read = rows.bury(Rules(slot_is_read=False), tasks, place, NOBODY)
    return nothing_read.tasks


def _recover(rules: Rules, state: State) -> Steps:
    left = [(place, worker) for place, worker in enumerate(state.workers, 1) if worker.life and not worker.is_struck]
    if not left:
        yield (US, "has recovered"), state._replace(supervisor=UP)
    elif not is_locked(state):
        for place, worker in left:
            yield _buried(rules, state, place, worker, US)


def _rival(rules: Rules, state: State) -> Steps:
    """A second supervisor beside the first: it recovers what is none of its business."""
    if state.rival == 0 and state.left.rival and state.supervisor == UP and not state.hand and not is_locked(state):
        after = spend(state._replace(rival=1), "rival")
        for place, worker in enumerate(state.workers, 1):
            if worker.life:
                _, after = _buried(rules, after, place, fallen(worker), RIVAL)
        yield (RIVAL, "kills and buries everybody"), after
    elif state.rival == 1:
        workers = tuple(worker._replace(has_slot=False) for worker in state.workers)
        yield (RIVAL, "discards all slots"), state._replace(workers=workers, rival=2)
