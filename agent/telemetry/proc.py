"""What the files of /proc say: pure parsers, so that recorded texts test them. Formats: proc(5).

They raise ValueError, KeyError or IndexError on a text that is not what it should be; the reader takes it as missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Time since boot in clock ticks, summed over some CPUs."""

    busy: int
    total: int


class Process(NamedTuple):
    """One process. `ticks` of CPU are its own, in user and kernel mode; with `started` a pid is unmistakable.

    `rss_pages` are resident; one that has just died has none.
    """

    pid: int
    parent: int
    started: int
    ticks: int
    rss_pages: int


def cpu_times(stat: str, cpus: Iterable[int]) -> CpuTimes:
    """Busy and total time of `cpus`, from /proc/stat. Stolen time is busy, waiting for disks is idle."""
    wanted = {f"cpu{number}" for number in cpus}
    busy = total = found = 0
    for line in stat[: stat.find("\nintr")].split("\n"):  # the long part, which does not interest, is left aside
        name, *numbers = line.split()
        if name not in wanted:
            continue
        # user nice system idle iowait irq softirq steal; the guests' time after them is part of user's and nice's
        times = [int(number) for number in numbers[:8]]
        found += 1
        total += sum(times)
        busy += sum(times) - times[3] - times[4]
    if not found:
        raise ValueError("no line for any of the CPUs")
    return CpuTimes(busy, total)


def busy_pct(before: CpuTimes, after: CpuTimes) -> float | None:
    """The busy share between two readings in percent; None when no time has passed, or has passed backwards."""
    total = after.total - before.total
    if total <= 0:
        return None
    return min(100.0, max(0.0, 100 * (after.busy - before.busy) / total))


def memory_pct(meminfo: str) -> float:
    """What is not available of the host's memory, in percent, from /proc/meminfo."""
    total, available = (_kb(meminfo, name) for name in ("MemTotal", "MemAvailable"))
    if total <= 0:
        raise ValueError("a host without memory")
    return 100 * (1 - available / total)


def _kb(meminfo: str, name: str) -> int:
    words = meminfo[meminfo.index(f"{name}:") :].split(maxsplit=2)
    return int(words[1])


def process(stat: str) -> Process:
    """From /proc/PID/stat. The name in brackets may hold brackets and spaces."""
    pid = int(stat.split(" ", 1)[0])
    words = stat[stat.rindex(")") + 2 :].split(maxsplit=22)
    ticks = int(words[11]) + int(words[12])
    return Process(pid, parent=int(words[1]), started=int(words[19]), ticks=ticks, rss_pages=int(words[21]))


def out_of_memory_kills(vmstat: str) -> int:
    """How many processes the kernel's out-of-memory killer has ended on this machine, from /proc/vmstat; 0 where it
    does not tell."""
    _, found, rest = vmstat.partition("\noom_kill ")
    return int(rest.split(maxsplit=1)[0]) if found else 0


def load_average(loadavg: str) -> float:
    """Runnable and blocked threads over the last minute, from /proc/loadavg."""
    return float(loadavg.split()[0])
