"""Is anything lost, torn or invented when the power fails at any moment?

Users work on a database; all that happens to its files is recorded. Of each record images are made: what a power loss
at some place may leave on the disk (`campaign.images`). Each is opened by the store, as after a restart, and has to be
whole: it opens, SQLite finds it sound, every row of every table is as the last acknowledged verb left it (or as the
verb under way was about to: all of it or nothing), and work goes on. A database that was upgraded has its backup.
The last image of a life is lived on: the next life begins with what the power loss left.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.store.connection import Connection
from agent.store.locks import WriteLock, run_directory
from agent.store.migrations import APPLICATION_ID, steps
from campaign.examination import Examiner, Files, Found, rows_of
from campaign.images import Disk
from campaign.lives import DATABASE, NOON, Life, live
from campaign.recorder import Sync, read_files, write_files
from campaign.run import Report, Run, Verdict

ROUNDS = 10

VERBS = 60  # a life
QUEUED = "INSERT INTO task (type, state, priority, payload, created_at, due_at) VALUES (1, 3, 0, ?, ?, ?)"  # schema 1
OPENINGS = 5  # how much more often than another verb an opening is hit, which makes or upgrades the schema
KEPT = 20  # images with breaches
MEMORY = Path("/dev/shm")  # noqa: S108  where files cost nothing; what a power loss leaves is computed


@dataclass(slots=True)
class Tally:
    """What comes of a round; images with breaches are kept in a directory."""

    directory: Path
    losses: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    under_way: int = 0
    survived: int = 0  # verbs under way that were found done

    def enter(self, life: Life, place: int, where: str, files: Files, found: Found) -> None:
        """One image."""
        verb = verb_at(life, place)
        self.losses[f"power loss: {verb}"] += 1
        last = life.acknowledged(place)
        tasks = 0 if last is None else len(life.marks[last].rows["told"])
        self.verdict += Verdict(tasks, found.lost, found.unexpected)
        self.under_way += len(life.allowed(place)) > 1
        self.survived += found.mark is not None and last is not None and found.mark > last
        at = f"{where}, after event {place} of {len(life.events)}, in the midst of {verb!r}"
        for breach in found.breaches:
            self.breaches.append(f"{at}: {breach}")
            self._keep(files)

    def _keep(self, files: Files) -> None:
        if len(self.breaches) <= KEPT:
            directory = self.directory / f"image-{len(self.breaches)}"
            directory.mkdir()
            write_files(directory, files)


def run(run: Run) -> Report:
    """Two databases, one made by this release and one upgraded by it, through a few lives each."""
    lives, images = run.pick(5, 2), run.pick(100, 25)
    tally = Tally(run.directory)
    begun = time.perf_counter()
    with _workshop(run.directory) as directory:
        for name in ("new", "old"):
            base = {} if name == "new" else first_release(directory, run.rng("first release"))
            examiner = Examiner(directory, rows_of(directory / DATABASE) if base else None)
            for number in range(1, lives + 1):
                where = f"life {number} of the {name} database"
                life = live(directory, base, run.rng(where), VERBS, thousands=number // lives)
                tally.breaches += [f"{where}: {breach}" for breach in life.breaches]
                base = attack(life, examiner, run.rng(f"power losses in {where}"), images, tally, where)
    run.derive(
        images_per_second=round(sum(tally.losses.values()) / (time.perf_counter() - begun)),
        done_though_under_way=f"{tally.survived} of {tally.under_way} verbs",
    )
    return Report(dict(tally.losses), tuple(tally.breaches), tally.verdict)


def attack(life: Life, examiner: Examiner, rng: Random, images: int, tally: Tally, where: str) -> Files:
    """Lose the power at many places of a life and look at what is left; the last of it is given back."""
    disk, done, files = Disk(life.base), 0, life.base
    for place in sorted(_place(life, rng) for _ in range(images)):
        disk.happen(life.events[done:place])
        files, done = disk.after_power_loss(rng), place
        tally.enter(life, place, where, files, examiner.examine(files, life, place))
    return files


def verb_at(life: Life, place: int) -> str:
    """What was under way at a place, or had just returned."""
    return next((mark.verb for mark in life.marks if mark.place >= place), "nothing")


def first_release(directory: Path, rng: Random) -> Files:
    """A database as the first release left it, with or without a log; it stays in the directory."""
    write_files(directory, {})
    connection = Connection(directory / DATABASE, WriteLock.of(run_directory(directory / DATABASE)))
    with connection.writing() as cursor:
        cursor.execute(steps()[0])
        cursor.execute("INSERT INTO type (id, name) VALUES (1, 'mail')")
        for n in range(rng.randint(1, 80)):
            cursor.execute(QUEUED, (f'{{"value":{n}}}', NOON + n, NOON + n))
        cursor.execute("INSERT INTO counts SELECT state, type, count(*) FROM task GROUP BY state, type")
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        cursor.execute("PRAGMA user_version = 1")
    files = read_files(directory)
    connection.close()
    return files if rng.random() < 0.5 else read_files(directory)


def _place(life: Life, rng: Random) -> int:
    """Somewhere in a verb that writes: each as likely, however much it writes; often beside a sync."""
    marks = [mark for mark in life.marks if mark.place > mark.begun]
    (mark,) = rng.choices(marks, [OPENINGS if mark.verb == "open" else 1 for mark in marks])
    syncs = [n for n in range(mark.begun, mark.place) if isinstance(life.events[n], Sync)]
    if syncs and rng.random() < 0.5:
        return rng.choice(syncs) + rng.randint(0, 1)
    return rng.randint(mark.begun, mark.place)


@contextmanager
def _workshop(directory: Path) -> Iterator[Path]:
    """A directory in memory, where there is one."""
    place = MEMORY if MEMORY.is_dir() else directory
    with tempfile.TemporaryDirectory(prefix="power-loss-", dir=place) as made:
        yield Path(made)
