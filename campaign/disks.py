"""File systems of our own to be filled, write-protected and frozen: for root alone, and undone whatever happens.

Why it is so: they are mounted in a mount namespace of this process. Nobody else sees them, and with the last process of
the namespace all goes that is mounted in it, also when everybody was killed. A file system is frozen by a helper, for a
time it was told before: whoever touches it meanwhile stands still, this process too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from campaign import Broken

CLONE_NEWNS = 0x00020000  # linux/sched.h
FREEZE = 'fsfreeze -f "$1" || exit 1; echo frozen; sleep "$2"; fsfreeze -u "$1"'


class Disk:
    """A mounted file system at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Leave no byte free."""
        fd = os.open(self.path / "filler", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while os.write(fd, b"x" * size):
                        pass
            if os.statvfs(self.path).f_bfree:
                raise Broken(f"{self.path} cannot be filled")
        finally:
            os.close(fd)

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.path / "filler").unlink()

    def remount(self, how: str) -> None:
        """`ro`, `rw`; `abort`: as the kernel does when a file system meets an error, whoever has files open."""
        _run("mount", "-o", f"remount,{how}", str(self.path))

    def freeze(self, seconds: float) -> subprocess.Popen[str]:
        """Whoever writes stands still for so long; the helper, whose end is the thaw. Returned once it is frozen."""
        words = ["sh", "-c", FREEZE, "sh", str(self.path), str(seconds)]
        helper = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")
        if not helper.stdout or helper.stdout.readline() != "frozen\n":
            raise Broken(f"{self.path} cannot be frozen: {helper.communicate()[1].strip()}")
        return helper


@contextmanager
def memory(path: Path, size: str) -> Iterator[Disk]:
    """A file system of this size in memory."""
    with _mounted(path, "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs"):
        yield Disk(path)


def make_image(image: Path, size: int) -> None:
    """An ext4 file system of so many bytes in a file."""
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", str(image))


@contextmanager
def loop(path: Path, image: Path) -> Iterator[Disk]:
    """The file system of an image."""
    with _mounted(path, "-o", "loop", str(image)):
        yield Disk(path)


@contextmanager
def _mounted(path: Path, *words: str) -> Iterator[None]:
    _enter_own_namespace()
    path.mkdir(parents=True, exist_ok=True)
    _run("mount", *words, str(path))
    try:
        yield
    finally:
        try:
            _run("umount", str(path))
        except Broken:  # somebody is still there, who goes when the round has failed
            _run("umount", "--lazy", str(path))


def _enter_own_namespace() -> None:
    if os.geteuid():
        raise Broken("only root may mount: run it as root to have real file systems fail")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise Broken(f"root may not mount here: {errno.errorcode[ctypes.get_errno()]}")
    _run("mount", "--make-rprivate", "/")


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Broken(f"there is no {words[0]} on this machine") from error
    if done.returncode:
        raise Broken(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
