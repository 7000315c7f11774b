"""Random histories: whatever is done in whatever order, the store and a model of it agree at every step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.clock import SECOND
from agent.errors import Conflict, IdempotencyConflict
from agent.lifecycle import FINISHED, HELD, UNFINISHED, State
from agent.store.values import Death
from agent.task import Claimed, NewTask, Outcome, Task
from tests.conformance.backends import Backend
from tests.conformance.model import Model, Refused, face_of
from tests.conformance.scene import ANN, BOB, CAT, Scene, failed, start, succeeded, to_retry

EXAMPLES, STEPS = 24, 40

workers = st.sampled_from([ANN, BOB, CAT])
types = st.sampled_from(["a", "a", "b"])
limitations = st.sampled_from([{}, {}, {"a": 2}, {"a": 2, "b": 1}, {"a": 1}])
deaths = st.sampled_from([Death.CRASHED, Death.CRASHED, Death.KILLED, Death.LOST, Death.CANCELLED])
impostors = st.sampled_from([None, None, None, ANN, BOB])  # in whose name an outcome is told, if not in the right one
pick = st.integers(0, 2**16)  # which of what there is, modulo how many
ends = st.sampled_from([State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.RETRY_SCHEDULED])
new_tasks = st.builds(
    lambda type, payload, key, priority, delay: (NewTask(type, payload, key, priority), delay),
    types,
    st.sampled_from(["{}", "{}", "{}", "{}", '{"x":1}']),
    st.sampled_from([None, None, "k1", "k1", "k2"]),
    st.sampled_from([0, 0, 0, 1, -1]),
    st.sampled_from([0, 0, 0, 5, 50]),
)


class History(RuleBasedStateMachine):
    """One store and its model, driven by the same verbs."""

    backend: Backend

    def __init__(self) -> None:
        super().__init__()
        self._place = tempfile.TemporaryDirectory()
        self.scene = Scene(self.backend, Path(self._place.name))
        self.store = self.scene.store
        self.store.claims(ANN).kinds(["a", "b"])
        self.model = Model()
        self.claimed: list[tuple[int, str, Claimed]] = []  # every claim ever made: worker, type, task
        self.highest = 0
        self.succeeded_by_key: dict[str, int] = {}
        self.finished: dict[int, State] = {}
        self.retried: int | None = None

    def teardown(self) -> None:
        self.scene.close()
        self._place.cleanup()

    # -- What may happen

    @initialize(batch=st.lists(new_tasks, min_size=8, max_size=8, unique_by=lambda new: new[0].key or id(new)))
    def begin_with_work_for_all(self, batch: list[tuple[NewTask, int]]) -> None:
        self.enqueue(batch)
        for worker, size in ((ANN, 3), (BOB, 2), (CAT, 1)):
            self.claim(worker, "ab", size, {}, batch)

    @rule(batch=st.lists(new_tasks, min_size=1, max_size=4))
    def enqueue(self, batch: list[tuple[NewTask, int]]) -> None:
        now = self.scene.now
        new = [
            each if not delay else NewTask(each.type, each.payload, each.key, each.priority, now + delay * SECOND)
            for each, delay in batch
        ]
        try:
            expected = self.model.enqueue(new, now)
        except Refused:
            with pytest.raises(IdempotencyConflict):
                self.scene.enqueue(*new)
            return
        stored: dict[int, int] = {}
        for answer, got in zip(expected, self.scene.enqueue(*new), strict=True):
            if not isinstance(answer, NewTask):
                assert got == answer
            elif id(answer) in stored:
                assert (got.id, got.existing) == (stored[id(answer)], True)
            else:
                assert got.id > self.highest, "an id was used twice"
                assert not got.existing
                self.highest = stored[id(answer)] = got.id
                self.model.store(got.id, answer, now)

    @rule(
        worker=workers,
        kinds=st.sampled_from(["a", "b", "ab", "ab"]),
        size=st.integers(1, 4),
        limits=limitations,
        more=st.lists(new_tasks, min_size=2, max_size=4),
    )
    def claim(
        self, worker: int, kinds: str, size: int, limits: dict[str, int], more: list[tuple[NewTask, int]]
    ) -> None:
        if not self.model.queued():  # hypothesis leaves some rules out of a history, and this one should find work
            self.enqueue(more)
        limits = {name: limit for name, limit in limits.items() if name in kinds}
        got = self.scene.claim(worker, *kinds, size=size, limits=limits)
        assert got == self.model.claim(worker, tuple(kinds), size, limits)
        self.claimed += [(worker, self.model.tasks[each.id].new.type, each) for each in got]

    @precondition(lambda self: self.claimed)
    @rule(
        which=st.lists(pick, min_size=1, max_size=6),
        end=st.lists(ends, min_size=6, max_size=6),
        by=st.booleans(),
        impostor=impostors,
    )
    def record(self, which: list[int], end: list[State], by: bool, impostor: int | None) -> None:
        worker, kind, _ = self._recent(which[0])
        claims = [self._recent(n) for n in which]
        ours = {each.id: each for who, name, each in claims if (who, name) == (worker, kind)}
        outcomes = [self._outcome(each, state) for each, state in zip(ours.values(), end, strict=False)]
        worker = impostor or worker
        if by:
            stale = self.scene.record(worker, *outcomes, type=kind).stale
        else:
            stale = self.scene.catch_up(worker, *outcomes).stale
        assert set(stale) == {outcome for outcome in outcomes if self.model.record(worker, outcome)}

    @rule(worker=workers, which=pick, by=st.booleans())
    def release(self, worker: int, which: int, by: bool) -> None:
        after = which % (self.highest + 1)
        back = self.model.release(worker, after)
        if by:
            self.scene.record(worker, after=after)
        else:
            assert self.scene.take_back(worker, after) == back

    @precondition(lambda self: self.claimed)
    @rule(which=pick)
    def begin(self, which: int) -> None:
        worker, _, claim = self._recent(which)
        self.scene.begin(worker, claim)
        self.model.begin(start(worker, claim))

    @precondition(lambda self: self.claimed)
    @rule(which=pick, death=deaths, is_known=st.booleans(), ended=st.lists(ends, max_size=2))
    def bury(self, which: int, death: Death, is_known: bool, ended: list[State]) -> None:
        worker, _, claim = self._recent(which)
        others = [each for who, _, each in self.claimed[-6:] if who == worker]
        outcomes = [self._outcome(each, state) for each, state in zip(others, ended, strict=False)]
        burial = self.scene.bury(worker, claim if is_known else None, death, outcomes)
        assert list(burial.stale) == [outcome for outcome in outcomes if self.model.record(worker, outcome)]
        running = start(worker, claim) if is_known else None
        assert burial.fate == self.model.bury(worker, running, death)

    @rule(seconds=st.sampled_from([0, 3, 6, 60]))
    def promote(self, seconds: int) -> None:
        promoted, _ = self.scene.promote(seconds)
        assert promoted == self.model.promote(self.scene.now)

    @precondition(lambda self: self.model.tasks)
    @rule(which=pick)
    def cancel(self, which: int) -> None:
        id_ = self._any(which)
        try:
            expected = self.model.cancel(id_)
        except Refused:
            with pytest.raises(Conflict):
                self.store.tasks.cancel(id_, self.scene.now)
        else:
            assert self.store.tasks.cancel(id_, self.scene.now) is expected

    @precondition(lambda self: self.model.tasks)
    @rule(which=pick)
    def retry(self, which: int) -> None:
        id_ = self._any(which)
        try:
            self.model.retry(id_, self.scene.now)
            self.retried = id_
        except Refused:
            with pytest.raises(Conflict):
                self.store.tasks.retry(id_, self.scene.now)
        else:
            self.store.tasks.retry(id_, self.scene.now)

    @rule(hours=st.sampled_from([0, 2]))
    def prune(self, hours: int) -> None:
        self.scene.now += hours * 3600 * SECOND
        self.store.upkeep.prune_tasks(self.scene.now - 10 * SECOND, self.scene.now)
        left = {task.id for task in self._stored()}
        for id_ in set(self.model.tasks) - left:
            self.model.delete(id_)
            self.finished.pop(id_, None)

    # -- What must hold

    @invariant()
    def counts_are_those_of_the_rows(self) -> None:
        self.scene.check_counts()

    @invariant()
    def the_store_is_as_the_model_and_keeps_its_promises(self) -> None:
        stored = self._stored()
        assert [face_of(task) for task in stored] == self.model.faces()
        self._a_key_succeeds_once(stored)
        self._what_is_finished_stays_so_but_for_an_operators_retry(stored)

    def _a_key_succeeds_once(self, stored: list[Task]) -> None:
        alive = [task.key for task in stored if task.key is not None and task.state in UNFINISHED | {State.SUCCEEDED}]
        assert len(alive) == len(set(alive))
        for task in stored:
            if task.state is State.SUCCEEDED and task.key is not None:
                assert self.succeeded_by_key.setdefault(task.key, task.id) == task.id

    def _what_is_finished_stays_so_but_for_an_operators_retry(self, stored: list[Task]) -> None:
        now = {task.id: task.state for task in stored}
        for id_, state in self.finished.items():
            assert now[id_] is state or id_ == self.retried
        self.finished = {id_: state for id_, state in now.items() if state in FINISHED}
        self.retried = None

    # --

    def _stored(self) -> list[Task]:
        return self.store.tasks.list(None, None, 10_000)

    def _any(self, which: int) -> int:
        ids = sorted(self.model.tasks)
        return ids[which % len(ids)]

    def _recent(self, which: int) -> tuple[int, str, Claimed]:
        """A claim: mostly one of the last, held still; now and then one whose task has been claimed anew since."""
        held = {task.id: task.claims for task in self.model.tasks.values() if task.state in HELD}
        overtaken = [each for each in self.claimed if held.get(each[2].id, each[2].claims) != each[2].claims]
        among = overtaken if which % 4 == 0 and overtaken else self.claimed[-8:]
        return among[which // 4 % len(among)]

    def _outcome(self, claim: Claimed, state: State) -> Outcome:
        now: Any = {"started_at": self.scene.now, "ended_at": self.scene.now}
        if state is State.SUCCEEDED:
            return succeeded(claim, f'{{"claims":{claim.claims}}}')._replace(**now)
        if state is State.FAILED:
            return failed(claim)._replace(**now)
        return to_retry(claim, self.scene.now + 5 * SECOND)._replace(**now)


def test_the_store_agrees_with_the_model_at_every_step_of_any_history(backend: Backend) -> None:
    machine = type("History", (History,), {"backend": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
