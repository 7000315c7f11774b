"""The supervisor's handle on the fork server, which is its child."""

from __future__ import annotations

import os
import select
import signal
import subprocess  # nosec B404  # lists of words only
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.errors import HandlersError, Unavailable
from agent.handlers import Registry
from workers.births import NOT_FOR_HANDLERS, WorkerMain, flush_streams, leave_by
from workers.channel import Channel, Nonsense, close_all, understood
from workers.fork_server import serve
from workers.messages import Report
from workers.signals import fork_with_signals_blocked

ROOT = Path(__file__).resolve().parent.parent
# Our root comes first and the working directory, which `-c` puts there, not at all: `workers` is ours and `socket` is
# Python's, even where the user has modules of those names. The loader adds the directory, if it may be trusted.
FRESH_INTERPRETER = (
    "import sys; sys.path[:] = [sys.argv.pop(), *filter(None, sys.path)]; from workers.fork_server import main; main()"
)


DIES_WITHIN = 5.0  # seconds after SIGKILL, unless the kernel cannot let go of it


class ForkServer:
    """A running fork server. Start it on the main thread: it dies with the thread that started it.

    `exited` is its exit code, or minus the signal, once `is_alive` or `stop` has seen its end.
    """

    def __init__(self, pid: int, channel: Channel, process: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.channel = channel
        self.exited: int | None = None
        self._process = process
        self._pidfd = os.pidfd_open(pid)
        self._has_imported = False

    @classmethod
    def start_fresh(cls, specs: Sequence[str], cwd: Path, worker_main: str | None = None) -> ForkServer:
        """In an interpreter of its own, which imports the handlers; `types` or `import_error` follows.

        `worker_main`: `module:function`, for `workers.worker:main`. Raises Unavailable when there is no room for it.
        """
        ours, theirs = Channel.pair()
        try:
            process = subprocess.Popen(  # nosec B603  # our own interpreter and numbers
                [sys.executable, "-c", FRESH_INTERPRETER, str(theirs.fileno()), str(os.getpid()), str(ROOT)],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env={name: value for name, value in os.environ.items() if name not in NOT_FOR_HANDLERS},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise Unavailable(f"cannot start the fork server: {error}") from error
        finally:
            theirs.close()
        server = cls(process.pid, ours, process)
        ours.send({"op": "load", "handlers": list(specs), "cwd": str(cwd), "worker_main": worker_main})
        return server

    @classmethod
    def start_forked(cls, registry: Registry, worker_main: WorkerMain) -> ForkServer:
        """As a copy of this process, with the handlers it has; the caller has closed its store. `types` follows.

        Raises Unavailable when there is no room for it.
        """
        ours, theirs = Channel.pair()
        parent = os.getpid()
        flush_streams()
        try:
            pid = fork_with_signals_blocked()
        except OSError as error:
            ours.close()
            theirs.close()
            raise Unavailable(f"cannot start the fork server: {error}") from error
        if pid == 0:
            leave_by(lambda: _serve_forked(ours, theirs, registry, worker_main, parent))
        theirs.close()
        return cls(pid, ours)

    def fileno(self) -> int:
        """For a selector: readable when there is a report, or the end."""
        return self.channel.fileno()

    def fork(self, worker_id: int, boot: dict[str, Any], fds: Iterable[int]) -> bool:
        """Asks for a worker; fds: its control end and the write end of its output, which stay the caller's to close.

        `forked` or `fork_failed` follows. False when the fork server is gone.
        """
        return self.channel.send({"op": "fork", "worker": worker_id, "boot": boot}, fds)

    def signal(self, worker_id: int, number: int) -> bool:
        """Asks for a signal to the worker's process group. False when the fork server is gone."""
        return self.channel.send({"op": "signal", "worker": worker_id, "signal": int(number)})

    def receive(self) -> tuple[Report, list[int]] | None:
        """The next report with the pidfd of a worker that was forked, or None.

        Raises PeerGone once all are read and the fork server is gone, and Nonsense when it reports what makes no sense.
        """
        received = self.channel.receive()
        if received is None:
            return None
        message, descriptors = received
        try:
            report = understood(message, Report)
            if len(descriptors) != (report.op == "forked"):
                raise Nonsense
        except Nonsense:
            close_all(descriptors)
            raise
        self._has_imported = True  # `types` is what it says first
        return report, descriptors

    def check_import(self) -> None:
        """Raise HandlersError if it ended by itself before it had imported the handlers: another one would, too."""
        if not self._has_imported and self.exited not in (None, -signal.SIGKILL):
            cure = "import them by hand to see why"
            raise HandlersError(f"the process that imports the handlers ended with status {self.exited}: {cure}")

    def is_stopped(self) -> bool:
        """Whether somebody has stopped it, and it has not gone on since."""
        if self.exited is not None:
            return False
        with suppress(ChildProcessError):
            return bool(os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT))
        return False

    def go_on(self) -> None:
        """SIGCONT to it."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)

    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        self._reap(os.WNOHANG)
        return self.exited is None

    def stop(self, timeout: float) -> int | None:
        """Ends it, and with it all its workers, by force after `timeout` seconds; `exited`. May be called again."""
        self.channel.close()
        if self.exited is None and not self._ends_within(timeout):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._ends_within(DIES_WITHIN)
        if self.exited is None:
            with suppress(ProcessLookupError, PermissionError):  # children that handlers' imports have forked
                os.killpg(self.pid, signal.SIGKILL)
        self._reap(os.WNOHANG)
        return self.exited

    def _ends_within(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def _reap(self, flags: int) -> None:
        if self.exited is not None:
            return
        try:
            pid, status = os.waitpid(self.pid, flags)
        except ChildProcessError:  # SIGCHLD is ignored here: nobody will ever know how it ended
            pid, status = (self.pid, 0) if self._ends_within(0) else (0, 0)
        if pid == 0:
            return
        self.exited = os.waitstatus_to_exitcode(status)
        os.close(self._pidfd)
        if self._process is not None:
            self._process.returncode = self.exited


def _serve_forked(ours: Channel, theirs: Channel, registry: Registry, worker_main: WorkerMain, parent: int) -> int:
    ours.close()
    return serve(theirs, registry, worker_main, parent)
