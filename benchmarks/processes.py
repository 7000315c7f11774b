"""Other programs, as processes of their own: timed, waited for, and ended with all that they started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from benchmarks import Broken

CHECKOUT = Path(__file__).resolve().parents[1]
PATIENCE_S = 600.0  # for what should end or happen by itself
STOP_S = 15.0  # for what was asked to end
LOOK_S = 0.02


def timed(command: Sequence[str | Path], directory: Path, env: Mapping[str, str] | None = None) -> float:
    """Seconds of a command from its start to its end. Raises Broken when it fails."""
    began = time.perf_counter()
    with Running(command, directory, env) as running:
        code = running.wait()
        took = time.perf_counter() - began
    if code:
        raise Broken(f"{running.name} ended with {code}: {running.errors()}")
    return took


def until(condition: Callable[[], bool], what: str, running: Running | None = None, look_s: float = LOOK_S) -> None:
    """Wait for a condition. Raises Broken after `PATIENCE_S`, or once the process it depends on has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if running is not None and running.process.poll() is not None:
            raise Broken(f"{running.name} ended with {running.process.returncode} before {what}: {running.errors()}")
        if time.monotonic() > deadline:
            raise Broken(f"waited {PATIENCE_S:g} s in vain for {what}")
        time.sleep(look_s)


class Running:
    """A program that runs in a session of its own; leaving the `with` block ends it and all of its session.

    What it writes goes to files in `directory`. `env` is added to the environment; only root can name a `user`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        directory: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        words = [str(word) for word in command]
        self.name = " ".join(Path(word).name for word in words[:4])
        self._files = directory / f"process-{time.monotonic_ns()}"
        with self._files.with_suffix(".out").open("wb") as out, self._files.with_suffix(".err").open("wb") as err:
            self.process = subprocess.Popen(
                words, cwd=directory, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, start_new_session=True, user=user,
            )  # fmt: skip
        self.pid = self.process.pid

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Its exit code, once it ends by itself. Raises Broken."""
        if self.process.poll() is None:
            pidfd = os.pidfd_open(self.pid)  # Popen.wait(timeout) would look each 50 ms only
            try:
                if not select.select([pidfd], [], [], timeout)[0]:
                    raise Broken(f"{self.name} did not end within {timeout:g} s: {self.errors()}")
            finally:
                os.close(pidfd)
        return self.process.wait()

    def output(self) -> str:
        """What it has written to standard output so far."""
        return self._files.with_suffix(".out").read_text("utf-8", errors="replace")

    def errors(self) -> str:
        """The end of what it has written to standard error so far."""
        return self._files.with_suffix(".err").read_text("utf-8", errors="replace")[-2000:]

    def stop(self) -> None:
        """SIGTERM; then SIGKILL to what is left of its session."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
