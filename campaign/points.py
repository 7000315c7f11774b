"""What does a fault at any named point of the code cost: each point, in each process that passes it, each action?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from agent.failpoints import POINTS
from campaign import Broken
from campaign.cells import AT_START, BY_ROLE, Cell, matrix
from campaign.run import Figure, Report, Run, total
from campaign.stage import Stage

SHORT = 6  # cells of a short round
STORMS, STORM_S, IN_A_STORM, CHANCE = 10, 5.0, 8, 0.1
GLANCE_S = 2.0  # the supervisor looks by itself so often, at the latest
FREED_WITHIN_S = 5.0


def run(run: Run) -> Report:
    """One round: the whole matrix, or some cells that chance picks; or all of those that are meant, and no storms."""
    cells = [cell for cell in matrix() if run.means(str(cell))]
    if left := POINTS.difference(*BY_ROLE.values()):
        raise Broken(f"no cell is at the points {sorted(left)}")
    if is_short := run.is_short and not run.only:
        cells = _some([cell for cell in cells if cell.point != "during_migration"], run.rng("cells"))
        run.derive(cells=[str(cell) for cell in cells])
    unheard_s: list[float] = []
    freed_s: list[float] = []
    reports = []
    for number, group in enumerate(_groups(cells, is_short)):
        with Stage(run.directory / f"stage-{number}", group, run.rng(f"stage {number}")) as stage:
            for cell in group:
                stage.play(cell)
            report = stage.judge(dict(Counter(f"{cell.action} in the {cell.role}" for cell in group)))
        where = ", ".join(dict.fromkeys(f"{cell.point} in the {cell.role}" for cell in group))
        reports.append(replace(report, breaches=tuple(f"{breach} [{where}]" for breach in report.breaches)))
        unheard_s += stage.unheard_s
        freed_s += stage.freed_s
    reports += [_storm(run, number) for number in range(0 if run.only else run.pick(STORMS, 0))]
    return replace(total(reports), figures=tuple(_figures(unheard_s, freed_s)))


def _some(cells: Sequence[Cell], rng: random.Random) -> list[Cell]:
    """A few, of every role one at least."""
    chosen = [rng.choice([cell for cell in cells if cell.role == role]) for role in BY_ROLE]
    return chosen + rng.sample([cell for cell in cells if cell not in chosen], SHORT - len(chosen))


def parts() -> list[str]:
    """The names of the cells."""
    return [str(cell) for cell in matrix()]


def _storm(run: Run, number: int) -> Report:
    """Several faults in one world, at passes of their points that chance picks."""
    rng = run.rng(f"storm {number}")
    cells = rng.sample([cell for cell in matrix() if cell.role != "caller" and cell.action != "stop"], IN_A_STORM)
    cells = [cell for cell in cells if cell.point not in AT_START]
    with Stage(run.directory / f"storm-{number}", cells, rng, CHANCE) as stage:
        happened = stage.storm(STORM_S)
        report = stage.judge(Counter(f"{cell.action} in the {cell.role}, by chance" for cell in happened))
    named = ", ".join(map(str, happened))
    return replace(report, breaches=tuple(f"{breach} [storm {number}: {named}]" for breach in report.breaches))


def _groups(cells: Sequence[Cell], is_short: bool) -> Iterator[list[Cell]]:
    """Which cells share a world: those of a point and role, unless they want a database that is not there yet."""
    if is_short:
        yield list(cells)
        return
    for (_, point, _many), group in groupby(cells, lambda cell: (cell.role, cell.point, cell.many)):
        if point == "during_migration":
            yield from ([cell] for cell in group)
        else:
            yield list(group)


def _figures(unheard_s: list[float], freed_s: list[float]) -> Iterator[Figure]:
    if unheard_s:
        limit_ms = (GLANCE_S + 0.5) * 1e3
        yield Figure("caller dead before it rang → its task starts, slowest", max(unheard_s) * 1e3, "ms", limit_ms)
    if freed_s:
        name = "worker stopped with the write lock → ended, slowest"
        yield Figure(name, max(freed_s) * 1e3, "ms", FREED_WITHIN_S * 1e3)
