"""A store with the time, the workers and the verbs of a test: what most statements of the suite are written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import SECOND
from agent.host import Identity
from agent.lifecycle import UNFINISHED, State
from agent.store.values import Admission, Burial, CaughtUp, Chunk, Death, Return, Standing
from agent.task import Claimed, Enqueued, NewTask, Outcome, Start, Task
from tests.conformance.backends import Backend

ANN, BOB, CAT = 11, 22, 33  # workers
NOON = 1_800_000_000 * SECOND
LATER = NOON + 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Placed:
    """A task that was led into some state, with the last claim there was on it, ANN's."""

    id: int
    claim: Claimed


class Scene:
    """One store of a backend; `now` moves only when a test moves it."""

    def __init__(self, backend: Backend, place: Path) -> None:
        self.backend = backend
        self.place = place
        self.store = backend.open(place)
        self.now = NOON

    def close(self) -> None:
        """What every test ends with: the counts are those of the rows."""
        self.check_counts()
        self.store.close()

    def check_counts(self) -> None:
        """Whatever is counted equals what the rows tell."""
        rows = self.backend.census(self.place)
        totals = self.store.tasks.totals()
        assert {(name, state): n for name, of in totals.types.items() for state, n in of.items() if n} == rows
        assert totals.states == {state: sum(rows[at] for at in rows if at[1] is state) for state in State}
        handled = {name for name, is_handled in self.store.tasks.types().items() if is_handled}
        unfinished = sum(n for (name, state), n in rows.items() if state in UNFINISHED and name in handled)
        assert self.store.custody.unfinished() == unfinished
        queued = {name: n for (name, state), n in rows.items() if state is State.QUEUED}
        assert self.store.custody.waiting().queued == queued

    def dump(self) -> Any:
        """All that is kept of tasks."""
        return self.backend.dump(self.place)

    # -- Callers

    def enqueue(self, *new: NewTask, max_queued: int = 0) -> list[Enqueued]:
        """Enqueue as given."""
        return self.store.tasks.enqueue(new, self.now, max_queued)

    def add(self, n: int = 1, type: str = "demo", **fields: Any) -> list[int]:
        """The ids of `n` new tasks with an empty payload."""
        return [each.id for each in self.enqueue(*[NewTask(type, fields.pop("payload", "{}"), **fields)] * n)]

    def task(self, id_: int) -> Task:
        """A task as it stands."""
        return self.store.tasks.find(id_)

    def states(self, *ids: int) -> list[State]:
        """Where tasks stand."""
        return [self.task(id_).state for id_ in ids]

    # -- Workers

    def admission(self, *types: str, size: int = 256, limits: dict[str, int] | None = None) -> Admission:
        """What the standing orders allow now, for the types named or all."""
        numbers = self.store.claims(ANN).kinds(types or tuple(self.store.tasks.types()))
        by_kind = {numbers[name]: limit for name, limit in (limits or {}).items()}
        version = self.store.oversight.standing().version
        return Admission(version, frozenset(numbers.values()), lambda kind, queued: size, by_kind)

    def claim(
        self, worker: int, *types: str, size: int = 256, limits: dict[str, int] | None = None
    ) -> list[Claimed]:
        """A worker's next chunk."""
        admission = self.admission(*types, size=size, limits=limits)
        return [Claimed(*each) for each in self.store.claims(worker).exchange(0, (), None, admission).tasks]

    def claim_one(self, worker: int = ANN, **fields: Any) -> Claimed:
        """A new task, claimed."""
        (id_,) = self.add(**fields)
        (claim,) = self.claim(worker, fields.get("type", "demo"), size=1)
        assert claim.id == id_, "another task was ahead of it"
        return claim

    def record(self, worker: int, *outcomes: Outcome, type: str = "demo", after: int | None = None) -> Chunk:
        """A worker records what has ended, gives back what is above `after`, and claims nothing."""
        claims = self.store.claims(worker)
        return claims.exchange(claims.kinds([type])[type], outcomes, after, None)

    def fail_until_due(self, claim: Claimed, worker: int = ANN) -> None:
        """The attempt of a claim failed, and is due again a minute later."""
        assert not self.record(worker, to_retry(claim, self.now + 60 * SECOND)).stale

    # -- The supervisor

    def begin(self, worker: int, *claims: Claimed) -> None:
        """Write that handlers have begun."""
        self.store.custody.catch_up({}, [start(worker, claim) for claim in claims], ())

    def catch_up(self, worker: int, *outcomes: Outcome) -> CaughtUp:
        """Record for a worker."""
        return self.store.custody.catch_up({worker: outcomes}, (), ())

    def take_back(self, worker: int, after: int, still: bool = True) -> int:
        """Take back from a worker what is above `after`; how many."""
        return self.store.custody.catch_up({}, (), [Return(worker, after, lambda: still)]).released

    def bury(
        self,
        worker: int,
        running: Claimed | None = None,
        death: Death = Death.LOST,
        outcomes: Sequence[Outcome] = (),
        why: str = "it is gone",
    ) -> Burial:
        """Bury a worker in whose hands `running` was."""
        begun = None if running is None else start(worker, running)
        return self.store.custody.bury(worker, outcomes, begun, death, why, self.now)

    def birth(self, worker: int) -> None:
        """A worker is born."""
        self.store.custody.add_worker(worker, Identity("boot", 1, 1000 + worker, 5), self.now)

    def admit(self, limit: int | None = None, **paused: int | None) -> int:
        """Give standing orders; their version."""
        return self.store.oversight.admit(Standing(0, limit, None, paused)).version

    def promote(self, after: float = 0) -> tuple[int, int | None]:
        """Let seconds pass and queue what is due."""
        self.now += round(after * SECOND)
        return self.store.custody.promote(self.now)

    # -- Whole stories

    def placed(self, state: State, type: str = "demo", **fields: Any) -> Placed:
        """A task in a state, with the last claim on it: it fits in everything but, where it does, the state."""
        if state is State.SCHEDULED:
            (id_,) = self.add(type=type, due_at=LATER, **fields)
            return Placed(id_, Claimed(id_, 0, 0, 0, "{}", None, None, None))
        claim = self.claim_one(type=type, **fields)
        if state is State.IN_PROGRESS:
            self.begin(ANN, claim)
        elif state is State.SUCCEEDED:
            self.record(ANN, succeeded(claim), type=type)
        elif state is State.FAILED:
            self.record(ANN, failed(claim), type=type)
        elif state is State.QUEUED:
            self.record(ANN, to_retry(claim, self.now), type=type)
            self.promote()
        elif state is not State.RESERVED:
            self.record(ANN, to_retry(claim, self.now + 60 * SECOND), type=type)
            if state is State.CANCELLED:
                assert self.store.tasks.cancel(claim.id, self.now)
        assert self.states(claim.id) == [state]
        return Placed(claim.id, claim)


PLACING_ORDER = sorted(State, key=lambda state: state is State.QUEUED)  # a queued task would be claimed for the next


def start(worker: int, claim: Claimed, started_at: int = NOON) -> Start:
    """The start of a claim's attempt."""
    return Start(worker, claim.id, claim.claims, claim.attempt + 1, started_at)


def succeeded(claim: Claimed, result: str = '{"done":true}') -> Outcome:
    """The attempt of a claim succeeded."""
    return _outcome(claim, State.SUCCEEDED, result=result)


def failed(claim: Claimed, error: str = "it broke") -> Outcome:
    """The attempt of a claim failed, and none is to follow."""
    return _outcome(claim, State.FAILED, error=error)


def to_retry(claim: Claimed, due_at: int, error: str = "it broke") -> Outcome:
    """The attempt of a claim failed, and another is to follow."""
    return _outcome(claim, State.RETRY_SCHEDULED, due_at=due_at, error=error)


def _outcome(
    claim: Claimed, state: State, due_at: int | None = None, result: str | None = None, error: str | None = None
) -> Outcome:
    word = "succeeded" if state is State.SUCCEEDED else "failed"
    trace = None if error is None else f"Traceback …\n{error}"
    return Outcome(
        claim.id, claim.claims, claim.attempt + 1, state, NOON, NOON + SECOND, due_at, result, error, trace, word
    )
