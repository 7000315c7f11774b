"""Processes of this host: which one is meant, whether it lives, and how it ends with its parent.

A process id alone names nothing for long. An `Identity` adds the boot, the pid namespace and the start time, so that
whoever reads it later, a restarted supervisor say, can tell by evidence whether the same process still lives.
"""

from __future__ import annotations

import fcntl
import functools
import os
import resource
import select
import signal
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
OOM_VICTIM_BONUS = 500  # of 1000: the kernel's out-of-memory killer takes a worker before anything else of ours
KILLED_AT_ONCE = 200  # each takes a descriptor for as long as it is waited for


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever: no other process, before or after, has the same four values."""

    boot_id: str
    pid_ns: int
    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class _Stat:
    """What proc_pid_stat(5) says of a process."""

    session: int
    start_ticks: int
    is_dead: bool
    is_stopped: bool


def identity(pid: int) -> Identity | None:
    """Who lives under `pid` in our pid namespace; None when nobody does, or only a zombie, or nobody we may see."""
    stat = _stat(pid)
    if stat is None or stat.is_dead:
        return None
    return Identity(_boot_id(), _pid_namespace(), pid, stat.start_ticks)


def boot_number() -> int:
    """The machine's boot: another number after each, of 63 bits, never 0."""
    return int(_boot_id().replace("-", ""), 16) >> 65 or 1


def is_alive(who: Identity) -> bool | None:
    """Whether that very process lives, by evidence; None when it cannot be known from here.

    Unknowable is a process of another pid namespace, and one that somebody hides from us.
    """
    if who.boot_id != _boot_id():
        return False
    if who.pid_ns != _pid_namespace():
        return None
    stat = _stat(who.pid)
    if stat is not None:
        return stat.start_ticks == who.start_ticks and not stat.is_dead
    return False if _is_nobodys(who.pid) else None


def is_stopped(who: Identity) -> bool:
    """Whether that very process stands still: after a SIGSTOP, or under a debugger."""
    stat = _stat(who.pid)
    return stat is not None and stat.start_ticks == who.start_ticks and stat.is_stopped


def waits_for_its_threads(who: Identity) -> bool:
    """Whether its main thread is kept from going on by others of the process: it waits for a lock of theirs."""
    try:
        place = Path(f"/proc/{who.pid}/wchan").read_bytes()
    except OSError:
        return False
    return b"futex" in place and bool(is_alive(who))


def age_s(pid: int) -> float:
    """Seconds since the process began; 0 when there is none."""
    stat = _stat(pid)
    if stat is None:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - stat.start_ticks / os.sysconf("SC_CLK_TCK")


def left_behind(leaders: Iterable[Identity]) -> list[Identity]:
    """What dead session leaders left in their sessions; nothing of a session that may be somebody else's by now."""
    since: dict[int, int] = {}  # by session: its leader's start, the first one's where a pid was used again
    for leader in set(leaders):
        if identity(leader.pid) in (None, leader) and leader.boot_id == _boot_id() and is_alive(leader) is not None:
            since[leader.pid] = min(leader.start_ticks, since.get(leader.pid, leader.start_ticks))
    found = _members(since) if since else ()
    return [member for session, member in found if member.pid != session and member.start_ticks >= since[session]]


def kill_and_wait(identities: Iterable[Identity], timeout_s: float) -> list[Identity]:
    """SIGKILL to each of them, and to nobody who has their pid by now; the survivors after at most `timeout_s` seconds.

    Survivors are those that the kernel keeps in an uninterruptible wait, those that we may not kill, and those of
    another pid namespace. A zombie counts as dead, whoever its parent is.
    """
    deadline = time.monotonic() + timeout_s
    meant = list(identities)
    survivors = []
    for start in range(0, len(meant), KILLED_AT_ONCE):
        survivors += _kill_some(meant[start : start + KILLED_AT_ONCE], deadline)
    return survivors


def set_parent_death_signal(number: int, expected_parent: int) -> None:
    """From now on we get the signal when the thread that forked us ends; if it is gone already, we exit here and now.

    The kernel forgets this in a child of ours, and when we change user: prctl(2), PR_SET_PDEATHSIG.
    """
    if _libc().prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(f"the kernel refuses signal {number} as a parent-death signal")
    if os.getppid() != expected_parent:
        os._exit(128 + number)


def adopt_orphans() -> None:
    """From now on we are the parent of our descendants whose own has died: prctl(2), PR_SET_CHILD_SUBREAPER."""
    _libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def make_oom_victim() -> None:
    """Makes us the first choice of the out-of-memory killer, as far as the system lets us."""
    with suppress(OSError, ValueError):
        file = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.pwrite(file, b"%d" % min(1000, int(os.read(file, 16)) + OOM_VICTIM_BONUS), 0)
        finally:
            os.close(file)


def rss_bytes(pid: int) -> int | None:
    """The resident memory of a process in bytes; None when it is gone or hidden."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * resource.getpagesize()


def move_out_of_the_way(descriptor: int) -> int:
    """The same open file under a high number, where a handler's `os.closerange` seldom reaches; the old one closes."""
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = 512 if soft_limit == resource.RLIM_INFINITY else min(512, soft_limit // 2)
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(descriptor)
    return high


@functools.cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


@functools.cache
def _libc() -> ctypes.CDLL:
    import ctypes  # only those who fork need it, and it takes 5 ms

    return ctypes.CDLL(None)


def _members(sids: Container[int]) -> Iterator[tuple[int, Identity]]:
    """The living processes of these sessions, each with its session, at one look."""
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None and stat.session in sids and not stat.is_dead:
            yield stat.session, Identity(_boot_id(), _pid_namespace(), pid, stat.start_ticks)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name of the command, in parentheses, may hold anything: the fields are counted from behind it.
    fields = text.rpartition(b")")[2].split()
    if not fields:
        return None
    # A leader whose main thread has ended is shown as a zombie while other threads go on.
    is_dead = fields[0] in (b"Z", b"X", b"x") and int(fields[17]) <= 1
    is_stopped = fields[0] in (b"T", b"t")
    return _Stat(session=int(fields[3]), start_ticks=int(fields[19]), is_dead=is_dead, is_stopped=is_stopped)


def _is_nobodys(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _kill_some(meant: list[Identity], deadline: float) -> list[Identity]:
    survivors: list[Identity] = []
    dying: dict[int, Identity] = {}
    try:
        for who in meant:
            pidfd = _kill(who)
            if pidfd is not None:
                dying[pidfd] = who
            elif is_alive(who) is not False:
                survivors.append(who)
        _wait_for_death(dying, deadline)
        return survivors + list(dying.values())
    finally:
        for pidfd in dying:
            os.close(pidfd)


def _kill(who: Identity) -> int | None:
    """A pidfd to wait by; None when there is nothing to wait for, for it is dead or out of our reach."""
    if not is_alive(who):
        return None
    try:
        pidfd = os.pidfd_open(who.pid)
    except (ProcessLookupError, PermissionError):
        return None
    # Looked at again with the pidfd in hand: from here on nobody else can take its place.
    try:
        if is_alive(who):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return pidfd
    except (ProcessLookupError, PermissionError):
        pass  # whoever lives on after this is told by `is_alive`
    os.close(pidfd)
    return None


def _wait_for_death(dying: dict[int, Identity], deadline: float) -> None:
    """Takes whoever dies until the deadline out of `dying`, and closes its pidfd."""
    poll = select.poll()
    for pidfd in dying:
        poll.register(pidfd, select.POLLIN)
    while dying:
        dead = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        for pidfd, _ in dead:
            poll.unregister(pidfd)
            del dying[pidfd]
            os.close(pidfd)
        if not dead:
            return
