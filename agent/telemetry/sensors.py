"""CPU and memory as the governor needs them: the nearest ceiling counts, and what cannot be read is None.

CPU: the busy share of the CPUs this process may use, and the use of every cgroup quota above it. Memory: the host's,
every cgroup limit above this process, and the configured limit on the agent's own tree. A reading of CPU is a
difference, so the first is None. Linux's files are read directly: psutil reports a missing MemAvailable as 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from agent.clock import Clock
from agent.telemetry import proc
from agent.telemetry.cgroups import CpuQuota, Groups, Level, cpu_quota, discover, memory_pct
from agent.telemetry.kept_files import KeptFiles
from agent.telemetry.logs import log

P = ParamSpec("P")
T = TypeVar("T")

DEGRADED_AFTER = 3
"""Readings in a row without a source until `sensor.degraded` is logged."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine. Percentages are 0 to 100; None: unknown, which is neither high nor low.

    `load` is the one-minute load average, `worker_rss` bytes by pid, `rss_bytes` the whole tree with pages shared by
    forks counted once (an estimate), `own_cpu_pct` the tree's part of `cpus`, the CPUs that it may use.
    """

    cpu_pct: float | None = None
    mem_pct: float | None = None
    load: float | None = None
    worker_rss: Mapping[int, int] = field(default_factory=dict)
    rss_bytes: int | None = None
    own_cpu_pct: float | None = None
    cpus: float | None = None


class Sensing(Protocol):
    """What the supervisor asks of its sensors."""

    def read(self, worker_pids: Sequence[int]) -> Reading:
        """Look at the machine now; `worker_pids` are the agent's workers. Never raises for a missing source."""
        ...

    def close(self) -> None:
        """Close what it keeps open."""
        ...


@dataclass(frozen=True, slots=True)
class _Before:
    """What the next reading is compared with."""

    at_s: float
    times: proc.CpuTimes | None
    quotas: Mapping[str, CpuQuota]
    ticks: Mapping[tuple[int, int], int]


class Sensors:
    """The machine's own sensors. `mem_limit_bytes` 0: no limit on the tree. `root` holds /proc and /sys."""

    def __init__(self, mem_limit_bytes: int = 0, root: Path = Path("/"), clock: Clock | None = None) -> None:
        self._limit = mem_limit_bytes
        self._files = KeptFiles(str(root).rstrip("/"))
        self._clock = clock or Clock()
        self._before: _Before | None = None
        self._cgroup: str | None = None
        self._groups = Groups()
        self._misses: dict[str, int] = {}

    def read(self, worker_pids: Sequence[int]) -> Reading:
        """Look at the machine now."""
        self._find_groups()
        processes = self._processes(worker_pids)
        rss = {pid: each.rss_pages * _PAGE for pid, each in processes.items() if each.rss_pages}
        now, before = self._now(processes), self._before
        self._before = now
        cpus = min([float(len(_allowed())), *(quota.cpus for quota in now.quotas.values())])
        tree = _tree_bytes(processes, rss, worker_pids)
        reading = Reading(
            cpu_pct=_cpu_pct(before, now),
            mem_pct=self._memory_pct(tree),
            load=self._parsed("/proc/loadavg", proc.load_average),
            worker_rss={pid: rss[pid] for pid in worker_pids if pid in rss},
            rss_bytes=tree,
            own_cpu_pct=_own_cpu_pct(before, now, cpus),
            cpus=cpus,
        )
        self._watch("cpu", reading.cpu_pct)
        self._watch("memory", reading.mem_pct)
        self._files.let_go_of_others()
        return reading

    def close(self) -> None:
        """Close what it keeps open."""
        self._files.close()

    def _find_groups(self) -> None:
        """Where the cgroups are; looked up again only when this process was moved."""
        cgroup = self._files.text("/proc/self/cgroup")
        if cgroup != self._cgroup:
            self._cgroup, mountinfo = cgroup, self._files.text("/proc/self/mountinfo")
            self._groups = self._tried(discover, cgroup or "", mountinfo or "") or Groups()

    def _now(self, processes: Mapping[int, proc.Process]) -> _Before:
        return _Before(
            at_s=self._clock.monotonic() / 1e9,
            times=self._parsed("/proc/stat", lambda stat: proc.cpu_times(stat, _allowed())),
            quotas={level.directory: quota for level in self._groups.cpu if (quota := self._quota(level))},
            ticks={(each.pid, each.started): each.ticks for each in processes.values()},
        )

    def _quota(self, level: Level) -> CpuQuota | None:
        return self._tried(cpu_quota, level, self._groups.accounts.get(level.path), self._files.text)

    def _processes(self, worker_pids: Sequence[int]) -> dict[int, proc.Process]:
        """The tree by pid: this process, the workers, and the fork server between them."""
        own = self._parsed("/proc/self/stat", proc.process)
        found = [own, *(self._process(pid) for pid in worker_pids)]
        parents = {each.parent for each in found[1:] if each is not None}
        # A parent that is no child of ours is somebody else's.
        servers = [server for pid in parents if (server := self._process(pid)) and own and server.parent == own.pid]
        return {each.pid: each for each in (*found, *servers) if each is not None}

    def _process(self, pid: int) -> proc.Process | None:
        return self._parsed(f"/proc/{pid}/stat", proc.process)

    def _memory_pct(self, tree: int | None) -> float | None:
        ceilings = [self._parsed("/proc/meminfo", proc.memory_pct)]
        ceilings += [self._tried(memory_pct, level, self._files.text) for level in self._groups.memory]
        if self._limit and tree is not None:
            ceilings.append(100 * tree / self._limit)
        return max((pct for pct in ceilings if pct is not None), default=None)

    def _watch(self, source: str, value: float | None) -> None:
        """Say once that a source is gone."""
        self._misses[source] = 0 if value is not None else self._misses.get(source, 0) + 1
        if self._misses[source] == DEGRADED_AFTER:
            log("sensor.degraded", source=source, readings=DEGRADED_AFTER)

    def _parsed(self, path: str, parse: Callable[[str], T]) -> T | None:
        text = self._files.text(path)
        return None if text is None else self._tried(parse, text)

    @staticmethod
    def _tried(parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """A source that says what nobody expects is a missing one."""
        try:
            return parse(*args, **kwargs)
        except (ValueError, KeyError, IndexError, ZeroDivisionError):
            return None


def _allowed() -> set[int]:
    return os.sched_getaffinity(0)


def _cpu_pct(before: _Before | None, now: _Before) -> float | None:
    """The nearest ceiling: the busy share of our CPUs, or the use of a quota."""
    if before is None:
        return None
    shares = [_quota_pct(before, now, group) for group in now.quotas]
    if before.times is not None and now.times is not None:
        shares.append(proc.busy_pct(before.times, now.times))
    return max((share for share in shares if share is not None), default=None)


def _quota_pct(before: _Before, now: _Before, group: str) -> float | None:
    if group not in before.quotas:
        return None
    used = now.quotas[group].used_s - before.quotas[group].used_s
    return _share(used, now.at_s - before.at_s, now.quotas[group].cpus)


def _own_cpu_pct(before: _Before | None, now: _Before, cpus: float) -> float | None:
    if before is None or not now.ticks:
        return None
    used = sum(ticks - before.ticks.get(who, 0) for who, ticks in now.ticks.items())
    return _share(used / _TICKS, now.at_s - before.at_s, cpus)


def _share(used_s: float, passed_s: float, cpus: float) -> float | None:
    return min(100.0, 100 * used_s / (passed_s * cpus)) if passed_s > 0 and used_s >= 0 else None


def _tree_bytes(
    processes: Mapping[int, proc.Process], rss: Mapping[int, int], worker_pids: Sequence[int]
) -> int | None:
    """Resident memory of the tree: what a worker inherited from the process that forked it counts only there."""
    if not rss:
        return None
    workers = set(worker_pids)
    others = sum(size for pid, size in rss.items() if pid not in workers)
    return others + sum(max(0, rss[pid] - rss.get(processes[pid].parent, 0)) for pid in workers if pid in rss)
