"""Many processes and threads at one store: each task is claimed once, and a fork or a kill loses nothing."""

from __future__ import annotations

import os
import threading
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from agent.errors import Unavailable
from agent.lifecycle import State
from agent.task import NewTask
from tests.conformance.peers import start_peer
from tests.conformance.scene import ANN, NOON, Scene, succeeded

ROUNDS = 20


def in_a_child(
    do: Callable[[], object], meanwhile: Callable[[], object] = lambda: None, waits: bool = True
) -> int:
    """The exit code of a forked child that does it: 0 when it was done. `meanwhile`: what the parent does, before that
    when the child `waits`."""
    wait, go = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads run is the point of it
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(go)
            if waits:
                os.read(wait, 1)
            do()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(wait)
    meanwhile()
    os.close(go)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_four_processes_claim_and_record_every_task_once(scene: Scene) -> None:
    ids: list[int] = []
    for _ in range(20):
        ids += [each.id for each in scene.enqueue(*[NewTask("demo", "{}")] * 1000)]

    peers = [start_peer("drain", scene.backend, scene.place) for _ in range(4)]
    claimed = [[int(line) for line in peer.communicate()[0].split()] for peer in peers]

    assert [peer.returncode for peer in peers] == [0] * 4
    assert sorted(id_ for each in claimed for id_ in each) == ids
    assert scene.store.tasks.totals().states[State.SUCCEEDED] == 20_000
    tasks = scene.store.tasks.list(None, None, 20_000)
    assert {(task.claims, task.attempt) for task in tasks} == {(1, 1)}
    assert len({task.worker for task in tasks}) == sum(bool(each) for each in claimed)


def test_a_forked_child_goes_on_with_its_parents_store_and_loses_nothing(scene: Scene) -> None:
    for n in range(ROUNDS):
        scene.add(payload=f'{{"parent":{n}}}')
        assert in_a_child(lambda n=n: scene.add(payload=f'{{"child":{n}}}')) == 0
        assert len(scene.store.tasks.list(None, None, 1000)) == 2 * n + 2

    payloads = {task.payload for task in scene.store.tasks.list(None, None, 1000)}
    assert payloads == {f'{{"{who}":{n}}}' for who in ("parent", "child") for n in range(ROUNDS)}


def test_what_a_child_writes_is_kept_though_its_parent_has_closed_the_store_since(scene: Scene) -> None:
    for n in range(ROUNDS):
        scene.add()
        assert in_a_child(scene.add, meanwhile=scene.store.close) == 0
        assert scene.store.tasks.totals().states[State.QUEUED] == 2 * n + 2


def test_what_a_child_writes_is_kept_when_its_parent_closes_the_store_between_its_writes(scene: Scene) -> None:
    """As when a server forks workers that ask, and whoever had the store open longest is the first to close it."""
    written, wrote = os.pipe()
    closed, close = os.pipe()

    def write_twice() -> None:
        scene.add()
        os.write(wrote, b"x")
        os.read(closed, 1)
        scene.add()

    def close_between() -> None:
        os.read(written, 1)
        scene.store.close()
        os.write(close, b"x")

    for n in range(3):
        scene.add()
        assert in_a_child(write_twice, meanwhile=close_between, waits=False) == 0
        assert scene.store.tasks.totals().states[State.QUEUED] == 3 * n + 3
    for descriptor in (written, wrote, closed, close):
        os.close(descriptor)


def test_a_child_may_go_on_with_a_store_that_its_parent_had_closed(scene: Scene) -> None:
    scene.add()
    scene.store.close()

    assert in_a_child(scene.add) == 0
    assert scene.store.tasks.totals().states[State.QUEUED] == 2


def test_a_child_forked_in_the_midst_of_another_threads_write_sees_nothing_of_it(scene: Scene) -> None:
    claim = scene.claim_one()
    inside, child_has_read = threading.Event(), threading.Event()

    def write() -> None:
        from agent.store.values import Return

        def still() -> bool:
            inside.set()
            return child_has_read.wait(10)

        scene.store.custody.catch_up({ANN: [succeeded(claim)]}, (), [Return(ANN, 0, still)])

    def look() -> None:
        with suppress(Unavailable):  # a store may refuse, rather than have the child see what is half done
            assert scene.task(claim.id).state is State.RESERVED

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(10)
    code = in_a_child(look)
    child_has_read.set()
    thread.join()

    assert code == 0
    assert scene.states(claim.id) == [State.SUCCEEDED]
    assert in_a_child(scene.add) == 0


def test_a_process_killed_inside_a_write_has_written_nothing_and_holds_nobody_up(scene: Scene) -> None:
    claim = scene.claim_one()
    for _ in range(3):
        peer = start_peer("stall", scene.backend, scene.place)
        assert peer.stdout
        assert peer.stdout.readline() == "inside\n"
        peer.kill()
        peer.communicate()

        assert scene.states(claim.id) == [State.RESERVED]
        scene.add()
    assert scene.record(ANN, succeeded(claim)).stale == []


def test_threads_share_a_store(scene: Scene) -> None:
    keys = [f"key {n}" for n in range(40)]

    def ask(n: int) -> list[int]:
        ids = [scene.store.tasks.enqueue([NewTask("demo", "{}", key=key)], NOON)[0].id for key in keys]
        assert [scene.store.tasks.find(id_).key for id_ in ids] == keys
        assert scene.store.tasks.totals().states[State.QUEUED] <= len(keys)
        return ids

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == len(keys)
