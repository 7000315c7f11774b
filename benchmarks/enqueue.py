"""How fast are tasks stored, one by one and many at once?

One by one: from one process, each durable when the call returns; without an agent, and while an agent with two idle
workers runs each task at once. Their limit is SQLite with a COMMIT for each row. Many at once: `enqueue_many`, and the
command `enqueue TYPE --many FILE`, of which the whole process counts: its start, reading the file, making the database.
Their limit is SQLite with a COMMIT for each thousand rows. The first call, which opens the database, is not counted
where tasks are stored through Python.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from benchmarks import raw_sqlite
from benchmarks.options import Options
from benchmarks.report import Figure, Report, Series, at_least
from benchmarks.rounds import interleave
from benchmarks.scene import Scene

COMMITS, INSERTS = "raw SQLite, a COMMIT a row", "raw SQLite, a COMMIT a thousand"
ALONE, BESIDE = "one by one, no agent runs", "one by one, an idle agent runs each"
MANY, COMMAND = "enqueue_many", "enqueue TYPE --many FILE, the whole process"

Values = Mapping[str, float]


def run(options: Options) -> Report:
    """Rates over some rounds."""
    many = options.tasks_or(200_000, 20_000)
    single = max(1, many // 40)
    runs = interleave(
        options.rounds_or(),
        lambda: {COMMITS: raw_sqlite.commits(options, single)},
        lambda: _alone(options, single),
        lambda: _beside_an_agent(options, single),
        lambda: {INSERTS: raw_sqlite.inserts(options, many)},
        lambda: _many(options, many),
        lambda: _command(options, many),
    )
    rates = {name: Series(name, "tasks/s", values) for name, values in runs.items()}
    return Report(
        (
            Figure(rates[ALONE], rates[COMMITS], at_least(0.7)),
            Figure(rates[BESIDE], rates[COMMITS], at_least(0.25)),
            Figure(rates[MANY], rates[INSERTS], at_least(0.5)),
            Figure(rates[COMMAND], rates[INSERTS], at_least(0.5)),
        ),
        (f"{single:,} tasks one by one, {many:,} at once, in each round",),
    )


def _alone(options: Options, tasks: int) -> Values:
    with Scene(options) as scene:
        return {ALONE: _one_by_one(scene, tasks)}


def _beside_an_agent(options: Options, tasks: int) -> Values:
    with Scene(options) as scene, scene.resumed() as agent:
        rate = _one_by_one(scene, tasks)
        scene.wait(tasks + 1, agent)
        return {BESIDE: rate}


def _one_by_one(scene: Scene, tasks: int) -> float:
    scene.agent.enqueue("noop", {"value": -1})
    began = time.perf_counter()
    for value in range(tasks):
        scene.agent.enqueue("noop", {"value": value})
    return tasks / (time.perf_counter() - began)


def _many(options: Options, tasks: int) -> Values:
    with Scene(options) as scene:
        scene.agent.enqueue("noop", {"value": -1})
        began = time.perf_counter()
        scene.agent.enqueue_many("noop", ({"value": value} for value in range(tasks)))
        return {MANY: tasks / (time.perf_counter() - began)}


def _command(options: Options, tasks: int) -> Values:
    with Scene(options) as scene:
        lines = scene.directory / "tasks.jsonl"
        lines.write_text("".join(f'{{"payload": {{"value": {value}}}}}\n' for value in range(tasks)), "utf-8")
        return {COMMAND: tasks / scene.command("enqueue", "noop", "--many", lines)}
