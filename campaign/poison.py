"""What do a hundred hostile handlers among 10,000 healthy tasks cost these?

The same healthy tasks, alone and with 1 % poison among them, in turn: tasks that sleep, then tasks that burn a
processor, of 5 ms and of 2 ms. Compared are the healthy ones a second, from the first start to the last end of a
healthy task; nothing is taken off for what the poison itself computes. A poison costs so many milliseconds of a worker,
however long the tasks beside it are: of short ones that is a larger part, so those of 2 ms are shown beside, and those
of 5 ms, about what one write to a disk or a network takes, are held against the limit.

It is of all kinds that end quickly: one that hangs costs its worker for as long as its deadline lets it, whatever the
agent does, and those that return in the end are looked at by the scenario `hogs`. On a machine that has more to do each
death costs more: its successor waits for a processor, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import median

from campaign.effects import starts_by_task
from campaign.hostile import HANDLERS, end_daemons, files_written_over
from campaign.pack import POISONS, Poison
from campaign.run import Figure, Report, Run, total
from campaign.world import Settings, World

SETTINGS: Settings = {"bulk": {"retry_attempts": 0}}
HEALTHY = 10_000
BATCH = 100  # healthy tasks for each poison
TAKE_S = (0.005, 0.002)  # the first is held against the limit
WORKERS = {"nap": 4, "spin": 2}  # sleeping takes no processor
MOST_LOST_PCT = 10
COLLAPSED_PCT = 70  # also on a busy machine: beyond it, somebody waits for what nobody has to wait for
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Played:
    """One world's report, and its healthy tasks a second."""

    report: Report
    rate: float


def run(run: Run) -> Report:
    """One round: each kind of healthy task, alone and poisoned, so and so often."""
    reports = []
    for type_, takes_s in product(WORKERS, TAKE_S[-run.pick(2, 1) :]):
        alone, poisoned = [], []
        for turn in range(run.pick(3, 1)):
            alone.append(_play(run, type_, takes_s, turn, ()))
            poisoned.append(_play(run, type_, takes_s, turn, _poisons(run, turn)))
        reports += [played.report for played in alone + poisoned]
        reports.append(_compared(type_, takes_s, alone, poisoned))
    return total(reports)


def _poisons(run: Run, turn: int) -> list[Poison]:
    """One for each batch."""
    rng = run.rng(f"poison {turn}")
    kinds = [each for each in POISONS.values() if each.kind == "quick"]
    rng.shuffle(kinds)
    return [kinds[n % len(kinds)] for n in range(run.pick(HEALTHY, 600) // BATCH)]


def _play(run: Run, type_: str, takes_s: float, turn: int, poisons: list[Poison] | tuple[()]) -> Played:
    name = f"{type_}-{1000 * takes_s:g}-{turn}-{'poisoned' if poisons else 'alone'}"
    with World(run.directory / name, WORKERS[type_], SETTINGS, handlers=HANDLERS) as world:
        healthy: list[int] = []
        hostile: dict[int, Poison] = {}
        for batch in range(run.pick(HEALTHY, 600) // BATCH):
            healthy += world.enqueue(type_, [{"s": takes_s}] * BATCH)
            for poison in poisons[batch : batch + 1]:
                hostile[world.enqueue(poison.type, [{}])[0]] = poison
        world.finish(PATIENCE_S)
        breaches = [*_unexpected(world, type_, hostile), *files_written_over(world)]
        end_daemons(world)
        faults = {"poison": len(poisons)} if poisons else {}
        report = world.judge(faults, 10_000, breaches)
        return Played(report, _rate(world, type_, len(healthy)))


def _unexpected(world: World, type_: str, hostile: dict[int, Poison]) -> Iterator[str]:
    """Healthy tasks run once; poison ends as it should, after as many starts as it may."""
    query = "SELECT id, state, attempt, error FROM tasks WHERE type = ? AND (state != 'succeeded' OR attempt != 1)"
    for id_, state, attempt, error in world.rows(query, type_):
        yield f"healthy task {id_} is {state} after attempt {attempt}: {error}"
    starts = starts_by_task(world.effects())
    for id_, state, error in world.rows("SELECT id, state, error FROM tasks WHERE type != ?", type_):
        poison = hostile[id_]
        if (state, len(starts[id_])) != (poison.end, poison.starts) or poison.evidence not in (error or ""):
            yield f"{poison.name}: {state} after {len(starts[id_])} starts: {error}"


def _rate(world: World, type_: str, healthy: int) -> float:
    """Healthy tasks a second, from the first start to the last end."""
    query = "SELECT max(finished_at) - min(started_at) FROM tasks WHERE type = ?"
    span_us: int = world.rows(query, type_)[0][0]
    return healthy / (span_us / 1e6)


def _compared(type_: str, takes_s: float, alone: list[Played], poisoned: list[Played]) -> Report:
    name = f"{type_}, {1000 * takes_s:g} ms"
    before, after = (median(each.rate for each in played) for played in (alone, poisoned))
    lost_pct, cost_ms = 100 * (1 - after / before), WORKERS[type_] * BATCH * (1 / after - 1 / before) * 1000
    told = f"healthy tasks ({name}): {before:.0f} a second alone, {after:.0f} with 1 % poison among them"
    figures = (
        Figure(f"{name}: alone", before, "/s"),
        Figure(f"{name}: 1 % poison among them", after, "/s"),
        Figure(f"{name}: rate lost", lost_pct, "%", MOST_LOST_PCT if takes_s == TAKE_S[0] else None),
        Figure(f"{name}: a poison's cost", cost_ms, "ms of a worker"),
    )
    return Report({}, (told,) if lost_pct > COLLAPSED_PCT else (), figures=figures)
