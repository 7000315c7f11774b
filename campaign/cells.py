"""What can go wrong where: a fault at a failpoint, in a process of a role, and what is to come of that process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.failpoints import ACTIONS

STORE = ("in_transaction", "before_commit", "after_commit")  # whoever is hit there holds the write lock
BY_ROLE = {
    "worker": (*STORE, "before_claim", "after_claim", "before_start", "after_handler", "at_birth"),
    "supervisor": (
        *STORE, "before_record", "before_requeue", "after_requeue", "during_recovery", "during_migration",
        "during_checkpoint",
    ),
    "fork_server": ("before_fork", "before_reap"),
    "caller": (*STORE, "during_migration"),
}  # fmt: skip
AT_START = ("during_recovery", "during_migration")
NEEDS_A_DEATH = ("at_birth", "before_fork", "before_reap", "before_requeue", "after_requeue")
PATIENT = (*STORE, "before_claim", "after_claim")  # where a worker expects that the database refuses
SLEEP_S = 0.2


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault. `then`: what happens to a stopped process: `continue`, `kill`, or nothing, where the agent sees to it.

    `many`: of a caller who stores thousands of tasks, at the second thousand.
    """

    role: str
    point: str
    action: str
    then: str = ""
    many: bool = False

    def __str__(self) -> str:
        then = f", then {self.then or 'left alone'}" if self.action == "stop" else ""
        return f"{self.action} at {self.point} in the {self.role.replace('_', ' ')}{then}{', many' * self.many}"

    def entry(self, file: str, chance: float = 1.0) -> str:
        """For the environment variable of the failpoints: once, and only while `file` is not there."""
        action = f"sleep={SLEEP_S}" if self.action == "sleep" else self.action
        return f"{self.point}:{action}:by={self.role}:n={1 + self.many}:p={chance}:once={file}"

    @property
    def ends_it(self) -> bool:
        """Whether the process is to come to its end by this."""
        if self.action == "stop":
            is_in_the_way = self.role == "worker" and self.point in STORE  # the supervisor ends it
            return self.then == "kill" or (not self.then and is_in_the_way)
        if self.action == "full":
            return not (self.role == "worker" and self.point in PATIENT) and not self._is_borne
        return self.action == "kill" or (self.action == "raise" and self.point != "during_checkpoint")

    @property
    def _is_borne(self) -> bool:
        """Whether it is the supervisor, at work, that the database refuses."""
        return self.role == "supervisor" and self.point not in AT_START


def matrix() -> Iterator[Cell]:
    """Every point, in every role that passes it, with every action."""
    for role, points in BY_ROLE.items():
        for point in points:
            for action in ACTIONS:
                for then in _sequels(role) if action == "stop" else ("",):
                    yield Cell(role, point, action, then)
    for point in STORE:
        for action in ("kill", "raise", "full"):
            yield Cell("caller", point, action, many=True)


def _sequels(role: str) -> tuple[str, ...]:
    """A stopped worker is the supervisor's business; nobody but its user goes on with anybody else."""
    return ("continue", "") if role == "worker" else ("continue", "kill")
