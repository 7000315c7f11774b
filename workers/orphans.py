"""What a dead worker's handlers leave: processes in groups of their own, which a signal to the worker's does not meet.

The fork server adopts them: as the nearest subreaper above, it is their parent once theirs has died. So it need not
search /proc to find them. Who is still in a dead worker's session dies as the worker did; who has left it (a daemon, by
setsid) goes on, and is only reaped.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from agent.host import adopt_orphans


class Orphans:
    """Made by the fork server before its first worker: the children that it has then are its modules' business."""

    def __init__(self) -> None:
        adopt_orphans()
        self._path = Path(f"/proc/self/task/{os.getpid()}/children")  # a kernel without it: groups alone die
        self._at_home = self._children()
        self._ended: set[int] = set()  # sessions of dead workers, while there may be somebody left of them

    def end_session(self, leader: int) -> None:
        """A worker has died: nobody of its session is to live."""
        self._ended.add(leader)

    def look(self, workers: Collection[int]) -> bool:
        """Kill and reap whom we have adopted; whether somebody may come after them. `workers`: ours that live."""
        self._ended.difference_update(workers)  # a number that was given again
        dying = set()
        for pid in self._children().difference(workers, self._at_home):
            with suppress(ChildProcessError, ProcessLookupError):
                reaped, _ = os.waitpid(pid, os.WNOHANG)
                if not reaped and (session := os.getsid(pid)) in self._ended:
                    dying.add(session)
                    with suppress(PermissionError):  # it has become another user: it is reaped once it ends
                        os.kill(pid, signal.SIGKILL)  # its end brings a SIGCHLD, and its children to us
        self._ended &= dying
        return bool(dying)

    def _children(self) -> set[int]:
        try:
            return {int(word) for word in self._path.read_bytes().split()}
        except OSError:
            return set()
