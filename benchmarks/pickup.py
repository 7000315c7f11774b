"""How long does a task wait while workers are idle?

Two idle workers; this process enqueues a task each 20 ms. The handler says by the clock that all processes share
(CLOCK_MONOTONIC) when it began. From the call of `enqueue` to there, the commit is a part: so the slowest are held
against a COMMIT of raw SQLite at the same pace. From the acknowledgement, when `enqueue` has returned, may be negative:
the handler had begun before. Peers are measured from the call.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks import peers, raw_sqlite
from benchmarks.options import Options
from benchmarks.peers import Peer
from benchmarks.report import Figure, Report, Series, at_most
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import Scene
from enhanced_automation_agent import EnhancedAutomationAgent

WORKERS = 2
EVERY_S = 0.02
WARM_UP = 10
ACKNOWLEDGED_MS, CALLED_MS = 1.0, 1.5  # the most that p50 may be
SLOWEST_MS, SLOWEST_COMMITS = 4.0, 3.0  # p99: this, or so many times that of a COMMIT if that is more
HANDLERS = """\
import time

from enhanced_automation_agent import handler


@handler("note")
def note(payload):
    return {"began_ns": time.monotonic_ns()}
"""

FROM_ACKNOWLEDGEMENT, FROM_CALL = "from the acknowledgement to the handler, p50", "from the call to the handler, p50"
SLOWEST, CALL = "from the call to the handler, p99", "the call of enqueue, p50"
COMMIT, SLOWEST_COMMIT = "raw SQLite, a COMMIT, p50", "raw SQLite, a COMMIT, p99"
SLOWEST_ALLOWED = f"{SLOWEST_MS:g} ms or {SLOWEST_COMMITS:g} × the COMMIT's p99"

Values = Mapping[str, float]


class Asked(NamedTuple):
    """A task that was enqueued: when the call began and when it returned, monotonic."""

    task: int
    called_ns: int
    returned_ns: int


def run(options: Options) -> Report:
    """Milliseconds over some rounds."""
    tasks = options.tasks_or(300, 60)
    runs = interleave(
        options.rounds_or(),
        lambda: _commit(options, tasks),
        lambda: _agent(options, tasks),
        *(_peer(name, options, tasks) for name in peers.available()),
    )
    series = {name: Series(name, "ms", values) for name, values in runs.items()}
    allowed = tuple(max(SLOWEST_MS, SLOWEST_COMMITS * p99) for p99 in runs[SLOWEST_COMMIT])
    labels = [peers.PROGRAMS[name].label for name in peers.available()]
    return Report(
        (
            Figure(series[FROM_ACKNOWLEDGEMENT], Series("limit", "ms", (ACKNOWLEDGED_MS,)), at_most(1)),
            Figure(series[FROM_CALL], Series("limit", "ms", (CALLED_MS,)), at_most(1)),
            Figure(series[SLOWEST], Series(SLOWEST_ALLOWED, "ms", allowed), at_most(1)),
            *(Figure(series[FROM_CALL], series[label]) for label in labels),
            Figure(series[CALL], series[COMMIT]),
            Figure(series[SLOWEST], series[SLOWEST_COMMIT]),
        ),
        (f"a task each {EVERY_S * 1000:g} ms, {tasks} in each round", *peers.absent()),
    )


def _commit(options: Options, tasks: int) -> Values:
    took_ms = [seconds * 1000 for seconds in raw_sqlite.spaced_commits(options, tasks, EVERY_S)]
    return {COMMIT: median(took_ms), SLOWEST_COMMIT: _p99(took_ms)}


def _agent(options: Options, tasks: int) -> Values:
    with Scene(options, HANDLERS, WORKERS) as scene, scene.resumed() as running:
        asked = [_ask(scene.agent) for _ in range(WARM_UP + tasks)][WARM_UP:]
        scene.wait(WARM_UP + tasks, running)
        began_ns = {each.task: scene.agent.result(each.task)["began_ns"] for each in asked}
    from_call_ms = [(began_ns[each.task] - each.called_ns) / 1e6 for each in asked]
    return {
        FROM_ACKNOWLEDGEMENT: median((began_ns[each.task] - each.returned_ns) / 1e6 for each in asked),
        FROM_CALL: median(from_call_ms),
        SLOWEST: _p99(from_call_ms),
        CALL: median((each.returned_ns - each.called_ns) / 1e6 for each in asked),
    }


def _ask(agent: EnhancedAutomationAgent) -> Asked:
    called_ns = time.monotonic_ns()
    task = agent.enqueue("note", {})
    returned_ns = time.monotonic_ns()
    time.sleep(EVERY_S)
    return Asked(task, called_ns, returned_ns)


def _peer(name: str, options: Options, tasks: int) -> Measure:
    def measure() -> Values:
        with Peer(name, options, WORKERS) as peer:
            return {peer.label: median(peer.pick_up(tasks, EVERY_S)) * 1000}

    return measure


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]
