"""Named points in the code where a fault test lets something go wrong. Off unless the environment names one.

    SANAAGENT_FAILPOINTS="after_claim:kill:once=/tmp/fired; in_transaction:sleep=0.2:p=0.01:by=worker"

An entry is a point, an action and conditions, all of which must hold. Actions: `kill` and `stop` (SIGKILL, SIGSTOP to
this process), `raise` (an error that nobody expects), `full` (no space is left), `sleep=SECONDS`. Conditions: `n=3` the
third pass of this process and every later one; `p=0.1` by chance; `by=worker` or `supervisor`, `fork_server`, `caller`;
`once=FILE` the first process that can make this file, which then holds its pid.

Why it is so: a point costs the reading of one global name when all are off, and nothing is drawn, counted or parsed.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, replace

from agent.errors import ConfigError, StoreError

VARIABLE = "SANAAGENT_FAILPOINTS"
POINTS = frozenset(
    {
        "before_commit",  # of any write transaction
        "after_commit",
        "in_transaction",  # right after BEGIN IMMEDIATE
        "before_claim",  # a worker: what has ended is in the slot, the transaction has not begun
        "after_claim",  # … has been committed; the chunk is not open yet
        "before_start",  # the slot names the task, its handler has not begun
        "after_handler",  # the handler has returned, its outcome is not published
        "at_birth",  # a worker that is not ready yet
        "before_record",  # the supervisor: about to write what it found in slots
        "before_requeue",  # a worker is proven dead, its tasks are not given back yet
        "after_requeue",
        "during_recovery",  # between two owners that an earlier supervisor left behind
        "during_migration",  # between two steps
        "during_checkpoint",  # between the copying and its end under the write lock
        "before_fork",  # the fork server
        "before_reap",  # … a worker is dead, not reaped, its group not killed yet
    }
)
ACTIONS = ("kill", "stop", "raise", "full", "sleep")

ARMED = VARIABLE in os.environ
role = "caller"  # which process of the family this is

_passes: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen at a point, and when."""

    point: str
    action: str
    seconds: float = 0.0
    n: int = 1
    p: float = 1.0
    by: str = ""
    once: str = ""


class Failpoint(Exception):
    """The error that `raise` raises: one that no code expects."""


def reach(point: str) -> None:
    """Let happen what the environment says for this point. Call it only `if ARMED`."""
    _passes[point] += 1
    for fault in faults():
        if fault.point == point and _is_due(fault):
            _act(fault)


def play(name: str) -> None:
    """From now on this process is a `worker`, the `supervisor` or the `fork_server`."""
    global role
    role = name
    _passes.clear()


@functools.cache
def faults() -> tuple[Fault, ...]:
    """The faults that the environment names. Raises ConfigError for what makes no sense."""
    entries = os.environ.get(VARIABLE, "").split(";")
    return tuple(_parse(entry.strip()) for entry in entries if entry.strip())


def _parse(entry: str) -> Fault:
    point, _, rest = entry.partition(":")
    action, *conditions = rest.split(":")
    word, _, seconds = action.partition("=")
    if point not in POINTS or word not in ACTIONS:
        known = f"points are {', '.join(sorted(POINTS))}; actions are {', '.join(ACTIONS)}"
        raise ConfigError(f"{entry!r} names no point and action: {known}")
    try:
        fault = Fault(point, word, float(seconds or 0))
        for name, _, value in (condition.partition("=") for condition in conditions):
            fault = replace(fault, **{name: {"n": int, "p": float, "by": str, "once": str}[name](value)})
    except (KeyError, ValueError) as error:
        raise ConfigError(f"in {entry!r} {error} is no condition: n=, p=, by= or once=") from error
    return fault


def _is_due(fault: Fault) -> bool:
    if fault.by not in ("", role) or _passes[fault.point] < fault.n or not _by_chance(fault.p):
        return False
    return not fault.once or _is_first(fault.once)


def _by_chance(p: float) -> bool:
    if p >= 1:
        return True
    import random  # every command imports this module, and hardly one needs chance

    return random.random() < p  # nosec B311  # of a fault test


def _is_first(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    return True


def _act(fault: Fault) -> None:
    if fault.action == "sleep":
        time.sleep(fault.seconds)
    elif fault.action == "raise":
        raise Failpoint(fault.point)
    elif fault.action == "full":
        raise StoreError(f"no space is left ({os.strerror(errno.ENOSPC)}, failpoint {fault.point})")
    else:
        os.kill(os.getpid(), signal.SIGKILL if fault.action == "kill" else signal.SIGSTOP)
