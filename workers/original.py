"""Whether this process is the worker itself, or a copy that a handler's fork has made of it."""

from __future__ import annotations

import mmap
import os

WIPE_ON_FORK = 18  # MADV_WIPEONFORK, linux/mman.h: since Linux 4.14


def mark_original() -> mmap.mmap:
    """A page whose first byte is 1 in this process, and 0 in whatever is forked from it, by Python or by C.

    To read it costs nothing; to ask for the process id would be a system call for each task.
    """
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(WIPE_ON_FORK)
    except OSError:  # not this kernel: then only Python's own forks are seen
        os.register_at_fork(after_in_child=lambda: page.__setitem__(0, 0))
    page[0] = 1
    return page
