"""Facts about the machine, without which a figure says little."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import apsw

IN_MEMORY = ("tmpfs", "ramfs")


def facts(directory: Path) -> dict[str, str | int | float]:
    """Cores, versions, and the file system that the databases of the run lie on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "file_system": file_system(directory),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def file_system(directory: Path) -> str:
    """The type of the file system that a directory lies on, as in mount(8)."""
    device = os.stat(directory).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == wanted:
            return source.split()[0]
    return "unknown"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()
