"""The cgroups a process is in, versions 1 and 2 and both at once, and the limits they set on memory and CPU.

Where they are, /proc/self/mountinfo and /proc/self/cgroup tell; every level from the own group up to the mount may set
a limit, and the nearest ceiling wins. Each file may be missing by itself: a container shows only some of them, the root
group has no limits, a hybrid host has the controllers in version 1 and an empty version 2 besides.
Formats: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Read = Callable[[str], str | None]
"""The text of the file at an absolute path, or None if it cannot be read."""

_UNLIMITED_V1 = 2**62  # version 1 writes "no limit" as the largest multiple of a page below 2^63


@dataclass(frozen=True, slots=True)
class Level:
    """One group on the way up. `path` is relative to the mount; version 2 has every controller in one directory."""

    version: int
    path: str
    directory: str


@dataclass(frozen=True, slots=True)
class CpuQuota:
    """What a group may use (`cpus`, a number of CPUs) and has used since its beginning (seconds)."""

    cpus: float
    used_s: float


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one process that may limit it. `accounts`: where version 1 counts CPU time, by the group's path."""

    memory: tuple[Level, ...] = ()
    cpu: tuple[Level, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)


def discover(cgroup: str, mountinfo: str) -> Groups:
    """From the texts of /proc/self/cgroup and /proc/self/mountinfo. Raises ValueError or IndexError for other texts."""
    accounts = (level for level in levels("cpuacct", cgroup, mountinfo) if level.version == 1)
    return Groups(
        memory=levels("memory", cgroup, mountinfo),
        cpu=levels("cpu", cgroup, mountinfo),
        accounts={level.path: level.directory for level in accounts},
    )


def levels(controller: str, cgroup: str, mountinfo: str) -> tuple[Level, ...]:
    """The groups of `controller` that this process is in: version 1 first, each from its own up to the mount."""
    found: list[Level] = []
    for version, path in _paths(controller, cgroup):
        for root, point, kind, options in _mounts(mountinfo):
            if kind == ("cgroup", "cgroup2")[version - 1] and (version == 2 or controller in options):
                found += [Level(version, below, point + below) for below in _upward(_below(root, path))]
                break
    return tuple(found)


def memory_pct(level: Level, read: Read) -> float | None:
    """How full a group is, in percent of its limit, without the page cache that can go at once; None: no limit."""
    names = _MEMORY[level.version]
    limits = [limit for name in names.limits if (limit := _limit(read(f"{level.directory}/{name}"))) is not None]
    if not limits:
        return None
    usage, stat = read(f"{level.directory}/{names.usage}"), read(f"{level.directory}/memory.stat")
    if usage is None or stat is None:
        return None
    reclaimable = re.search(rf"^{names.reclaimable} (\d+)$", stat, re.MULTILINE)
    if reclaimable is None:
        return None
    return max(0.0, 100 * (int(usage) - int(reclaimable[1])) / min(limits))


def cpu_quota(level: Level, account: str | None, read: Read) -> CpuQuota | None:
    """What a group may use and has used; `account` is where version 1 counts it. None: no quota."""
    return _quota_v2(level, read) if level.version == 2 else _quota_v1(level, account, read)


@dataclass(frozen=True, slots=True)
class _MemoryFiles:
    limits: tuple[str, ...]
    usage: str
    reclaimable: str


_MEMORY = {
    1: _MemoryFiles(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    2: _MemoryFiles(("memory.max", "memory.high"), "memory.current", "inactive_file"),
}


def _limit(text: str | None) -> int | None:
    if text is None or text.strip() == "max":
        return None
    limit = int(text)
    return limit if 0 < limit < _UNLIMITED_V1 else None


def _quota_v2(level: Level, read: Read) -> CpuQuota | None:
    allowed = read(f"{level.directory}/cpu.max")
    if allowed is None or allowed.startswith("max"):
        return None
    stat = read(f"{level.directory}/cpu.stat")
    if stat is None:
        return None
    used = re.search(r"^usage_usec (\d+)$", stat, re.MULTILINE)
    quota, period = allowed.split()
    return None if used is None else CpuQuota(int(quota) / int(period), int(used[1]) / 1e6)


def _quota_v1(level: Level, account: str | None, read: Read) -> CpuQuota | None:
    quota = read(f"{level.directory}/cpu.cfs_quota_us")
    if quota is None or account is None or int(quota) <= 0:
        return None
    period, used = read(f"{level.directory}/cpu.cfs_period_us"), read(f"{account}/cpuacct.usage")
    return None if period is None or used is None else CpuQuota(int(quota) / int(period), int(used) / 1e9)


def _paths(controller: str, cgroup: str) -> list[tuple[int, str]]:
    """(version, path) of the lines `4:memory:/a` and `0::/a` that matter to `controller`."""
    paths = []
    for line in cgroup.splitlines():
        number, names, path = line.split(":", 2)
        if controller in names.split(","):
            paths.append((1, path))
        elif number == "0" and not names:
            paths.append((2, path))
    return sorted(paths)


def _mounts(mountinfo: str) -> list[tuple[str, str, str, list[str]]]:
    """(root, mount point, file system, its options) of every mount."""
    mounts = []
    for line in mountinfo.splitlines():
        mount, _, system = line.partition(" - ")
        words, (kind, _, options) = mount.split(), system.split(" ", 2)
        mounts.append((_unescape(words[3]), _unescape(words[4]), kind, options.split(",")))
    return mounts


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _below(root: str, path: str) -> str:
    """`path` as seen from a mount whose root is `root`; the mount itself if it does not show the group."""
    if ".." in path.split("/"):
        return ""
    if root == "/":
        return path.rstrip("/")
    return path[len(root) :] if path == root or path.startswith(root + "/") else ""


def _upward(path: str) -> list[str]:
    """`/a/b`, `/a`, and the mount itself."""
    steps = [path]
    while path:
        path = path.rpartition("/")[0]
        steps.append(path)
    return steps
