"""What a worker does, step by step: workers/worker.py and its side of workers/slot.py."""

from __future__ import annotations

from collections.abc import Callable

from campaign.model import rows
from campaign.model.rules import Rules
from campaign.model.state import (
    ALIVE,
    DEAD,
    FAILED,
    NONE,
    OF_ANOTHER_CHUNK,
    RETRY_SCHEDULED,
    SUCCEEDED,
    Outcome,
    State,
    Steps,
    Worker,
    in_slot,
    is_locked,
    on_desk,
    put,
    put_task,
    spend,
    who,
)


def act(rules: Rules, state: State) -> Steps:
    """What either worker can do next."""
    for place, worker in enumerate(state.workers, 1):
        if worker.life != ALIVE or worker.is_stopped:
            continue
        yield from _NEXT[worker.at](rules, state, place, worker)
        if worker.buffer:
            (word, value), *rest = worker.buffer
            after = in_slot(worker._replace(buffer=tuple(rest)), **{word: value})
            yield (who(place), "lets a store out", word.upper()), put(state, place, after)


def _look_at_hold(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """Before a transaction: between two chunks, or in the midst of one."""
    if state.left.leave and worker.slot.begun == NONE:
        unkept = tuple(outcome for outcome in worker.ended if outcome not in worker.slot.ring)
        yield (who(place), "leaves", unkept), spend(put(state, place, fallen(worker)), "leave")
    has_reason = worker.slot.begun != NONE or worker.ended or worker.gives_back != NONE or rows.line(state.tasks)
    if worker.slot.hold or not has_reason:
        return
    if state.left.freeze or worker.desk.halt:  # it may be held in between
        yield (who(place), "is not held"), put(state, place, worker._replace(at="entering"))
    else:
        yield from _enter(rules, state, place, worker)


def _enter(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    if not is_locked(state):
        after = worker._replace(at="in store")
        after = after if rules.trimmed_after_commit else in_slot(after, ring=())
        yield (who(place), "takes the write lock"), put(state, place, after)


def _commit(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    tasks, recorded = rows.record(rules, state.tasks, place, worker.ended)
    if worker.slot.begun != NONE:
        world = state._replace(tasks=tasks)
        yield (who(place), "records", recorded), put(world, place, worker._replace(at="committed"))
        if state.left.trouble:
            troubled = spend(put(state, place, worker._replace(at="turn")), "trouble")
            yield (who(place), "cannot record"), troubled
            yield (who(place), "records, and is told that it could not", recorded), troubled._replace(tasks=tasks)
        return
    tasks, released = rows.release(tasks, place, worker.gives_back) if worker.gives_back != NONE else (tasks, ())
    queue = rows.line(tasks)
    choices = {queue[:1], queue} - {()} or {()}
    if worker.ended or worker.gives_back != NONE:
        choices = {*choices, ()}  # it may have been told to claim nothing
    for numbers in sorted(choices):
        claimed, chunk = rows.claim(state, tasks, place, numbers)
        world = put(state._replace(tasks=claimed), place, worker._replace(at="committed", chunk=chunk))
        yield (who(place), "exchanges", recorded, released, chunk), world
        if state.left.trouble:
            yield from _trouble(rules, state, world, place, (recorded, released, chunk))


def _trouble(rules: Rules, before: State, after: State, place: int, deeds: tuple[object, ...]) -> Steps:
    """The store says no: before the COMMIT, or after it, when all it did stands."""
    worker, claimed = before.workers[place - 1], after.workers[place - 1]
    troubled = worker._replace(at="turn", gives_back=0 if rules.failed_claim_goes_back else worker.gives_back)
    yield (who(place), "cannot exchange"), spend(put(before, place, troubled), "trouble")
    told = (who(place), "exchanges, and is told that it could not", *deeds)
    yield told, spend(put(after, place, troubled), "trouble")
    if not rules.failed_claim_is_not_run:
        yield (who(place), "cannot exchange, and goes on"), spend(put(before, place, claimed), "trouble")


def _open(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """Forget what is recorded; open the chunk that was claimed, or go on with the one that is open."""
    after = in_slot(worker._replace(ended=()), ring=())
    if worker.slot.begun != NONE:
        after = in_slot(after._replace(at="next"), task=())
        yield (who(place), "goes on"), put(state, place, after)
        return
    after = in_slot(after._replace(gives_back=NONE), task=())
    if worker.chunk:
        after = in_slot(after._replace(at="next"), begun=0, last=0, limit=NONE)
        yield (who(place), "opens its chunk"), put(state, place, after)
    else:
        yield (who(place), "has nothing"), put(state, place, after._replace(at="turn"))


def _point(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """The first store of a beginning: LAST; nothing is named any more. At the end, the chunk is closed."""
    if worker.position == len(worker.chunk):
        yield (who(place), "closes its chunk"), put(_forgetting(state, place), place, _closed(worker, NONE))
        return
    number = worker.chunk[worker.position][0]
    if not (state.left.take_back or worker.slot.limit != NONE or state.hand[:1] == ("forbids",)):
        # Nobody will read BEGUN and LAST: the three stores are one.
        yield from _ask_limit(rules, state, place, in_slot(worker, begun=worker.position + 1, last=number))
        return
    after = in_slot(worker._replace(at="pointed", buffer=_stores(rules, worker)[:1]), task=())
    yield (who(place), "points at task", number), put(state, place, after)


def _begin(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """The second one: BEGUN. The processor may hold either back until others have read the word."""
    after = worker._replace(at="begun", buffer=(*worker.buffer, *_stores(rules, worker)[1:]))
    if not rules.named_after_limit:
        after = in_slot(after, task=worker.chunk[worker.position])
    yield (who(place), "stores BEGUN", worker.position + 1), put(state, place, after)


def _stores(rules: Rules, worker: Worker) -> tuple[tuple[str, int], ...]:
    last, begun = ("last", worker.chunk[worker.position][0]), ("begun", worker.position + 1)
    return (last, begun) if rules.last_before_begun else (begun, last)


def _ask_limit(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    limit = worker.slot.limit
    if rules.limit_is_asked and limit != NONE and limit <= worker.position:
        yield (who(place), "steps back"), put(_forgetting(state, place), place, _closed(worker, worker.position))
        return
    attempt = worker.chunk[worker.position]
    after = worker._replace(at="named", position=worker.position + 1, buffer=(*worker.buffer, ("task", attempt)))
    after = after if worker.buffer else all_out(after)
    yield (who(place), "names task", *attempt), put(state, place, after)


def _start(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    number, claim = worker.chunk[worker.position - 1]
    after = all_out(worker)._replace(at="running")
    world = put_task(state, number, state.tasks[number - 1]._replace(begun=True))
    yield (who(place), "starts the handler", number, claim), put(world, place, after)


def _return(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    number, claim = worker.chunk[worker.position - 1]
    if not rules.published_after_return and not state.tasks[number - 1].kept:
        early = (*worker.slot.ring, (number, claim, SUCCEEDED))
        world = put_task(state, number, state.tasks[number - 1]._replace(kept=True))
        yield (who(place), "publishes", early[-1:]), put(world, place, in_slot(worker, ring=early))
    world = put_task(state, number, state.tasks[number - 1]._replace(returned=True))
    after = worker._replace(at="returned", ended=(*worker.ended, (number, claim, SUCCEEDED)))
    yield (who(place), "ends the handler", number), put(world, place, after)
    if state.left.error:
        for to in (RETRY_SCHEDULED, FAILED):
            after = worker._replace(at="returned", ended=(*worker.ended, (number, claim, to)))
            yield (who(place), "fails in the handler", number, to), spend(put(state, place, after), "error")


def _publish(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    is_last = worker.position == len(worker.chunk)
    kept = worker.ended[-1:]
    if not rules.published_one_by_one:
        kept = worker.ended if is_last else ()
    after = in_slot(worker._replace(at="published"), ring=(*worker.slot.ring, *kept))
    yield (who(place), "publishes", kept), put(_keeping(state, kept), place, after)
    if not state.left.large_result:
        return
    after = worker._replace(at="turn")
    if is_last and not rules.unpublished_is_recorded_at_once:
        state, after = _forgetting(state, place), _closed(worker, NONE)
    yield (who(place), "finds no room in the ring"), spend(put(state, place, after), "large_result")


def _keeping(state: State, outcomes: tuple[Outcome, ...]) -> State:
    for number, *_ in outcomes:
        state = put_task(state, number, state.tasks[number - 1]._replace(kept=True))
    return state


def _go_on(rules: Rules, state: State, place: int, worker: Worker) -> Steps:
    """After an outcome: the next task, a record in between, or the end of the chunk."""
    yield from _point(rules, state, place, worker)
    if worker.position == len(worker.chunk):
        return
    world = _forgetting(state, place)
    yield (who(place), "records in between"), put(state, place, worker._replace(at="turn"))
    yield (who(place), "gives back the rest"), put(world, place, _closed(worker, worker.position))


def _closed(worker: Worker, done: int) -> Worker:
    """After its chunk. `done`: so many have begun, and the rest goes back; NONE: all have."""
    after = worker.chunk[done - 1][0] if done > 0 else done
    worker = worker._replace(at="turn", chunk=(), position=0, gives_back=after, buffer=())
    worker = in_slot(worker, task=(), begun=NONE, limit=NONE, last=0)
    return on_desk(worker, limited=NONE, is_visible=False, returned=NONE)


def _forgetting(state: State, place: int) -> State:
    """A position that the supervisor has just read of a chunk which closes now is of no chunk any more."""
    hand = state.hand
    if hand and hand[1] == place and hand[0] in ("forbids", "catches up"):
        return state._replace(hand=(*hand[:-1], OF_ANOTHER_CHUNK if hand[-1] != NONE else NONE))
    return state


Next = Callable[[Rules, State, int, Worker], Steps]

_NEXT: dict[str, Next] = {
    "turn": _look_at_hold,
    "entering": _enter,
    "in store": _commit,
    "committed": _open,
    "next": _point,
    "pointed": _begin,
    "begun": _ask_limit,
    "named": _start,
    "running": _return,
    "returned": _publish,
    "published": _go_on,
}


def all_out(worker: Worker) -> Worker:
    """The worker, once all that it has stored is to be seen."""
    return in_slot(worker._replace(buffer=()), **dict(worker.buffer)) if worker.buffer else worker


def is_busy(worker: Worker) -> bool:
    """Whether the slot's busy count is up."""
    return worker.life == ALIVE and worker.at in ("in store", "committed")


def fallen(worker: Worker) -> Worker:
    """The worker, dead: its memory is gone, its slot and what the supervisor knows stay."""
    kept = all_out(worker)
    return Worker(
        life=DEAD, has_row=kept.has_row, has_slot=kept.has_slot, is_meddled_with=kept.is_meddled_with,
        slot=kept.slot, desk=kept.desk,
    )  # fmt: skip
