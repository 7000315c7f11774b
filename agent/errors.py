"""Every error the agent raises. The docstring of a class is its default message.

AgentError                     1   something went wrong; the message says what, where and the cure
├── UsageError                 2   the caller asked for something that makes no sense
├── NotFound                   3   no such task, worker or type
├── Conflict                   4   the state of things forbids it
│   └── IdempotencyConflict    4   the key belongs to a task with another type or payload
├── TaskFailed                 5   a waited-for task ended in failed or cancelled
├── WaitTimeout                6   a waited-for task did not end in time
├── PayloadError              65   a payload is not what may be stored
├── Unavailable               69   the agent or its database cannot be reached
│   └── StoreError            69   the database cannot be used
│       ├── StoreCutOff       69   this process has lost its descriptors of the database
│       └── StoreBroken       69   waiting mends nothing
│           ├── NewerDatabase     69   the database was made by a newer version
│           ├── ForeignDatabase   69   the file is not a database of ours
│           ├── StoreDamaged      69   what stands in the file is damaged
│           └── StoreReplaced     69   the database's files are not those that were opened
├── TryLater                  75   the same call may succeed later
│   ├── QueueFull             75   bulk.max_queued is reached
│   ├── StoreLocked           75   another process holds the database
│   └── AlreadySupervised     75   another supervisor serves the database
├── HandlersError             78   the handlers cannot be loaded
└── ConfigError               78   the configuration is wrong

`Fail` and `RetryAfter` are what a handler may raise; they derive from Exception, not from AgentError.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class AgentError(Exception):
    """The agent could not do what was asked."""

    exit_code = 1
    ids: Sequence[int] = ()
    """Tasks that were stored before it happened, where a call stores many."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


class UsageError(AgentError):
    """The call makes no sense as it stands."""

    exit_code = 2


class NotFound(AgentError):
    """There is no such thing."""

    exit_code = 3


class Conflict(AgentError):
    """The present state forbids it."""

    exit_code = 4


class IdempotencyConflict(Conflict):
    """The idempotency key belongs to a task with another type or payload."""


class TaskFailed(AgentError):
    """The task did not succeed."""

    exit_code = 5


class WaitTimeout(AgentError):
    """The task did not end in time."""

    exit_code = 6


class PayloadError(AgentError):
    """The payload is not a JSON object that can be stored."""

    exit_code = 65


class Unavailable(AgentError):
    """The agent cannot be reached."""

    exit_code = 69


class StoreError(Unavailable):
    """The database cannot be used."""


class StoreCutOff(StoreError):
    """This process can no longer use the database, while others can."""


class StoreBroken(StoreError):
    """The database is not what it was, or what it should be: waiting mends nothing."""


class NewerDatabase(StoreBroken):
    """The database was made by a newer version of the agent: upgrade the agent, or restore a backup."""


class ForeignDatabase(StoreBroken):
    """The file is not a database of this agent."""


class StoreDamaged(StoreBroken):
    """What stands in the database is damaged."""


class StoreReplaced(StoreBroken):
    """A file of the database was removed or replaced while it was in use."""


class TryLater(AgentError):
    """Not now: try again later."""

    exit_code = 75


class QueueFull(TryLater):
    """The queue is full."""


class StoreLocked(TryLater):
    """Another process holds the database."""


class AlreadySupervised(TryLater):
    """Another supervisor serves this database."""


class HandlersError(AgentError):
    """The handlers cannot be loaded."""

    exit_code = 78


class ConfigError(AgentError):
    """The configuration is wrong."""

    exit_code = 78


class Fail(Exception):
    """Raised by a handler: the task has failed and is not to be retried."""


class RetryAfter(Exception):
    """Raised by a handler: this attempt failed; the next may start after `delay` (seconds or a timedelta)."""

    def __init__(self, delay: float | timedelta, message: str = "") -> None:
        self.seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= self.seconds < 10 * 365 * 86400:
            raise ValueError(f"RetryAfter takes 0 seconds to 10 years, not {delay!r}")
        super().__init__(message or f"asked to be retried after {self.seconds:g} s")
