"""What a moment of the agent consists of: rows, workers with their slots, what the supervisor knows, faults to come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from agent.lifecycle import FINISHED as FINISHED_STATES
from agent.lifecycle import HELD as HELD_STATES
from agent.lifecycle import State as TaskState

Label = tuple[Any, ...]
"""Who, what, and the details."""

# Plain integers: a member of an enumeration is hashed by a function of Python's.
RETRY_SCHEDULED, QUEUED, RESERVED, IN_PROGRESS, SUCCEEDED, FAILED, CANCELLED = (
    int(state)
    for state in (
        TaskState.RETRY_SCHEDULED,
        TaskState.QUEUED,
        TaskState.RESERVED,
        TaskState.IN_PROGRESS,
        TaskState.SUCCEEDED,
        TaskState.FAILED,
        TaskState.CANCELLED,
    )
)
HELD = frozenset(map(int, HELD_STATES))
FINISHED = frozenset(map(int, FINISHED_STATES))

ALIVE, DEAD, ABSENT = "alive", "dead", ""
UP, DOWN, RECOVERING, LOST = "up", "down", "recovering", "lost"

BY_US, BY_OTHERS = "frozen by us", "frozen by others"

NONE = -1  # of a word or a position that says nothing
OF_ANOTHER_CHUNK = -2  # a position that was read of a chunk which is closed by now


class Task(NamedTuple):
    """A row; and, for the checks alone, what the world knows of the task (`begun`, `kept`, `returned`, `wanted`)."""

    state: int = QUEUED
    holder: int = 0  # the place of the worker in the row; 0: none who lives
    claim: int = 0
    is_asked: bool = False  # a command to cancel it is open
    begun: bool = False  # its handler began under the row's claim
    kept: bool = False  # an outcome stands in a slot that nobody has recorded
    returned: bool = False  # a handler of it has returned well
    wanted: bool = True  # an operator's last word


Attempt = tuple[int, int]
"""Task and claim: with a worker, a fence. `()` in its place: none."""

Outcome = tuple[int, int, int]
"""Task, claim and the state it is to have."""


class Slot(NamedTuple):
    """The shared words and the ring. Words of a closed chunk are forgotten: nothing compares equal to them."""

    task: tuple[int, ...] = ()  # the attempt that is named
    begun: int = NONE  # position in the open chunk; NONE: closed
    limit: int = NONE
    last: int = 0
    ring: tuple[Outcome, ...] = ()  # published, and not committed as far as the slot tells
    hold: bool = False


class Desk(NamedTuple):
    """What the supervisor knows of one worker, and what is on its way between it, the fork server and the worker."""

    halt: tuple[Any, ...] = ()  # purpose, task, claim, tries, is_let_go
    frozen: str = ""  # BY_US, BY_OTHERS
    killed_for: tuple[Any, ...] = ()  # purpose, task, claim
    limited: int = NONE  # what `take_back` read
    is_visible: bool = False  # the limit was written a tick ago
    returned: int = NONE
    down: tuple[str, ...] = ()  # signals asked for
    up: tuple[str, ...] = ()  # reports; "… before" was overtaken by a SIGCONT of ours


class Worker(NamedTuple):
    """A process: its program counter `at`, its memory, what the kernel does with it."""

    life: str = ABSENT
    at: str = "turn"
    chunk: tuple[Attempt, ...] = ()
    position: int = 0  # how many of the chunk have begun
    ended: tuple[Outcome, ...] = ()  # ended, not recorded as far as it knows
    gives_back: int = NONE  # tasks with later ids have not begun and will not
    buffer: tuple[tuple[str, Any], ...] = ()  # stores into its slot that have not left the processor: word, value
    is_stopped: bool = False
    is_doomed: bool = False  # its parent is dead: a SIGKILL is on its way
    event: str = ""  # what waitid will tell
    has_row: bool = True
    has_slot: bool = True
    is_struck: bool = False  # taken for dead and buried
    is_meddled_with: bool = False  # an outsider has let it go on
    slot: Slot = Slot()
    desk: Desk = Desk()


class Faults(NamedTuple):
    """How often something may still happen that need not."""

    death: int = 0
    crash: int = 0  # of the supervisor, and with it of all
    fork_server_death: int = 0
    error: int = 0  # a handler that fails
    freeze: int = 0
    cancel: int = 0
    retry: int = 0  # by an operator
    deadline: int = 0
    take_back: int = 0
    lag: int = 0  # of the supervisor, between what it reads in a slot and what it writes to the store
    trouble: int = 0  # a transaction that fails, or seems to
    large_result: int = 0  # one that the ring has no room for
    leave: int = 0  # a worker that goes by itself, between two chunks
    stop: int = 0  # SIGSTOP by an outsider
    cont: int = 0  # SIGCONT by an outsider
    rival: int = 0  # a second supervisor


class State(NamedTuple):
    """All of it. `hand`: what the supervisor is in the midst of: verb, place, details."""

    tasks: tuple[Task, ...]
    workers: tuple[Worker, ...]
    supervisor: str
    fork_server: str
    hand: tuple[Any, ...]
    rival: int
    size: int  # how many workers there are to be
    left: Faults


Step = tuple[Label, State]
Steps = Iterator[Step]


def beginning(tasks: int, size: int, left: Faults) -> State:
    """Everything queued, nobody born."""
    return State((Task(),) * tasks, (Worker(), Worker()), UP, UP, (), 0, size, left)


def key(state: State) -> State:
    """The same for states that differ only in which worker is called the first."""
    first, second = state.workers
    if first <= second:
        return state
    return state._replace(
        tasks=tuple([task._replace(holder=3 - task.holder) if task.holder else task for task in state.tasks]),
        workers=(second, first),
        hand=(state.hand[0], 3 - state.hand[1], *state.hand[2:]) if state.hand and state.hand[1] else state.hand,
    )


def spend(state: State, fault: str) -> State:
    """One fault fewer to come."""
    return state._replace(left=state.left._replace(**{fault: getattr(state.left, fault) - 1}))


def put(state: State, place: int, worker: Worker) -> State:
    """With a worker changed."""
    return state._replace(workers=(worker, state.workers[1]) if place == 1 else (state.workers[0], worker))


def put_task(state: State, number: int, task: Task) -> State:
    """With a row changed."""
    return state._replace(tasks=changed(state.tasks, number, task))


def changed(tasks: tuple[Task, ...], number: int, task: Task) -> tuple[Task, ...]:
    """Rows with one of them changed."""
    return (*tasks[: number - 1], task, *tasks[number:])


def in_slot(worker: Worker, **words: Any) -> Worker:
    """With words of its slot changed."""
    return worker._replace(slot=worker.slot._replace(**words))


def on_desk(worker: Worker, **facts: Any) -> Worker:
    """With what the supervisor knows of it changed."""
    return worker._replace(desk=worker.desk._replace(**facts))


def is_locked(state: State) -> bool:
    """Whether somebody holds the write lock."""
    return any(worker.at == "in store" for worker in state.workers)


def is_lock_stuck(state: State) -> bool:
    """Whether somebody holds the write lock and stands still: whoever wants it gives up after two seconds."""
    return any(worker.at == "in store" and worker.is_stopped for worker in state.workers)


def who(place: int) -> str:
    """A worker's name in a label."""
    return f"worker {place}"
