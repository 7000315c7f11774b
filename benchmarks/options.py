"""What the command line says about a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir


@dataclass(frozen=True, slots=True)
class Options:
    """`quick` is for trying the programs, not for figures; `directory` is where databases are laid."""

    rounds: int | None = None
    tasks: int | None = None
    quick: bool = False
    directory: Path = Path(gettempdir())

    def pick(self, full: int, quick: int) -> int:
        """A size of the run: the second where it has to be quick."""
        return quick if self.quick else full

    def tasks_or(self, full: int, quick: int) -> int:
        """How many tasks: as many as the command line says, or else one of these."""
        return self.tasks or self.pick(full, quick)

    def rounds_or(self, full: int = 5, quick: int = 1) -> int:
        """How many rounds: as many as the command line says, or else one of these."""
        return self.rounds or self.pick(full, quick)
