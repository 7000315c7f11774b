"""Stopping a worker on purpose, nowhere in the midst of a transaction: to freeze it, or to end the attempt it runs.

Why it is so: the hold word keeps the worker from beginning a new turn; SIGSTOP goes to its group; once the fork server
reports it stopped, what its slot says stands still. Busy in the database: it runs on until it is not, and is stopped
again. Only then is a freeze a freeze, and only then is it certain that the attempt to be killed is the one that runs.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from enum import Enum

from agent.telemetry.logs import log
from workers.harvest import Running, unless_ended
from workers.process import Halt, WorkerProcess

MOST_TRIES = 2  # 7 ms in the median with two busy workers; without the hold word it took up to 86 ms

Signal = Callable[[int, int], object]  # worker id, signal number
Busy = Callable[[WorkerProcess], bool]  # whether it, or a child of its handler, is in a transaction


class Halted(Enum):
    """What a halt has come to."""

    PENDING = "pending"
    FROZEN = "frozen"
    KILLED = "killed"
    MISSED = "missed"  # the attempt had ended meanwhile, or the worker was never out of the database


def begin(worker: WorkerProcess, halt: Halt, send: Signal, is_busy: Busy) -> None:
    """Start to stop a worker."""
    worker.halt = halt
    worker.hold(True)
    # Stopped in a transaction it would hold up all who write, us first: `retry` stops it once that is over.
    halt.is_let_go = halt.purpose == "freeze" and is_busy(worker)
    if not halt.is_let_go:
        send(worker.id, signal.SIGSTOP)


def on_stopped(worker: WorkerProcess, send: Signal, is_busy: Busy, at_ns: int) -> Halted:
    """The fork server has seen the worker stopped, at that time."""
    halt = worker.halt
    if halt is None:
        return Halted.PENDING
    if halt.purpose == "freeze":
        return _settle_freeze(worker, halt, send, is_busy, at_ns)
    return _settle_kill(worker, halt, send)


def retry(worker: WorkerProcess, send: Signal, is_busy: Busy) -> None:
    """Stop a worker again that was let go because it was busy, once it is busy no more."""
    if worker.halt is not None and worker.halt.is_let_go and not is_busy(worker):
        worker.halt.is_let_go = False
        send(worker.id, signal.SIGSTOP)


def let_go(worker: WorkerProcess, send: Signal, now_ns: int) -> None:
    """Let a stopped worker go on."""
    if worker.frozen_ns is not None:
        worker.stood_still(now_ns - worker.frozen_ns)
        worker.frozen_ns = None
        worker.frozen_by = ""
    worker.halt = None
    worker.hold(False)
    send(worker.id, signal.SIGCONT)


def _settle_freeze(worker: WorkerProcess, halt: Halt, send: Signal, is_busy: Busy, at_ns: int) -> Halted:
    if not is_busy(worker):
        worker.halt = None
        worker.frozen_ns = at_ns
        worker.frozen_by = halt.why
        return Halted.FROZEN
    if halt.tries >= MOST_TRIES:
        let_go(worker, send, at_ns)
        return Halted.MISSED
    halt.tries += 1
    halt.is_let_go = True
    send(worker.id, signal.SIGCONT)
    return Halted.PENDING


def _settle_kill(worker: WorkerProcess, halt: Halt, send: Signal) -> Halted:
    if not _is_still(worker, halt.running):
        worker.halt = None
        worker.hold(False)
        send(worker.id, signal.SIGCONT)
        return Halted.MISSED
    worker.killed_for = halt
    worker.halt = None
    send(worker.id, signal.SIGKILL)
    log(
        "worker.killed",
        worker=f"{worker.id:016x}",
        pid=worker.pid,
        task=halt.running and halt.running.task,
        why=halt.why,
    )
    return Halted.KILLED


def _is_still(worker: WorkerProcess, meant: Running | None) -> bool:
    """Whether the very attempt runs, with no outcome published."""
    running = worker.running()
    if running is None or meant is None or (running.task, running.claims) != (meant.task, meant.claims):
        return False
    ended, _ = worker.pending()
    return unless_ended(running, ended) is not None
