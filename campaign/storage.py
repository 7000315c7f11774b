"""What becomes of the tasks when the file system is full, read-only, aborted or frozen, or its syncs fail?

The database is on a real file system of its own (in memory, or ext4 in a file), which is made ill under load; root
alone may do that. While it lasts nobody ends, `stats` says what is wrong in exact words, and whoever only looks is
answered; when it is over, work goes on by itself. An aborted file system takes no more writes until it is mounted
again: the agent has to live until then, and nothing that it acknowledged may be missing; what ended in the last moments
runs again, as after a power failure, for the slots were on that disk too. A frozen one answers nobody.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.ailing import WORKERS, Ailing
from campaign.disks import Disk, loop, make_image, memory
from campaign.processes import until
from campaign.run import Report, Run, total
from campaign.strace import refused

ROUNDS = 3
ILL_S, SHORT_ILL = 10, 1
IMAGE_BYTES = 64 << 20
MEMORY = "24m"
NO_SPACE = "no space is left for {}: make room, then try again"
NO_DISK = "{}: disk I/O error: check the disk and the permissions"


def run(run: Run) -> Report:
    """One round: every illness; in a short one a full disk, failing syncs and a read-only one."""
    always: list[Callable[[Run], Report]] = [full, unsynced, protected]
    chosen = always if run.is_short else [*always, aborted, frozen]
    run.derive(illnesses=[each.__name__ for each in chosen])
    return total(illness(run) for illness in chosen)


def full(run: Run) -> Report:
    """There is no space left."""
    with memory(run.directory / "memory", MEMORY) as disk, Ailing(run, "full disk", disk.path / "state.db") as case:
        case.begin()
        pids = case.world.family()
        case.load()
        disk.fill()
        case.struck()
        case.shows(NO_SPACE.format(case.database))
        _lasts(run, case)
        case.answers()
        disk.free()
        case.goes_on(time.monotonic())
        case.lives(*pids)
        return case.judge()


def unsynced(run: Run) -> Report:
    """No sync of supervisor and workers succeeds: the disk has an error."""
    with _ext4(run) as disk, Ailing(run, "failing sync", disk.path / "state.db") as case:
        case.begin()
        pids = case.world.family()
        case.load()
        with refused(list(pids), run.directory / "trace", "fsync,fdatasync", "EIO"):
            case.struck()
            case.shows(NO_DISK.format(case.database))
            _lasts(run, case)
            case.answers()
        case.goes_on(time.monotonic())
        case.lives(*(pid for pid, role in pids.items() if role != "worker"))  # one that strace holds looks stopped
        return case.judge(case.world.deaths())


def protected(run: Run) -> Report:
    """Everybody is killed, and the file system is mounted read-only for a while."""
    with _ext4(run) as disk, Ailing(run, "read-only disk", disk.path / "state.db") as case:
        case.begin()
        case.load()
        case.let_go()  # the last one to close it would leave no log, and without one nobody reads on a read-only disk
        case.world.wipe_out()
        disk.remount("ro")
        case.struck()
        case.answers()
        case.world.client.inspect(1)  # a program that has it open goes on with it later
        case.refuses("Read-only file system", "enqueue", "nap", '{"s": 0}')
        case.refuses("its file system is read-only; make it writable", "resume")
        disk.remount("rw")
        since = time.monotonic()
        case.world.start()
        case.goes_on(since)
        return case.judge(WORKERS)


def aborted(run: Run) -> Report:
    """The file system takes no writes from one moment to the next; then it is repaired and mounted again."""
    image = run.directory / "aborted.img"
    make_image(image, IMAGE_BYTES)
    place = run.directory / "ext4"
    with Ailing(run, "aborted disk", place / "state.db") as case:
        with loop(place, image) as disk:
            case.begin()
            pids = case.world.family()
            until(lambda: not case.world.unfinished(), "all tasks to end")  # what runs now would run again
            disk.remount("abort")
            case.struck()
            case.shows(NO_DISK.format(case.database))
            _lasts(run, case)
            case.answers()
            case.lives(*pids)
            case.let_go()
            case.world.wipe_out()
        with loop(place, image):
            since = time.monotonic()
            case.world.start()
            case.goes_on(since)
            report = case.judge(WORKERS)
            case.let_go()
            return report


def frozen(run: Run) -> Report:
    """Whoever writes stands still, and nobody can be killed, until the file system goes on."""
    with _ext4(run) as disk, Ailing(run, "frozen disk", disk.path / "state.db") as case:
        case.begin()
        pids = case.world.family()
        case.load()
        helper = disk.freeze(run.pick(ILL_S, SHORT_ILL))
        case.struck()
        until(lambda: helper.poll() is not None, "the file system to go on", 60)
        helper.communicate()
        case.goes_on(time.monotonic())
        case.lives(*pids)
        return case.judge()


@contextmanager
def _ext4(run: Run) -> Iterator[Disk]:
    room = Path(tempfile.mkdtemp(dir=run.directory))
    make_image(room / "image", IMAGE_BYTES)
    with loop(room / "ext4", room / "image") as disk:
        yield disk


def _lasts(run: Run, case: Ailing) -> None:
    """The illness goes on for a while, and so do those who ask."""
    ends_at = time.monotonic() + run.pick(ILL_S, SHORT_ILL)
    while time.monotonic() < ends_at:
        case.ask()
