"""Does it stay as fast with millions of tasks in the file, and while old ones are deleted and backups are made?

Every file is made by the product and then filled by one INSERT for each kind of rows; a round works on a copy of it.

- The rate, from the first start to the last finish as the database tells, is that of a fixed number of no-ops: all that
  are in line, or the first to finish of a longer line, after which the agent is stopped. The file that it is compared
  with holds these tasks and nothing else: fewer of them would be drained before a rate could be told.
- What a claim takes is derived from the rows of the same tasks as in `many_workers`: from the last finish of a chunk to
  the same worker's next start, which is its exchange with the database.
- `stats`: the call in Python, warm, and its queries alone, on the file as it is before the agent starts.
- What goes on beside a drain, on a file with tasks in line and as many old ones: retention deletes the old ones, or it
  is turned off; a process makes one backup after the other, and never rests, so a process that only computes stands
  beside it, which takes as much of the cores. A drain without checkpoints has a reader whose transaction began before
  it: SQLite copies nothing of the log that such a reader does not know yet. (A log of that length is slower to read.)
- The log: the largest size of `state.db-wal`, looked at each 10 ms in all these runs but the one without checkpoints.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import apsw

from agent.lifecycle import State
from agent.store import open_store
from agent.store.queries import load
from benchmarks import Broken
from benchmarks.many_workers import exchanges, percentile
from benchmarks.options import Options
from benchmarks.processes import CHECKOUT, Running, until
from benchmarks.report import Figure, Report, Series, at_least, at_most
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import HANDLERS, Scene, Settings

PROGRAM = CHECKOUT / "enhanced_automation_agent.py"
WORKERS = 2
TYPES = 200
HELD = "held"  # the type that is paused, number 1
NOOP = range(2, 3)  # the number of the type that is drained; more types follow
DAY_S = 86_400
LOOK_S = 0.05
WATCH_S = 0.01
CALLS = 20  # of `stats`
BYTES_A_TASK = 250  # on the disk, at most
MOST_STATS_MS, MOST_LOG_MIB = 50.0, 64.0

RATE, P99, STATS, QUERIES = "", ": an exchange, p99", ": stats(), warm", ": the queries of stats"
LOG = ": the largest log"
UNITS = {RATE: "tasks/s", P99: "ms", STATS: "ms", QUERIES: "ms", LOG: "MiB"}
UNDISTURBED, RETENTION = "nothing else goes on", "retention deletes old tasks"
NO_CHECKPOINTS = "a reader holds off checkpoints"
BACKUP = """
import apsw, itertools, os, sys
source = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY)
name = sys.argv[1] + ".backup"
for number in itertools.count(1):
    {}
    print(number, os.stat(name).st_size, flush=True)
    os.unlink(name)
"""
BACKUPS = {
    "online backups, one after the other": BACKUP.format("""
    copy = apsw.Connection(name)
    with copy.backup("main", source, "main") as backup:
        backup.step(-1)
    copy.close()"""),
    "VACUUM INTO, one after the other": BACKUP.format('source.execute("VACUUM INTO ?", (name,))'),
}
COMPUTING = {"a process that only computes": "print(flush=True)\nwhile True: pass"}

FILL = """
INSERT INTO task (type, state, priority, attempt, claims, worker, created_at, due_at, started_at, finished_at, payload,
  result)
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :tasks)
SELECT :first + n % :kinds, :state, 0, :ran IS 1, :ran IS 1, :ran, :made, :due,
  :ran * :made, :ran * :made, json_object('value', n), iif(:ran, json_object('result', n), NULL)
FROM number
"""
ADD_UP = "INSERT INTO counts (state, type, n) SELECT state, type, count(*) FROM task GROUP BY state, type"
DONE = "SELECT coalesce(sum(n), 0) FROM counts WHERE state = ?"
SAMPLE = """SELECT worker, started_at, finished_at FROM task WHERE state = ? AND started_at >= ?
ORDER BY finished_at LIMIT ?"""
sql = load("tasks")

Values = Mapping[str, float]
Runs = Mapping[str, tuple[float, ...]]
Beside = Callable[[Scene], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Content:
    """How many tasks a file holds; those `ahead` are of a paused type, `age_s` is that of the finished ones."""

    queued: int
    finished: int = 0
    future: int = 0
    ahead: int = 0
    types: int = 1
    age_s: float = 0.0


def run(options: Options) -> Report:
    """Rates, waits and sizes over some rounds."""
    sample = options.tasks_or(100_000, 5_000)
    sizes = _sizes(sample, options.pick(1_000_000, 20_000))
    crowd = options.pick(1_000_000, 40_000)
    crowded = Content(crowd, finished=crowd, age_s=8 * DAY_S)
    contents = [*sizes.values(), crowded]
    _check_room(options, contents)
    with TemporaryDirectory(prefix="growth-bench-", dir=options.directory) as directory:
        files = {content: Path(directory) / f"{at}.db" for at, content in enumerate(contents)}
        for content, file in files.items():
            _prepare(options, content, file)
        runs = interleave(
            options.rounds_or(),
            *(_at_size(options, what, content, files[content], sample) for what, content in sizes.items()),
            *_beside(options, crowded, files[crowded], min(4 * sample, crowd // 2)),
        )
    figures = [figure for what in sizes for figure in _figures(runs, what, next(iter(sizes)))]
    return Report((*figures, *_figures_beside(runs), _log(runs)), (f"rates at each size: of {sample:,} no-ops",))


def _sizes(sample: int, million: int) -> dict[str, Content]:
    """The files, the one that all are compared with first."""
    return {
        f"{sample:,} tasks and nothing else": Content(sample),
        f"{million:,} queued": Content(million),
        f"{5 * million:,} finished": Content(sample, finished=5 * million),
        f"{million:,} in the future": Content(sample, future=million),
        f"{million // 2:,} of a paused type ahead": Content(sample, ahead=million // 2),
        f"{TYPES} types": Content(sample, types=TYPES),
    }


def _check_room(options: Options, contents: list[Content]) -> None:
    """Raises Broken unless there is room for all files and a copy of the largest with its backup and log."""
    tasks = [each.queued + each.finished + each.future + each.ahead for each in contents]
    needed, free = BYTES_A_TASK * (sum(tasks) + 3 * max(tasks)), shutil.disk_usage(options.directory).free
    if free < needed:
        raise Broken(f"{needed >> 20} MiB are needed in {options.directory}, {free >> 20} are free: name another --dir")


def _prepare(options: Options, content: Content, file: Path) -> None:
    """A database with that content at `file`."""
    with Scene(options) as scene:
        open_store(scene.database).close()
        handle = apsw.Connection(str(scene.database))
        handle.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN").fetchall()
        handle.executemany("INSERT INTO type (name) VALUES (?)", [(name,) for name in _names(content)])
        now = time.time()
        _fill(handle, content.finished, State.SUCCEEDED, now - content.age_s)
        _fill(handle, content.ahead, State.QUEUED, now, kinds=range(1, 2))
        _fill(handle, content.future, State.SCHEDULED, now, due_s=now + DAY_S)
        _fill(handle, content.queued, State.QUEUED, now, kinds=range(2, 2 + content.types))
        handle.execute(ADD_UP)
        handle.execute("COMMIT; PRAGMA journal_mode = WAL").fetchall()
        handle.close()
        shutil.move(scene.database, file)


def _fill(
    handle: apsw.Connection, tasks: int, state: State, made_s: float, due_s: float = 0, kinds: range = NOOP
) -> None:
    """So many tasks of a state, of `kinds` in turn; finished ones were made and finished at `made_s`."""
    if tasks:
        made, due, ran = int(made_s * 1e6), int((due_s or made_s) * 1e6), 1 if state is State.SUCCEEDED else None
        numbers = {"tasks": tasks, "state": int(state), "first": kinds.start, "kinds": len(kinds)}
        handle.execute(FILL, {**numbers, "made": made, "due": due, "ran": ran}).fetchall()


def _names(content: Content) -> list[str]:
    """The types, in the order of their numbers from 1."""
    return [HELD, "noop", *(f"noop{at}" for at in range(1, content.types))]


def _handlers(content: Content) -> str:
    return HANDLERS + "".join(f"handler({name!r})(noop)\n" for name in _names(content) if name != "noop")


def _at_size(options: Options, what: str, content: Content, file: Path, sample: int) -> Measure:
    def measure() -> Values:
        with _copied(options, content, file) as scene:
            if content.ahead:
                scene.command("pause", HELD)
            return _named(what, {**_stats(scene), **_drain(scene, content, sample)})

    return measure


def _beside(options: Options, content: Content, file: Path, sample: int) -> list[Measure]:
    """Drains of the first tasks of a long line, with something else that goes on; what it is compared with first."""

    def measure(what: str, beside: Beside, keep_days: int = 0) -> Measure:
        def measured() -> Values:
            with _copied(options, content, file, {"persistence": {"gc_completed_after_days": keep_days}}) as scene:
                return _named(what, _drain(scene, content, sample, beside))

        return measured

    return [
        measure(UNDISTURBED, nullcontext),
        measure(RETENTION, nullcontext, keep_days=7),
        measure(NO_CHECKPOINTS, _reader),
        *(measure(what, _process(program)) for what, program in {**COMPUTING, **BACKUPS}.items()),
    ]


@contextmanager
def _copied(options: Options, content: Content, file: Path, settings: Settings | None = None) -> Iterator[Scene]:
    """A scene with a copy of a file, which is on the disk."""
    with Scene(options, _handlers(content), WORKERS, settings) as scene:
        shutil.copyfile(file, scene.database)
        scene.database.chmod(0o600)
        os.sync()
        yield scene


def _drain(scene: Scene, content: Content, sample: int, beside: Beside = nullcontext) -> Values:
    """Run so many tasks: their rate, what exchanges took, how large the log became."""
    began = time.time_ns() // 1000
    target = content.finished + sample
    command = [sys.executable, str(PROGRAM), "--config", str(scene.config), "resume"]
    with _log_of(scene) as sizes, beside(scene), Running(command, scene.directory) as running:
        until(lambda: _done(scene) >= target, f"{sample} tasks had succeeded", running, LOOK_S)
    ran = [(worker, start, end) for worker, start, end in scene.rows(SAMPLE, int(State.SUCCEEDED), began, sample)]
    seconds = (max(end for _, _, end in ran) - min(start for _, start, _ in ran)) / 1e6
    return {RATE: len(ran) / seconds, P99: percentile(exchanges(ran), 99), LOG: max(sizes) / (1 << 20)}


def _done(scene: Scene) -> int:
    return int(scene.rows(DONE, int(State.SUCCEEDED))[0][0])


def _stats(scene: Scene) -> Values:
    """Milliseconds of `stats`, the middle of some calls, and of its queries."""
    handle = apsw.Connection(str(scene.database), flags=apsw.SQLITE_OPEN_READONLY)
    queries = (sql.totals, sql.in_progress, sql.oldest_queued)
    try:
        return {
            STATS: _middle_ms(scene.agent.stats),
            QUERIES: _middle_ms(lambda: [handle.execute(query).fetchall() for query in queries]),
        }
    finally:
        handle.close()


def _middle_ms(call: Callable[[], object]) -> float:
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return median(took) * 1e3


@contextmanager
def _log_of(scene: Scene) -> Iterator[list[int]]:
    """The sizes of the write-ahead log during the block, in bytes."""
    sizes = [0]
    is_over = threading.Event()
    log = Path(f"{scene.database}-wal")

    def look() -> None:
        while not is_over.wait(WATCH_S):
            with suppress(FileNotFoundError):
                sizes.append(log.stat().st_size)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield sizes
    finally:
        is_over.set()
        watcher.join()


@contextmanager
def _reader(scene: Scene) -> Iterator[None]:
    """A transaction that began before everything else."""
    handle = apsw.Connection(str(scene.database), flags=apsw.SQLITE_OPEN_READONLY)
    handle.execute("BEGIN")
    handle.execute(DONE, (int(State.SUCCEEDED),)).fetchall()
    try:
        yield
    finally:
        handle.close()


def _process(program: str) -> Beside:
    """A process that says each time that it has done something, and goes on."""

    @contextmanager
    def running(scene: Scene) -> Iterator[None]:
        with Running([sys.executable, "-c", program, scene.database], scene.directory) as other:
            yield
            if not other.output() or other.process.poll() is not None:
                raise Broken(f"nothing went on beside the drain: {other.errors()}")

    return running


def _named(what: str, values: Values) -> Values:
    return {what + name: value for name, value in values.items()}


def _series(runs: Runs, what: str, name: str) -> Series:
    return Series(what + name, UNITS[name], runs[what + name])


def _figures(runs: Runs, what: str, base: str) -> list[Figure]:
    """What is wanted at one size, beside the smallest."""
    rate, p99 = _series(runs, base, RATE), _series(runs, base, P99)
    allowed = tuple(max(value * 1.15, value + 1) for value in p99.runs)
    limit = Series("limit", "ms", (MOST_STATS_MS,))
    own_rate, own_p99 = _series(runs, what, RATE), _series(runs, what, P99)
    waits = Series("× 1.15 or + 1 ms", "ms", allowed)
    compared = [Figure(own_rate, rate, at_least(0.85)), Figure(own_p99, waits, at_most(1))]
    return [
        *(compared if what != base else [Figure(own_rate), Figure(own_p99)]),
        *(Figure(_series(runs, what, name), limit, at_most(1)) for name in (STATS, QUERIES)),
    ]


def _figures_beside(runs: Runs) -> list[Figure]:
    """What may be lost to what goes on beside a drain."""
    rates = {what: _series(runs, what, RATE) for what in (RETENTION, *BACKUPS, *COMPUTING, UNDISTURBED, NO_CHECKPOINTS)}
    undisturbed, computing = rates[UNDISTURBED], rates[next(iter(COMPUTING))]
    return [
        *(Figure(rates[what], undisturbed, at_least(0.9)) for what in (RETENTION, *BACKUPS)),
        *(Figure(rates[what], computing) for what in BACKUPS),
        Figure(undisturbed, rates[NO_CHECKPOINTS], at_least(0.9)),
    ]


def _log(runs: Runs) -> Figure:
    """The largest log of all runs but the one in which nothing may be copied from it."""
    sizes = [max(values) for name, values in runs.items() if name.endswith(LOG) and name != NO_CHECKPOINTS + LOG]
    measured = Series("the largest log", "MiB", (max(sizes),))
    return Figure(measured, Series("limit", "MiB", (MOST_LOG_MIB,)), at_most(1))
