"""Who holds SQLite's own write lock, as the kernel tells: for people who have to find out whom to end."""

from __future__ import annotations

import os
from pathlib import Path

WRITE_BYTE = 120  # of the log's index: where SQLite's writers exclude each other (its file format, section 2.3)
LOCKS = Path("/proc/locks")


def writer_of(database: Path) -> int | None:
    """The pid of the process that writes to the database now; None: nobody, or nobody we may see."""
    try:
        index = os.stat(f"{database}-shm")
        lines = LOCKS.read_text("ascii", errors="replace").splitlines()
    except OSError:
        return None
    file = f"{os.major(index.st_dev):02x}:{os.minor(index.st_dev):02x}:{index.st_ino}"
    for line in lines:
        words = line.split()
        # 1: POSIX  ADVISORY  WRITE 1234 fe:00:56789 120 120; with "->" behind the number: one who waits
        if words[1:4] == ["POSIX", "ADVISORY", "WRITE"] and words[5] == file and words[6] == str(WRITE_BYTE):
            return int(words[4])
    return None


def named(pid: int | None) -> str:
    """A process for people: its pid and what it calls itself. None: one of which nothing is known."""
    if pid is None:
        return "another process"
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({name})"
