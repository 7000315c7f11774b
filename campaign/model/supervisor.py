"""What the supervisor does while all goes well, and operators ask: the pool, workers/tick.py, workers/commands.py."""

from __future__ import annotations

from campaign.model import rows
from campaign.model.rules import Rules
from campaign.model.state import (
    ABSENT,
    ALIVE,
    CANCELLED,
    FAILED,
    FINISHED,
    HELD,
    NONE,
    QUEUED,
    RESERVED,
    RETRY_SCHEDULED,
    UP,
    Outcome,
    State,
    Steps,
    Worker,
    in_slot,
    is_lock_stuck,
    is_locked,
    on_desk,
    put,
    put_task,
    spend,
    who,
)
from campaign.model.stops import end
from campaign.model.workers import all_out

US = "supervisor"
OPERATOR = "operator"


def act(rules: Rules, state: State) -> Steps:
    """What the supervisor can do next: go on with what it is in the midst of, or begin something."""
    if state.supervisor != UP:
        return
    if state.hand:
        yield from _GO_ON[state.hand[0]](rules, state)
        return
    yield from _obey(state)
    yield from _promote(state)
    for place, worker in enumerate(state.workers, 1):
        if worker.life == ABSENT:
            if state.fork_server == UP and place <= state.size:
                after = put(state, place, Worker(ALIVE, has_row=rules.row_before_claim))
                yield (US, "bears", who(place)), after
            continue
        if not worker.has_row:
            yield (US, "enrols", who(place)), put(state, place, worker._replace(has_row=True))
        yield from _look(rules, state, place, worker)
        yield from _forbid(state, place, worker)


def operate(rules: Rules, state: State) -> Steps:
    """What an operator can ask for; the command line stores it, whether or not a supervisor is there."""
    if is_locked(state):
        return
    for number, row in enumerate(state.tasks, 1):
        if state.left.cancel and row.wanted and row.state not in FINISHED:
            if row.state in HELD:
                after = row._replace(is_asked=True, wanted=False)
                yield (OPERATOR, "asks to cancel", number), spend(put_task(state, number, after), "cancel")
            else:
                after = row._replace(state=CANCELLED, holder=0, claim=0, wanted=False)
                yield (OPERATOR, "cancels", number), spend(put_task(state, number, after), "cancel")
        if state.left.retry and row.state in (FAILED, CANCELLED):
            is_asked = row.is_asked and not rules.retry_withdraws_cancels
            after = row._replace(state=QUEUED, holder=0, claim=0, is_asked=is_asked, wanted=True)
            yield (OPERATOR, "retries", number), spend(put_task(state, number, after), "retry")


def _promote(state: State) -> Steps:
    if is_locked(state):
        return
    for number, row in enumerate(state.tasks, 1):
        if row.state == RETRY_SCHEDULED:
            yield (US, "promotes", number), put_task(state, number, row._replace(state=QUEUED))


# The tick


def _look(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """Read a slot: what has ended, what has begun and is not written, what can be taken back."""
    slot, desk = worker.slot, worker.desk
    if desk.limited != NONE and not desk.is_visible and rules.return_waits:
        after = on_desk(all_out(worker), is_visible=True)
        yield (US, "lets a tick pass for", who(place)), put(state, place, after)
        return
    outcomes, start, after_id, seen = _found(worker)
    if start and not _is_reserved(state, place, start):
        start = ()
    if (outcomes and (slot.task or desk.frozen)) or start or seen != NONE:
        looking = state._replace(hand=("catches up", place, outcomes, start, after_id, seen))
        for label, written in _catch_up(rules, looking) if not is_locked(state) else ():
            yield label, next(_commit_to(rules, written))[1] if written.hand else written
        if state.left.lag:
            yield (US, "looks at", who(place), *looking.hand[2:]), spend(looking, "lag")
    elif desk.limited != NONE:
        yield (US, "sees go on", who(place)), put(state, place, on_desk(worker, limited=NONE, is_visible=False))


def _found(worker: Worker) -> tuple[tuple[Outcome, ...], tuple[int, ...], int, int]:
    desk = worker.desk
    seen = desk.limited if worker.slot.begun == desk.limited else NONE
    return worker.slot.ring, worker.slot.task, worker.slot.last, seen


def _is_reserved(state: State, place: int, attempt: tuple[int, ...]) -> bool:
    row = state.tasks[attempt[0] - 1]
    return row.state == RESERVED and (row.holder, row.claim) == (place, attempt[1])


def _catch_up(rules: Rules, state: State) -> Steps:
    """Write what was found, in one transaction."""
    if is_lock_stuck(state):
        yield (US, "gives up the write lock"), state._replace(hand=())
    if is_locked(state):
        return
    _, place, outcomes, start, after_id, seen = state.hand
    worker = state.workers[place - 1]
    tasks, recorded = rows.record(rules, state.tasks, place, outcomes)
    if start:
        tasks = rows.begin(tasks, place, start)
    released: tuple[int, ...] = ()
    if seen != NONE:
        if not rules.return_is_checked_in_transaction or worker.slot.begun == seen:
            tasks, released = rows.release(tasks, place, after_id)
        worker = on_desk(worker, limited=NONE, is_visible=False, returned=worker.desk.limited)
    hand = ("commits to", place, outcomes) if outcomes else ()
    after = put(state._replace(tasks=tasks, hand=hand), place, worker)
    yield (US, "catches up for", who(place), recorded, released), after


def _commit_to(rules: Rules, state: State) -> Steps:
    _, place, outcomes = state.hand
    worker = state.workers[place - 1]
    ring = tuple(each for each in worker.slot.ring if each not in outcomes)
    yield (US, "commits to the ring of", who(place)), put(state._replace(hand=()), place, in_slot(worker, ring=ring))


# Taking back


def _forbid(state: State, place: int, worker: Worker) -> Steps:
    """Read BEGUN; `_limit` stores it as LIMIT."""
    seen, desk = worker.slot.begun, worker.desk
    if not state.left.take_back or seen == NONE or desk.limited != NONE or seen == desk.returned:
        return
    if worker.life == ALIVE and seen < len(worker.chunk):
        hand = ("forbids", place, seen)
        yield (US, "begins to take back from", who(place), seen), spend(state._replace(hand=hand), "take_back")


def _limit(rules: Rules, state: State) -> Steps:
    _, place, seen = state.hand
    worker = state.workers[place - 1]
    if seen >= 0 and worker.slot.begun != NONE:
        if worker.slot.limit == NONE or not rules.limit_stands:
            worker = in_slot(worker, limit=seen)
        worker = on_desk(worker, limited=seen, is_visible=False)
    yield (US, "stores LIMIT for", who(place), seen), put(state._replace(hand=()), place, worker)


# Operators' commands


def _obey(state: State) -> Steps:
    """Read which cancels are open; what comes of each is decided later."""
    for number, row in enumerate(state.tasks, 1):
        if row.is_asked:
            yield (US, "reads the command to cancel", number), state._replace(hand=("obeys", 0, number))


def _cancel(rules: Rules, state: State) -> Steps:
    """End the attempt that runs; else cancel what waits; else answer, or leave it open for the next look."""
    number = state.hand[2]
    free = state._replace(hand=())
    for place, worker in enumerate(state.workers, 1):
        if worker.slot.task and worker.slot.task[0] == number:
            yield (US, "finds task running", number), state._replace(hand=("ends", place, *worker.slot.task))
            return
    row = state.tasks[number - 1]
    if not row.is_asked:
        yield (US, "finds the command answered", number), free
    elif row.state in FINISHED:
        yield (US, "answers the command", number), put_task(free, number, row._replace(is_asked=False))
    elif row.state in HELD:
        yield (US, "puts the command off", number), free
    elif not is_locked(state):
        after = row._replace(state=CANCELLED, holder=0, claim=0, is_asked=False)
        yield (US, "cancels", number), put_task(free, number, after)
    elif is_lock_stuck(state):
        yield (US, "gives up the write lock"), free


def _end(rules: Rules, state: State) -> Steps:
    _, place, number, claim = state.hand
    free, row = state._replace(hand=()), state.tasks[number - 1]
    if rules.cancel_is_asked_again and not row.is_asked:
        yield (US, "finds the command answered", number), free
        return
    if not rules.cancel_waits_for_death and row.state in HELD:
        free = put_task(free, number, row._replace(state=CANCELLED, holder=0, claim=0, is_asked=False))
    worker = end(free.workers[place - 1], ("cancel", number, claim))
    yield (US, "is to cancel on", who(place), number, claim), put(free, place, worker)


_GO_ON = {"catches up": _catch_up, "commits to": _commit_to, "forbids": _limit, "obeys": _cancel, "ends": _end}
