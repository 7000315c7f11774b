"""Handlers that take their worker along, or make two of it; and a drain that has to wait."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.world import World, pass_time, said, switches
from tests.support.processes import family


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """No agent runs yet."""
    world = World(tmp_path_factory.mktemp("hostile"))
    yield world
    world.close()


@pytest.mark.parametrize("by", ["Python", "C"])
@pytest.mark.parametrize("how", ["raise", "return"])
def test_a_child_that_leaves_the_handler_is_no_second_worker(world: World, how: str, by: str) -> None:
    copies = [world.enqueue("copy", {"how": how, "by": by}) for _ in range(5)]
    others = world.client.enqueue_many("mark", [{}] * 200)
    world.start()

    world.reach([*copies, *others], "succeeded")

    assert [len(world.starts(task)) for task in [*copies, *others]] == [1] * 205
    assert {effect.pid for effect in world.effects()} <= set(world.workers())
    assert not world.events("task.failed")
    assert not world.events("task.stale_outcome")


def test_a_worker_that_can_no_longer_write_is_replaced_and_its_outcome_kept(world: World) -> None:
    world.configure(bulk__max_concurrent=1)
    cut_off = world.enqueue("cut off")
    after = world.enqueue("mark")
    world.start()

    world.reach([cut_off, after], "succeeded")

    assert world.event("worker.killed")["why"] == "it can no longer use the database"
    assert world.client.inspect(cut_off)["attempt"] == 1


@pytest.mark.parametrize("says", ["{]", "{}", "\0", '{"op": "counts", "counts": 7}', "[" * 9000])
def test_a_worker_that_speaks_nonsense_is_replaced(world: World, says: str) -> None:
    world.configure(bulk__max_concurrent=1)
    world.start()
    babble = world.enqueue("babble", {"says": says})
    world.reach(babble, "succeeded")
    pid = world.starts(babble)[0].pid
    world.idle(1)

    after = world.enqueue("mark")

    world.reach(after, "succeeded")
    assert world.starts(after)[0].pid != pid


def test_a_descriptor_of_ours_that_leads_elsewhere_is_never_written_through(world: World) -> None:
    world.configure(bulk__max_concurrent=1)
    world.start()
    task = world.enqueue("lay over")
    world.reach(task, "succeeded")

    after = [world.enqueue("mark") for _ in range(20)]
    world.reach(after, "succeeded")

    assert "descriptors" in world.event("worker.recycled")["why"]
    assert (world.directory / "precious").read_bytes() == b"precious" * 100_000
    assert [world.client.inspect(each)["attempt"] for each in [task, *after]] == [1] * 21
    assert not world.events("store.degraded")


def test_what_a_handler_changes_in_its_process_is_put_back_before_the_next_chunk(world: World) -> None:
    world.configure(bulk__max_concurrent=1)
    agent = world.start()
    before = world.enqueue("settled")
    found = world.reach(before, "succeeded")["result"]

    unsettle = world.enqueue("unsettle", {"what": "surroundings"})
    after = [world.enqueue("settled") for _ in range(3)]

    assert world.reach([unsettle, *after], "succeeded")["result"] == found
    assert {world.starts(each)[0].pid for each in [before, unsettle, *after]} == {world.starts(before)[0].pid}
    assert [world.client.inspect(each)["attempt"] for each in after] == [1] * 3
    said(agent, f"[task {after[-1]}] all is well")


@pytest.mark.parametrize("what", ["streams", "descriptors", "threads"])
def test_a_worker_in_which_that_cannot_be_put_back_is_replaced(world: World, what: str) -> None:
    world.configure(bulk__max_concurrent=1)
    agent = world.start()
    unsettle = world.enqueue("unsettle", {"what": what})
    world.reach(unsettle, "succeeded")
    world.event("worker.recycled", pid=world.starts(unsettle)[0].pid)

    after = world.enqueue("settled")

    world.reach(after, "succeeded")
    assert world.starts(after)[0].pid != world.starts(unsettle)[0].pid
    assert [world.client.inspect(each)["attempt"] for each in (unsettle, after)] == [1, 1]
    said(agent, f"[task {after}] all is well")


def test_a_thread_that_keeps_its_worker_from_giving_back_the_write_lock_costs_only_this_worker(world: World) -> None:
    world.start()
    greedy = world.enqueue("unsettle", {"what": "greedy thread"})
    world.reach(greedy, "succeeded")

    after = [world.enqueue("mark") for _ in range(20)]
    while not world.events("worker.killed"):  # until that worker has written once more, under the thread's eyes
        after.append(world.enqueue("mark"))

    world.reach(after, "succeeded")
    assert world.event("worker.killed")["pid"] == world.starts(greedy)[0].pid
    assert {world.client.inspect(each)["attempt"] for each in (greedy, *after)} == {1}


def test_a_worker_that_cannot_wake_keeps_no_task_waiting(world: World) -> None:
    world.start()
    asleep = world.enqueue("unsettle", {"what": "thread that holds on"})
    world.reach(asleep, "succeeded")
    pass_time(0.3)

    for _ in range(5):
        world.reach(world.enqueue("mark"), "succeeded")


def test_a_result_too_large_for_the_slot_is_kept_though_its_worker_has_to_go(world: World) -> None:
    world.configure(bulk__max_concurrent=1)
    world.start()
    task = world.enqueue("unsettle", {"what": "streams", "kilobytes": 200})

    record = world.reach(task, "succeeded")

    assert (len(world.starts(task)), record["attempt"]) == (1, 1)
    world.event("worker.recycled", pid=world.starts(task)[0].pid)


def test_a_drain_that_waits_is_quiet_though_a_type_has_no_handler(world: World) -> None:
    world.enqueue("nobody's")
    later = world.enqueue("mark", delay=4)
    agent = world.start("--drain")
    world.idle(2)
    everybody = {agent.pid, *family(agent.pid)}

    before, began = switches(everybody), time.monotonic()
    pass_time(1.5)
    rate = (switches(everybody) - before) / (time.monotonic() - began)

    assert rate < 60
    assert agent.wait() == 0
    assert world.state(later) == "succeeded"
