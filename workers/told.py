"""What workers tell, gathered until the supervisor asks."""

from __future__ import annotations

from workers.messages import Count, Ended, Said


class Told:
    """`counts` and `ended`: attempts; `look_at`: when there will be work for others (wall µs); `trouble`: a complaint
    about the store."""

    def __init__(self) -> None:
        self.counts: list[Count] = []
        self.ended: list[Ended] = []
        self.look_at: int | None = None
        self.trouble: str | None = None

    def of_attempts(self, said: Said) -> None:
        """Take in a `counts` message."""
        self.counts += said.counts
        self.ended += said.ended
        self.of_work(*(each.due_at for each in said.ended if each.due_at is not None))

    def of_work(self, *walls: int) -> None:
        """There will be work for others at these times; 0: now."""
        known = walls if self.look_at is None else (*walls, self.look_at)
        self.look_at = min(known, default=None)

    def take_ended(self) -> list[Ended]:
        """What was told of attempts one by one; a fresh start for `counts` and `ended`."""
        ended, self.counts, self.ended = self.ended, [], []
        return ended
