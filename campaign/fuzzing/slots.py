"""What a dead worker leaves: slot files, of which any byte may be another by the time somebody reads them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agent.client import Client
from agent.clock import Clock
from agent.host import Identity
from agent.new_tasks import new_task
from agent.store.values import Admission
from agent.task import Outcome, new_worker_id
from campaign.fuzzing.door import Door, Watcher, check
from workers.recovery import recover
from workers.slot import FILE_BYTES, HEADER_BYTES, LIMIT, RECORDED, SLOT_BYTES, Slot

TASKS = 3
TYPE = "slot"
BEGUN_AT = 1_700_000_000_000_000  # wall time, µs


MISCOUNTED = """
SELECT count(*) FROM counts WHERE n <> (
  SELECT count(*) FROM task WHERE counts.type = task.type AND iif(task.state = 5, 4, task.state) = counts.state)
"""


class Damage(NamedTuple):
    """What is done to a file: how, where and with what."""

    kind: str
    at: int
    number: int


_WORDS = st.one_of(st.integers(0, 16), st.integers(0, RECORDED))
_NUMBERS = st.one_of(
    st.sampled_from((0, 1, -1, 7, 8, 16, SLOT_BYTES, 2**31, 2**62, 2**63 - 1, -(2**63))),
    st.integers(-(2**63), 2**63 - 1),
)  # fmt: skip


def _damage(kind: str, at: SearchStrategy[int], number: SearchStrategy[int]) -> SearchStrategy[Damage]:
    return st.builds(Damage, st.just(kind), at, number)


_BITS = st.integers(0, 7)
_GONE = ("no file", "directory", "full directory", "link", "pipe")
DAMAGES = st.lists(
    st.one_of(
        _damage("word", _WORDS, _NUMBERS),
        _damage("bit", st.integers(0, RECORDED * 8 + 63), _BITS),
        _damage("bit", st.integers(HEADER_BYTES, HEADER_BYTES + 700), _BITS),
        _damage("bit", st.integers(0, FILE_BYTES - 1), _BITS),
        _damage("zeros", st.sampled_from((0, HEADER_BYTES, 8 * LIMIT)), st.sampled_from((512, 4096, SLOT_BYTES))),
        _damage("noise", st.sampled_from((24, HEADER_BYTES, HEADER_BYTES + 100)), st.integers(0, 999)),
        _damage("length", st.sampled_from((0, 1, HEADER_BYTES, FILE_BYTES - 1, FILE_BYTES + 1)), st.just(0)),
        st.builds(Damage, st.sampled_from(_GONE), st.just(0), st.just(0)),
    ),
    max_size=3,
)


class Slots:
    """A worker has died, and its slot was damaged since: its tasks are put in order all the same."""

    def __init__(self, client: Client, watcher: Watcher) -> None:
        self._client = client
        self._watcher = watcher
        self._store = client.store
        (self._kind,) = self._store.claims(1).kinds([TYPE]).values()
        self._store.slots_directory.mkdir(exist_ok=True)

    def door(self) -> Door:
        """The door."""
        cases = st.tuples(st.integers(0, TASKS), st.booleans(), DAMAGES)
        return Door("slots of the dead", 400, cases, self._attack)

    def _attack(self, case: tuple[int, bool, list[Damage]]) -> None:
        ended, runs, damages = case
        worker = new_worker_id()
        tasks = self._claimed(worker)
        path = self._store.slots_directory / f"{worker:016x}"
        begun = min(TASKS, ended + runs)
        published = self._written(path, worker, tasks, ended, begun)
        for damage in damages:
            inflict(path, damage)
        recover(self._store, Clock(), 4.0)
        with suppress(IsADirectoryError, NotADirectoryError):
            check(damages != [] or not path.exists(), "its slot is kept")
        self._check_tasks(tasks, published, begun > ended, not damages)

    def _claimed(self, worker: int) -> list[Any]:
        requests = [new_task(TYPE, "{}", 1) for _ in range(TASKS)]
        self._store.tasks.enqueue(requests, 1, 0)
        version = self._store.oversight.standing().version
        admission = Admission(version, frozenset({self._kind}), lambda _kind, _queued: TASKS)
        self._store.custody.add_worker(worker, Identity("another boot", 1, 1, 1), 1)
        return list(self._store.claims(worker).exchange(self._kind, [], None, admission).tasks)

    def _written(self, path: Path, worker: int, tasks: list[Any], ended: int, begun: int) -> dict[int, str]:
        slot = Slot.create(path, worker)
        slot.open_chunk(1, TASKS)
        published = {}
        for position, (task, claims, attempt, *_) in enumerate(tasks[:begun], 1):
            slot.begin(position, task, claims, attempt + 1, 5, BEGUN_AT, 0)
            if position <= ended:
                published[task] = json.dumps({"of": task})
                outcome = Outcome(
                    task, claims, attempt + 1, 6, BEGUN_AT, BEGUN_AT + 1, None, published[task], None, None, "succeeded"
                )
                slot.publish(msgspec.json.encode(outcome))
        slot.close()
        return published

    def _check_tasks(self, tasks: list[Any], published: dict[int, str], runs: bool, is_whole: bool) -> None:
        for task, *_ in tasks:
            record = self._client.inspect(task)
            state, result = record["state"], record["result"]
            check(state in ("queued", "succeeded"), f"task {task} is {state}")
            check(
                state == "queued" or json.dumps(result) == published.get(task), f"task {task} has the result {result!r}"
            )
            check(not is_whole or (state == "succeeded") == (task in published), f"task {task} is {state}")
            check(0 <= record["attempt"] <= 1, f"task {task} counts {record['attempt']} attempts")
        check(not self._store.custody.workers(), "the dead worker is still in the table")
        lost = sum(len(self._client.inspect(task)["attempts"]) for task, *_ in tasks if task not in published)
        check(not is_whole or lost == runs, f"{lost} attempts are kept as lost")
        check(not self._watcher.one(MISCOUNTED), "the counts are not those of the rows")
        for task, *_ in tasks:  # nothing of this case is left for the next
            if self._client.inspect(task)["state"] == "queued":
                self._client.cancel(task)


def inflict(path: Path, damage: Damage) -> None:
    """Do this to the file, if it is one still."""
    if not path.is_file() or path.is_symlink():
        return
    if damage.kind in _GONE:
        path.unlink()
        _put_in_its_place(path, damage.kind)
    elif damage.kind == "length":
        os.truncate(path, damage.at)
    else:
        path.write_bytes(_damaged(bytearray(path.read_bytes()), damage))


def _put_in_its_place(path: Path, kind: str) -> None:
    if kind == "link":
        path.symlink_to("/nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "no file":
        path.mkdir()
    if kind == "full directory":
        (path / "file").touch()


def _damaged(data: bytearray, damage: Damage) -> bytearray:
    if damage.kind == "bit":
        if damage.at < len(data):
            data[damage.at] ^= 1 << damage.number
        return data
    block = {
        "word": lambda: damage.number.to_bytes(8, "little", signed=True),
        "zeros": lambda: bytes(damage.number),
        "noise": lambda: bytes(damage.number * n % 251 for n in range(400)),
    }[damage.kind]()
    at = 8 * damage.at if damage.kind == "word" else damage.at
    data[at : at + len(block)] = block[: max(0, len(data) - at)]
    return data
