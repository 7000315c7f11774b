"""A life is recorded whole: the events make the files, the seed makes the events, the marks tell what was said."""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw

from agent.lifecycle import State
from campaign.images import image
from campaign.ledger import Ledger, Rows, Told
from campaign.lives import Life, Mark, live
from campaign.recorder import Create, Sync, SyncDirectory, read_files, recording

VERBS = 40


def lived(directory: Path, seed: int = 3) -> Life:
    directory.mkdir(exist_ok=True)
    return live(directory, {}, Random(seed), VERBS, thousands=1)


def test_the_events_make_exactly_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "life"
    directory.mkdir()
    with recording(directory, 1) as recorder:
        database = apsw.Connection(str(directory / "any.db"))
        database.pragma("journal_mode", "wal")
        database.execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(90000))")
        database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        database.execute("DROP TABLE t; VACUUM; CREATE TABLE u (x)")
        database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        files, events = read_files(directory), list(recorder.events)
        database.close()

    events += [Sync(each.file) for each in events if isinstance(each, Create)]
    events.append(SyncDirectory())
    assert image({}, events, len(events), Random(1)) == files


def test_the_same_seed_makes_the_same_events(tmp_path: Path) -> None:
    first, second = lived(tmp_path / "first"), lived(tmp_path / "second")

    assert first.events == second.events
    assert [mark[:3] for mark in first.marks] == [mark[:3] for mark in second.marks]
    assert lived(tmp_path / "third", seed=4).events != first.events


def test_recording_ends(tmp_path: Path) -> None:
    before = apsw.vfs_names()
    lived(tmp_path / "life")

    assert apsw.vfs_names() == before


def test_the_store_does_what_it_says(tmp_path: Path) -> None:
    life = lived(tmp_path / "life")

    assert not life.breaches
    assert len(life.marks) > VERBS


def test_a_power_loss_may_leave_the_last_verbs_rows_or_those_of_the_one_under_way() -> None:
    marks = [("a", 0, 5), ("b", 7, 9), ("c", 9, 9)]
    rows: Rows = {}
    life = Life({}, (), [Mark(*mark, rows) for mark in marks])

    assert [life.allowed(place) for place in (0, 4)] == [[0], [0]], "whatever is found is opened, and made"
    assert [life.allowed(place) for place in (5, 7)] == [[0], [0]]
    assert life.allowed(8) == [0, 1]
    assert life.allowed(9) == [2]


def test_what_is_there_otherwise_than_told_is_complained_of() -> None:
    ledger = Ledger()
    ledger.tasks = {
        1: Told(State.QUEUED, "{}", 5),
        2: Told(State.SUCCEEDED, "{}", 5, "{}"),
        3: Told(State.QUEUED, "{}", 5),
        4: Told(State.CANCELLED, "{}", 5),
    }
    ledger.pruned = 1
    rows: Rows = {
        "told": [(1, 3, "{}", None, 5, 1), (2, 4, "{}", None, 5, 1), (9, 3, "{}", None, 5, 1)],
        "counts": [(3, 1, 2), (4, 1, 0)],
    }

    complaints = "\n".join(ledger.settle(rows))
    assert "task 1 " not in complaints
    assert "task 2 was said to be" in complaints
    assert "task 9 was said to be nowhere; it is queued" in complaints
    assert "has deleted 1 tasks, and 2 are gone" in complaints
    assert "retention deleted task 3" in complaints
    assert "the counts say" in complaints

