"""Freezing, thawing, ending attempts: workers/{halting,stops}.py, the fork server, the kernel, and outsiders."""

from __future__ import annotations

from typing import Any

from campaign.model.rules import Rules
from campaign.model.state import (
    ALIVE,
    BY_OTHERS,
    BY_US,
    DEAD,
    UP,
    State,
    Steps,
    Worker,
    in_slot,
    on_desk,
    put,
    spend,
    who,
)
from campaign.model.workers import all_out, fallen, is_busy

MOST_TRIES = 2
STOP, CONT, KILL = "SIGSTOP", "SIGCONT", "SIGKILL"
FORK_SERVER, OUTSIDER, US = "fork server", "outsider", "supervisor"
PURPOSE, IS_LET_GO = 0, 4  # of a halt


def act(rules: Rules, state: State) -> Steps:
    """What the supervisor, the fork server and outsiders can do to stop workers and to let them go."""
    for place, worker in enumerate(state.workers, 1):
        if not worker.life:
            continue
        if state.supervisor == UP and not state.hand:
            yield from _ask(state, place, worker)
            yield from _hear(rules, state, place, worker)
        if state.fork_server == UP:
            yield from _pass_on(state, place, worker)
            yield from _report(state, place, worker)
        yield from _meddle(state, place, worker)


def end(worker: Worker, halt: tuple[Any, ...]) -> Worker:
    """Stop a worker to end the attempt that it runs; one that stands still is killed at once."""
    if worker.desk.killed_for:
        return worker
    if worker.desk.frozen:
        return _send(on_desk(worker, killed_for=halt), KILL)
    if worker.desk.halt:
        return worker
    return _send(in_slot(on_desk(worker, halt=(*halt, 1, False)), hold=True), STOP)


def _ask(state: State, place: int, worker: Worker) -> Steps:
    desk = worker.desk
    if state.left.freeze and not desk.frozen and not desk.halt:
        after = in_slot(on_desk(worker, halt=("freeze", 0, 0, 1, is_busy(worker))), hold=True)
        after = after if is_busy(worker) else _send(after, STOP)
        yield (US, "is to freeze", who(place)), spend(put(state, place, after), "freeze")
    if state.left.deadline and worker.slot.task and not desk.frozen and not desk.halt and not desk.killed_for:
        after = end(worker, ("deadline", *worker.slot.task))
        yield (US, "finds overdue", who(place), *worker.slot.task), spend(put(state, place, after), "deadline")
    if desk.halt and desk.halt[IS_LET_GO] and not is_busy(worker):
        after = _send(on_desk(worker, halt=(*desk.halt[:IS_LET_GO], False)), STOP)
        yield (US, "stops again", who(place)), put(state, place, after)
    if desk.frozen or (desk.halt and desk.halt[PURPOSE] == "freeze"):
        yield (US, "thaws", who(place)), put(state, place, _let_go(worker))
    if desk.frozen and worker.at == "in store" and KILL not in desk.down:
        yield (US, "ends who stands still with the write lock", who(place)), put(state, place, _send(worker, KILL))


def _send(worker: Worker, signal: str) -> Worker:
    up = worker.desk.up
    if signal == CONT:  # whatever was reported until it arrives is of before
        up = tuple("stopped before" if each == "stopped" else each for each in up)
    return on_desk(worker, down=(*worker.desk.down, signal), up=up)


def _let_go(worker: Worker) -> Worker:
    return _send(in_slot(on_desk(worker, frozen="", halt=()), hold=False), CONT)


# Reports


def _hear(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """The oldest report; an exit is heard by a burial."""
    if not worker.desk.up or worker.desk.up[0] == "exited":
        return
    report, *rest = worker.desk.up
    worker = on_desk(worker, up=tuple(rest))
    if report == "continued":
        after = _on_continued(rules, worker)
    elif report == "stopped before" and rules.stop_is_told_from_older:
        after = worker
    else:
        after = _on_stopped(rules, worker)
    yield (US, "hears of", who(place), report, after.desk.frozen), put(state, place, after)


def _on_continued(rules: Rules, worker: Worker) -> Worker:
    desk = worker.desk
    if desk.frozen:
        return _let_go(worker)
    if rules.stop_is_renewed and desk.halt and not desk.halt[IS_LET_GO]:
        return _send(worker, STOP)
    return worker


def _on_stopped(rules: Rules, worker: Worker) -> Worker:
    desk = worker.desk
    if not desk.halt:
        return worker if desk.frozen or desk.killed_for else on_desk(worker, frozen=BY_OTHERS)
    purpose, number, claim, tries, _ = desk.halt
    if purpose != "freeze":
        if rules.attempt_is_confirmed and not _is_still(worker, (number, claim)):
            return _send(in_slot(on_desk(worker, halt=()), hold=False), CONT)
        return _send(on_desk(worker, halt=(), killed_for=(purpose, number, claim)), KILL)
    if not (rules.busy_is_asked and is_busy(worker)):
        return on_desk(worker, halt=(), frozen=BY_US)
    if tries >= MOST_TRIES:
        return _let_go(worker)
    return _send(on_desk(worker, halt=("freeze", 0, 0, tries + 1, True)), CONT)


def _is_still(worker: Worker, meant: tuple[int, int]) -> bool:
    return worker.slot.task == meant and all(outcome[:2] != meant for outcome in worker.slot.ring)


# The fork server and the kernel


def _pass_on(state: State, place: int, worker: Worker) -> Steps:
    """The oldest signal; it takes effect at once, for until it is passed on, the worker runs."""
    if not worker.desk.down:
        return
    signal, *rest = worker.desk.down
    after = on_desk(worker, down=tuple(rest))
    if worker.life == ALIVE:
        after = fallen(after) if signal == KILL else stopped(after) if signal == STOP else continued(after)
    yield (FORK_SERVER, "sends", signal, who(place)), put(state, place, after)


def stopped(worker: Worker) -> Worker:
    """The worker, standing still: whatever it has stored is to be seen."""
    if worker.is_stopped:
        return worker
    return all_out(worker)._replace(is_stopped=True, event="stopped")


def continued(worker: Worker) -> Worker:
    """The worker, going on; waitid tells of that and not of the stop before."""
    return worker._replace(is_stopped=False, event="continued") if worker.is_stopped else worker


def _report(state: State, place: int, worker: Worker) -> Steps:
    desk = worker.desk
    if worker.life == DEAD:
        if "exited" not in desk.up:
            after = on_desk(worker, up=(*desk.up, "exited"))
            yield (FORK_SERVER, "reports", "exited", who(place)), put(state, place, after)
    elif worker.event:
        report = worker.event
        if report == "stopped" and CONT in desk.down:
            report = "stopped before"
        after = on_desk(worker._replace(event=""), up=(*desk.up, report))
        yield (FORK_SERVER, "reports", report, who(place)), put(state, place, after)


def _meddle(state: State, place: int, worker: Worker) -> Steps:
    if worker.life != ALIVE:
        return
    if state.left.stop and not worker.is_stopped:
        yield (OUTSIDER, "stops", who(place)), spend(put(state, place, stopped(worker)), "stop")
    if state.left.cont and worker.is_stopped:
        after = continued(worker)._replace(is_meddled_with=True)
        yield (OUTSIDER, "lets go on", who(place)), spend(put(state, place, after), "cont")
