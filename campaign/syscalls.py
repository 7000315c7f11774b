"""What does a SIGKILL at the n-th system call of a task's life cost, for every n, in every process?"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from campaign.processes import hit, until
from campaign.run import Figure, Report, Run, total
from campaign.strace import Call, calls, has_killed, traced
from campaign.stretches import STRETCHES, WITHIN_S, Stretch

ROUNDS = 24
"""Each round takes every 24th call, and the next round, with the next seed, the calls behind those: together all."""
SHORT = 2  # stretches, and calls of each, in a short round


def run(run: Run) -> Report:
    """One round. Raises Broken where strace is not to be had."""
    kinds = [kind for kind in STRETCHES if run.means(kind.name)]
    if run.is_short and not run.only:
        kinds = run.rng("stretches").sample(kinds, SHORT)
    return total([_play(run, kind(run.directory / f"world-{number}")) for number, kind in enumerate(kinds)])


def parts() -> list[str]:
    """The names of the stretches."""
    return [kind.name for kind in STRETCHES]


def _play(run: Run, stretch: Stretch) -> Report:
    file = run.directory / "trace"
    with stretch.world:
        every = _rehearse(stretch, file)
        chosen = run.rng(stretch.name).sample(every, SHORT) if run.is_short else every[run.seed % ROUNDS :: ROUNDS]
        run.derive(**{stretch.name: f"{len(chosen)} of {len(every)} calls"})
        killed = sum(_kill(stretch, file, call) for call in chosen)
        report = stretch.judge({f"kill at a call of {stretch.name}": killed})
    late = Figure(f"came through before the call: {stretch.name}", len(chosen) - killed)
    breaches = tuple(f"{breach} [{stretch.name}, {_span(chosen)}]" for breach in report.breaches)
    return replace(report, breaches=breaches, figures=(late,))


def _rehearse(stretch: Stretch, file: Path) -> Sequence[Call]:
    """Every call of the stretch, in order."""
    with traced(stretch.prepare(), file, follow=stretch.follows):
        stretch.go()
        until(stretch.is_over, f"{stretch.name} to come through undisturbed", WITHIN_S)
    stretch.settle()
    return calls(file)


def _kill(stretch: Stretch, file: Path, call: Call) -> bool:
    """Once through the stretch; False when it was over before the call."""
    file.unlink(missing_ok=True)
    pid = stretch.prepare()
    with traced(pid, file, call, stretch.follows):
        stretch.go()
        until(lambda: has_killed(file, pid) or stretch.is_over(), f"{stretch.name} to come through, or not, at {call}")
    hit(pid, signal.SIGCHLD)  # who was let go of just as that reached him has lost it
    stretch.settle()
    return has_killed(file)


def _span(chosen: Sequence[Call]) -> str:
    return f"killed at {', '.join(map(str, chosen[:3]))} …" if chosen else "never killed"
