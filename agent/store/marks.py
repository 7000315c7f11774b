"""Which file a number or a name leads to, asked without its times.

Why it is so: who asks for the times of a file, as `os.stat` does, makes its next write note the time exactly, and the
sync after that waits a third longer (Linux 6.13, multigrain timestamps). statx(2) asks for the inode alone; Python has
it from 3.15 on.
"""

from __future__ import annotations

import ctypes
import os
from struct import Struct

Mark = tuple[int, int]  # inode and device

_AT_FDCWD, _AT_EMPTY_PATH, _STATX_INO = -100, 0x1000, 0x100  # of linux/fcntl.h and linux/stat.h
_BYTES = 256  # of struct statx
_INODE, _DEVICE = Struct("=32xQ"), Struct("=136xII")  # stx_ino, stx_dev_major and stx_dev_minor
_statx = getattr(ctypes.CDLL(None), "statx", None)


def identify(file: int | str) -> Mark:
    """Raises OSError."""
    if _statx is not None:
        told = ctypes.create_string_buffer(_BYTES)
        at = (file, b"", _AT_EMPTY_PATH) if isinstance(file, int) else (_AT_FDCWD, os.fsencode(file), 0)
        if _statx(*at, _STATX_INO, told) == 0:
            return _INODE.unpack_from(told)[0], os.makedev(*_DEVICE.unpack_from(told))
    stat = os.stat(file)  # what statx refuses, this tells, with its reason
    return stat.st_ino, stat.st_dev
