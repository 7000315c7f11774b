"""A worker's death: what it had finished counts, what ran is rescued or given up, the rest goes back to the queue."""

from __future__ import annotations

import time

import pytest

from agent.lifecycle import State
from agent.store.values import CRASH_LIMIT, KILL_LIMIT, Death
from agent.task import NewTask
from tests.conformance.scene import ANN, BOB, LATER, NOON, Scene, failed, start, succeeded, to_retry

every_death = pytest.mark.parametrize("death", Death, ids=lambda death: death.value)
begun_or_not = pytest.mark.parametrize("begun", [False, True], ids=["reserved", "in_progress"])


@every_death
@begun_or_not
def test_the_task_that_ran_has_its_fate_and_its_attempt(scene: Scene, death: Death, begun: bool) -> None:
    claim = scene.claim_one()
    if begun:
        scene.begin(ANN, claim)

    burial = scene.bury(ANN, claim, death, why="signal 11")

    fate = State.CANCELLED if death is Death.CANCELLED else State.QUEUED
    assert (burial.running, burial.fate) == (claim.id, fate)
    assert (burial.recorded, burial.released, burial.rescued) == (0, 0, int(fate is State.QUEUED))
    task = scene.task(claim.id)
    assert (task.state, task.attempt, task.failures, task.error) == (fate, 1, 0, "signal 11")
    assert (task.crashes, task.kills) == (int(death is Death.CRASHED), int(death is Death.KILLED))
    (attempt,) = task.attempts
    assert (attempt.attempt, attempt.worker, attempt.outcome) == (1, ANN, death.value)
    assert (attempt.started_at, attempt.ended_at, attempt.error) == (NOON, scene.now, "signal 11")


@begun_or_not
@pytest.mark.parametrize(
    ("death", "limit"), [(Death.CRASHED, CRASH_LIMIT), (Death.KILLED, KILL_LIMIT)], ids=["crashes", "kills"]
)
def test_a_task_that_ends_its_workers_again_and_again_is_poison(
    scene: Scene, death: Death, limit: int, begun: bool
) -> None:
    (id_,) = scene.add()
    for n in range(1, limit + 1):
        (claim,) = scene.claim(ANN)
        if begun:
            scene.begin(ANN, claim)
        burial = scene.bury(ANN, claim, death)
        assert burial.fate is (State.QUEUED if n < limit else State.FAILED)

    task = scene.task(id_)
    assert (task.state, task.attempt, task.finished_at) == (State.FAILED, limit, scene.now)
    assert "poison" in (task.error or "")
    assert [each.outcome for each in task.attempts] == [death.value] * limit
    assert scene.claim(BOB) == []


def test_crashes_and_kills_count_apart_and_lost_counts_nothing(scene: Scene) -> None:
    (id_,) = scene.add()
    for death in [*[Death.CRASHED] * (CRASH_LIMIT - 1), *[Death.KILLED] * (KILL_LIMIT - 1), *[Death.LOST] * 12]:
        (claim,) = scene.claim(ANN)
        scene.bury(ANN, claim, death)

    task = scene.task(id_)
    assert (task.state, task.crashes, task.kills) == (State.QUEUED, CRASH_LIMIT - 1, KILL_LIMIT - 1)
    assert (task.attempt, task.failures) == (CRASH_LIMIT + KILL_LIMIT + 10, 0)


def test_an_operators_retry_of_poison_starts_the_count_anew(scene: Scene) -> None:
    (id_,) = scene.add()
    for _ in range(CRASH_LIMIT):
        scene.bury(ANN, scene.claim(ANN)[0], Death.CRASHED)
    scene.store.tasks.retry(id_, scene.now)

    assert scene.bury(ANN, scene.claim(ANN)[0], Death.CRASHED).fate is State.QUEUED


def test_a_deaths_three_parts_are_one(scene: Scene) -> None:
    ids = scene.add(6)
    claims = scene.claim(ANN)
    scene.begin(ANN, claims[3])
    outcomes = [succeeded(claims[0]), failed(claims[1]), to_retry(claims[2], LATER)]

    burial = scene.bury(ANN, claims[3], Death.KILLED, outcomes)

    assert (burial.recorded, burial.rescued, burial.released, list(burial.stale)) == (3, 1, 2, [])
    ends = [State.SUCCEEDED, State.FAILED, State.RETRY_SCHEDULED]
    assert scene.states(*ids) == [*ends, State.QUEUED, State.QUEUED, State.QUEUED]
    assert [scene.task(id_).attempt for id_ in ids] == [1, 1, 1, 1, 0, 0]


@every_death
@pytest.mark.parametrize("end", [succeeded, failed], ids=["succeeded", "failed"])
def test_an_outcome_in_the_slot_wins_over_the_death(scene: Scene, death: Death, end: type) -> None:
    claim = scene.claim_one()
    scene.begin(ANN, claim)

    burial = scene.bury(ANN, claim, death, [end(claim)])

    assert (burial.recorded, burial.running, burial.fate, burial.rescued) == (1, None, None, 0)
    task = scene.task(claim.id)
    assert (task.state, task.attempt, task.crashes, task.kills) == (State(end(claim).state), 1, 0, 0)


def test_what_had_been_written_as_begun_is_rescued_when_the_slot_is_lost(scene: Scene) -> None:
    ids = scene.add(3)
    claims = scene.claim(ANN)
    scene.begin(ANN, claims[1])

    burial = scene.bury(ANN, None, why="no slot")

    assert (burial.rescued, burial.released, burial.running, burial.fate) == (1, 2, None, None)
    assert scene.states(*ids) == [State.QUEUED] * 3
    (attempt,) = scene.task(ids[1]).attempts
    assert (attempt.attempt, attempt.outcome, attempt.error, attempt.started_at) == (1, "lost", "no slot", NOON)
    (again, *_) = [each for each in scene.claim(BOB) if each.id == ids[1]]
    assert (again.attempt, again.claims) == (1, 2)


def test_burying_again_does_nothing_more(scene: Scene) -> None:
    scene.birth(ANN)
    scene.add(3)
    claims = scene.claim(ANN)
    scene.bury(ANN, claims[1], Death.CRASHED, [succeeded(claims[0])])
    before = scene.dump()

    burial = scene.bury(ANN, claims[1], Death.CRASHED, [succeeded(claims[0])])

    assert (burial.released, burial.rescued, burial.fate, list(burial.stale)) == (0, 0, None, [])
    assert scene.dump() == before


def test_only_the_dead_workers_tasks_are_touched(scene: Scene) -> None:
    scene.add(4)
    scene.claim(ANN, size=2)
    bobs = scene.claim(BOB)
    scene.begin(BOB, bobs[0])

    scene.bury(ANN)

    assert scene.states(*[each.id for each in bobs]) == [State.IN_PROGRESS, State.RESERVED]


def test_workers_are_known_from_birth_to_burial(scene: Scene) -> None:
    scene.birth(ANN)
    scene.now += 10
    scene.birth(BOB)
    scene.store.custody.set_worker(ANN, "idle", scene.now)
    scene.store.oversight.observe(scene.now + 5, "{}", "{}", [], [], {ANN: 4096, 99: 1})

    ann, bob = scene.store.custody.workers()
    assert (ann.id, ann.state, ann.born_at, ann.since, ann.heartbeat_at) == (ANN, "idle", NOON, NOON + 10, NOON + 15)
    assert (ann.identity.boot_id, ann.identity.pid, ann.identity.start_ticks) == ("boot", 1000 + ANN, 5)
    assert (ann.rss_bytes, bob.rss_bytes) == (4096, 0)
    assert (bob.id, bob.state, bob.born_at, bob.heartbeat_at) == (BOB, "starting", NOON + 10, NOON + 10)
    scene.bury(ANN)
    scene.store.custody.set_worker(ANN, "idle", scene.now)
    assert [each.id for each in scene.store.custody.workers()] == [BOB]


def test_a_birth_that_is_told_again_is_the_same_birth(scene: Scene) -> None:
    """Its COMMIT may have reported an error and stand nevertheless."""
    scene.birth(BOB)
    scene.birth(BOB)
    assert [row.id for row in scene.store.custody.workers()].count(BOB) == 1


def test_owners_that_nobody_knows_are_told_and_can_be_buried(scene: Scene) -> None:
    scene.birth(BOB)
    scene.add(4)
    begun = scene.claim(ANN, size=1)
    scene.begin(ANN, *begun)
    scene.claim(ANN, size=1)
    scene.claim(BOB)

    assert scene.store.custody.unknown_owners() == [ANN]
    burial = scene.bury(ANN)
    assert (burial.rescued, burial.released) == (1, 1)
    assert scene.store.custody.unknown_owners() == []
    scene.bury(BOB, begun[0])
    assert scene.store.custody.unknown_owners() == []


def test_a_hundred_thousand_stale_tasks_are_recovered_in_two_seconds(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    workers, each = 32, 3125
    scene.enqueue(*[NewTask("demo", "{}")] * (workers * each))
    begun = {worker: scene.claim(worker, size=each)[0] for worker in range(1, workers + 1)}
    for worker, claim in begun.items():
        scene.store.custody.catch_up({}, [start(worker, claim)], ())

    began = time.perf_counter()
    owners = scene.store.custody.unknown_owners()
    burials = [scene.bury(worker, begun[worker] if worker % 2 else None) for worker in owners]
    took = time.perf_counter() - began

    with capsys.disabled():
        print(f"\n100,000 stale tasks of {workers} workers were recovered in {took:.2f} s")
    assert (sum(one.released for one in burials), sum(one.rescued for one in burials)) == (99_968, 32)
    assert scene.store.tasks.totals().states[State.QUEUED] == 100_000
    assert took < 2
