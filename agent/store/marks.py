"""Which file a number or a name leads to, asked without its times.

Why it is so: who asks for the times of a file, as `os.stat` does, makes its next write note the time exactly, and the
sync after that waits a third longer (Linux 6.13, multigrain timestamps). statx(2) asks for the inode alone; Python has
it from 3.15 on.
"""

from __future__ import annotations

import ctypes
import os
import sys

Mark = tuple[int, int]  # inode and device

_AT_FDCWD, _AT_EMPTY_PATH, _STATX_INO = -100, 0x1000, 0x100  # of linux/fcntl.h and linux/stat.h
_Statx = ctypes.c_uint64 * 32  # struct statx: stx_ino is its fifth word, stx_dev_major and stx_dev_minor its 18th
_INODE, _DEVICE = 4, 17
_statx = getattr(ctypes.CDLL(None), "statx", None)


def identify(file: int | bytes) -> Mark:
    """The mark of a descriptor's or a name's file. Raises OSError."""
    if _statx is not None:
        told = _Statx()
        at = (file, b"", _AT_EMPTY_PATH) if isinstance(file, int) else (_AT_FDCWD, file, 0)
        if _statx(*at, _STATX_INO, told) == 0:
            return told[_INODE], told[_DEVICE]
    stat = os.stat(file if isinstance(file, int) else os.fsdecode(file))  # of a refusal it tells the reason
    halves = (os.major(stat.st_dev), os.minor(stat.st_dev))
    return stat.st_ino, int.from_bytes(b"".join(half.to_bytes(4, sys.byteorder) for half in halves), sys.byteorder)
