"""The contract of a store: what each verb may be called on, what it guards, what is atomic, what it gives back.

For every verb: it is one transaction, it has happened wholly or not at all, and when it returns what it wrote is
durable and seen by all. A verb moves a task only from the states that it names, and otherwise touches nothing of it:
neither its row, nor its counts, attempts or key. `now` is the caller's wall time; a store reads no clock. Objects may
be used by several threads, and by a forked child without closing or reopening anything.

The fence of a claim is (worker, claims): what a worker, or the supervisor in its place, writes about a task counts only
while that very claim holds it. A claim is held from `exchange` until its outcome is recorded, its worker gives the task
back or its worker is buried. Ids of tasks are never used twice.

Any verb raises StoreLocked when others keep the store busy for too long, and StoreError when it cannot be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from agent.lifecycle import State
from agent.task import Enqueued, NewTask, Outcome, Start, Task

if TYPE_CHECKING:
    from agent.host import Identity
    from agent.outbox import Delivery
    from agent.store.values import (
        Admission,
        Burial,
        CaughtUp,
        Chunk,
        Command,
        Death,
        Note,
        Pruned,
        Return,
        Standing,
        Totals,
        Waiting,
        WorkerRow,
    )


class Tasks(Protocol):
    """What callers ask; any process may, at any time, whether a supervisor runs or not."""

    def enqueue(self, new: Sequence[NewTask], now: int, max_queued: int = 0) -> list[Enqueued]:
        """Store tasks, all or none; one answer for each, in the order given, with ids that rise in that order.

        A task is `queued`, or `scheduled` when it is due after `now`. One whose key belongs to a task of the same type
        and payload (as `agent.payload.canonical` compares them) that is unfinished or succeeded is not stored: that
        task's id and state come back as `existing`, with its result if it has succeeded, even if it was pruned since.
        After failed or cancelled the key moves to the new task. Within one call a key given twice counts once.

        Raises IdempotencyConflict when the key's task has another type or payload, and QueueFull when something new
        was to be stored and more than `max_queued` tasks (0: no limit) would wait (scheduled, retry_scheduled, queued).
        """

    def find(self, task: int) -> Task:
        """A task with its ended attempts, oldest first; the one that runs or succeeded is in the row itself.

        `max_attempts` is the task's own, else its type's as last announced. Raises NotFound.
        """

    def list(self, state: State | None, type_name: str | None, limit: int) -> list[Task]:
        """The newest tasks, optionally of one state and one type, highest id first, at most `limit`."""

    def totals(self) -> Totals:
        """How many tasks stand where, equal to a count of the rows; what it costs does not grow with their number.

        `oldest_due_at`: when the queued task that has waited longest, seen from the heads of the lines, was due.
        """

    def types(self) -> dict[str, bool]:
        """Every type ever enqueued or announced, and whether the last announcement had a handler for it."""

    def cancel(self, task: int, now: int) -> bool:
        """Cancel a task.

        True: scheduled, retry_scheduled or queued before, it is `cancelled`. False: a worker holds it; nothing moved,
        and a command `cancel {"task": id}` waits for the supervisor. Raises NotFound; Conflict when it is finished.
        """

    def cancel_waiting(self, task: int, now: int, command: int | None = None) -> bool:
        """Cancel a task as `cancel` does, but when a worker holds it nobody is asked: False says so.

        `command`: the one that asks for it; once it is answered, nothing moves (False).
        """

    def retry(self, task: int, now: int) -> None:
        """Queue a failed or cancelled task again: failures, crashes and kills start at 0, attempts go on counting.

        The later order wins: `cancel` commands for the task that still wait are answered in the same transaction.
        Raises NotFound; Conflict when it is in another state, or when its key belongs to a newer task (which it names).
        """


class Claims(Protocol):
    """One worker's verbs."""

    def kinds(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of the types by name; unknown types are made. Writes nothing when all are known."""

    def exchange(
        self, kind: int, outcomes: Sequence[Outcome], unbegun_after: int | None, admission: Admission | None
    ) -> Chunk:
        """Record outcomes, give back what has not begun, claim the next chunk; in this order, in one transaction.

        Outcomes, all of type `kind`, move reserved and in_progress tasks to what they say (`succeeded` needs a result,
        `retry_scheduled` a due time); one that did not succeed is kept as an attempt. An outcome whose claim has ended
        already through an outcome (or its worker's burial) changes nothing and is silently passed over; one whose task
        is somebody else's by now, or gone, or back in the queue, changes nothing and comes back as `stale`.

        `unbegun_after`: the worker's reserved tasks with greater ids are queued again, and no attempt is counted; what
        the supervisor has written as begun is not touched.

        With an `admission`, up to `size(kind, queued)` queued tasks (at least 1) become `reserved` by this worker, with
        `claims` one higher: all of one type and one priority, namely those of the admissible head with the highest
        priority, then the lowest id; in the order of ids. `queued` counts the tasks of all its types. Admissible is a
        type of `kinds` of which fewer workers than its limit hold tasks. A task with a crash or a kill is claimed
        alone. If the standing orders have another version than the admission, nothing is claimed and the chunk is
        `outdated`; the rest is done nevertheless. Each claimed task unpacks as the fields of `Claimed` (a store may
        hand out plain tuples).

        With nothing to record, to give back or to claim, no lock is taken, and other writers do not delay it.
        """


class Custody(Protocol):
    """The supervisor's verbs over workers and what they hold; only the supervisor calls them."""

    def announce(self, types: Mapping[str, int | None]) -> None:
        """Say which types have a handler from now on, no others, and their `max_attempts`."""

    def add_worker(self, worker: int, identity: Identity, now: int) -> None:
        """A worker is born; its state is `starting`."""

    def set_worker(self, worker: int, state: str, now: int) -> None:
        """A worker is in another state since `now`; a buried or unknown one is passed over."""

    def workers(self) -> list[WorkerRow]:
        """Every worker that nobody has buried, oldest first."""

    def catch_up(
        self, outcomes: Mapping[int, Sequence[Outcome]], starts: Sequence[Start], returns: Sequence[Return]
    ) -> CaughtUp:
        """For live workers held up by a handler, in this order: record, write starts, take back.

        `outcomes`, by worker and of any type, are recorded and judged as by `exchange`. A start moves a reserved task
        to `in_progress` and writes its attempt's number and time; one whose claim has moved on is passed over. A return
        queues the worker's reserved tasks with ids above `after` again, if `still()`, asked inside the transaction when
        no claim of theirs can change any more, says so; no attempt is counted.
        """

    def bury(
        self, worker: int, outcomes: Sequence[Outcome], running: Start | None, death: Death, why: str, now: int
    ) -> Burial:
        """All that is due after a worker's proven death.

        First its outcomes are recorded as by `exchange`: they win over everything below. Then the task whose handler
        was running, if that very claim holds it still: CANCELLED makes it `cancelled`; the third CRASHED and the tenth
        KILLED make it `failed` as poison; else it is `queued` again, one crash or kill (none for LOST) the richer. Its
        attempt is counted and kept under the death's word, with `why`. `running` None: what had been written as begun
        is queued again, its attempt kept as lost. What else it held is queued, no attempt counted. Last, the worker is
        struck off. Burying again, or an unknown worker, does what is left to do.
        """

    def unknown_owners(self) -> list[int]:
        """Workers that hold tasks, but are buried or were never born (a restored backup)."""

    def promote(self, now: int) -> tuple[int, int | None]:
        """Queue what is scheduled or retry_scheduled and due, the longest due first, at most a thousand of each state.

        How many moved, and when the next is due: not after `now` when more is left, None when nothing waits.
        With nothing due, no lock is taken.
        """

    def hasten(self, now: int) -> int:
        """Make retries due whose last attempt ended after `now`, that is, before the clock was set back; how many.

        Letters that wait to be delivered again are due as well.
        """

    def waiting(self) -> Waiting:
        """How many tasks of each type are queued (types with none are left out), when the next one that is scheduled or
        retry_scheduled is due (None: there is none), and whether a command waits; all as of one moment."""

    def unhandled(self) -> dict[str, int]:
        """Types without a handler, with the number of tasks that wait for one; types with none are left out."""

    def unfinished(self) -> int:
        """How many tasks of the types that have a handler are not finished."""


class Oversight(Protocol):
    """What governs the work. The supervisor writes; everybody may `ask`, `withdraw` and read."""

    def standing(self) -> Standing:
        """The operators' standing orders with their version; a new store has version 1, no limit, nothing paused."""

    def admit(self, standing: Standing) -> Standing:
        """Replace the standing orders; as they stand now, their version one higher whatever was given.

        No claim by an older version succeeds from now on.
        """

    def governor(self) -> str | None:
        """The governor's state as last observed."""

    def observe(
        self,
        now: int,
        sample: str,
        state: str,
        notes: Sequence[Note],
        letters: Sequence[tuple[str, str, str]],
        beats: Mapping[int, int],
    ) -> None:
        """Store a sample, the governor's state and decisions, letters and heartbeats, together.

        `letters`: (episode, channel, payload), due at once; an episode is told once by each channel, for ever.
        `beats`: worker → resident bytes, seen alive at `now`; buried and unknown workers are passed over.
        """

    def latest_sample(self) -> str | None:
        """The newest sample."""

    def ask(self, verb: str, detail: Mapping[str, object], now: int) -> int:
        """Leave a command for the supervisor; its number, never used twice."""

    def commands(self) -> list[Command]:
        """Commands that wait, oldest first."""

    def answer(self, command: int, outcome: str, now: int) -> None:
        """Say what became of a command; it waits no longer."""

    def answer_of(self, command: int) -> str | None:
        """What became of a command, or None while it waits (or was withdrawn)."""

    def withdraw(self, command: int) -> None:
        """Take a command back, unless it was answered."""


class Outbox(Protocol):
    """Letters that wait to be delivered; each verb below `next_due` counts one attempt."""

    def due(self, now: int, limit: int) -> list[Delivery]:
        """At most `limit` letters to deliver now, the longest due first."""

    def next_due(self) -> int | None:
        """When the next letter is due, None when none waits."""

    def delivered(self, letter: int, now: int) -> None:
        """It has arrived and waits no longer."""

    def postpone(self, letter: int, due_at: int, error: str) -> None:
        """It did not arrive; try again at `due_at`."""

    def give_up(self, letter: int, now: int, error: str) -> None:
        """It did not arrive, and is not tried again."""


class Upkeep(Protocol):
    """Keeping the store small; whoever calls it holds up no other writer for longer than a batch."""

    def prune_tasks(self, finished_before: int, now: int) -> Pruned:
        """Delete one batch of the tasks finished before a time, with their attempts.

        The key of a succeeded one stays, with its result; that of a failed or cancelled one goes, unless it has moved.
        Batches walk up from a kept mark; what was unfinished when the walk passed it is met by a later walk, one of
        which begins in the first call an hour after the last one ended.
        """

    def prune_rest(self, before: int, keys_before: int | None) -> int:
        """Delete a batch each of old samples, decisions, buried workers, answered commands and settled letters.

        With `keys_before`, also keys whose deleted task succeeded before then. How many were deleted.
        """

    def mark(self, name: str) -> int:
        """A kept number, 0 when there is none."""

    def set_mark(self, name: str, value: int) -> None:
        """Keep a number."""

    def checkpoint(self, finish: bool) -> tuple[int, int]:
        """Bound the store's own log: (what it holds, how much of that is merged); equal after `finish` with no reader.

        `finish` keeps writers out until it is done. A store without a log of its own gives (0, 0).
        """

    def log_frames(self) -> tuple[int, int]:
        """The same two numbers, looked at without merging anything and without waiting for anybody."""


class Store(Protocol):
    """Everything, by who uses it. Safe to share among threads; a forked child may go on using its parent's."""

    @property
    def tasks(self) -> Tasks:
        """The callers' verbs."""

    def claims(self, worker: int) -> Claims:
        """One worker's verbs."""

    @property
    def custody(self) -> Custody:
        """The supervisor's verbs over workers and what they hold."""

    @property
    def oversight(self) -> Oversight:
        """Admission, the governor's keeping, operators' commands."""

    @property
    def outbox(self) -> Outbox:
        """Letters that wait to be delivered."""

    @property
    def upkeep(self) -> Upkeep:
        """Retention and checkpoints."""

    def data_version(self) -> int:
        """A number that changes whenever somebody else has committed."""

    def close(self) -> None:
        """Let go of what is open; the next verb opens it again."""
