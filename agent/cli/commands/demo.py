"""`demo`: real work on every core, and a worker killed on purpose, in a directory of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import subprocess  # nosec B404  # lists of words only
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.demo_report import OneCore, Scene, chosen, page, sample_step, summary
from agent.cli.invocation import Invocation
from agent.cli.output import counted, document, note, tell
from agent.cli.parameters import Whole, as_json
from agent.errors import AgentError, Conflict, NotFound

if TYPE_CHECKING:
    from agent.api import AgentApi

PROGRAM = Path(__file__).resolve().parents[3] / "enhanced_automation_agent.py"
TYPE = "survey"
LOOK_S = 0.05  # between two looks at the progress
PATIENCE_S = 120.0  # without a task that ends, something is wrong
GRACE_S = 10.0  # for an agent that is told to end
FROM_OUTSIDE = ("STATE_DIRECTORY", "LOGS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

CONFIG = """\
# The configuration of one run of the demo.
bulk:
  max_concurrent: {workers}
governance:
  cpu_high_pct: 100  # a busy machine is what the demo wants
telemetry:
  log_dir: {logs}
persistence:
  db_path: {database}
"""

Show = Callable[[int], None]


@click.command()
@click.option("--files", type=Whole(1, 1_000_000), metavar="N", help="Survey only so many files.")
@as_json
@click.pass_obj
def demo(invocation: Invocation, files: int | None, as_json: bool) -> None:
    """See the agent at work, and lose nothing.

    Surveys Python's standard library on every core and kills a worker half-way. What it leaves is in a new directory;
    your own tasks and configuration are not touched.
    """
    directory = Path(tempfile.mkdtemp(prefix="sanaagent-demo-"))
    workers = len(os.sched_getaffinity(0))
    with _without_settings_from_outside():
        config = _write_config(directory, workers)
        agent = invocation.agent_of(str(config), None)
        source = agent.demo() / "library.py"
        library = _load(source)
        paths = chosen(library.files(), files)
        one_core, expected = _measure_one_core(library, paths)
        lines = (json.dumps({"payload": {"path": path}}).encode() for path in paths)
        ids = agent.enqueue_lines(lines, TYPE, "the demo's list of files")
        note(f"{counted(len(ids), 'task')} enqueued; starting an agent with {counted(workers, 'worker')}")
        killed = _run(agent, source, config, len(ids))
        records = _finished(agent, len(ids), directory)
        _compare(library, records, paths[:: one_core.step], expected)
    scene = Scene(platform.python_version(), workers, str(directory), _program())
    told = summary(records, one_core, killed, scene)
    document(told) if as_json else tell("\n".join(page(told)))


# -- Before


@contextmanager
def _without_settings_from_outside() -> Iterator[None]:
    """No variable points the demo's agent at the user's database."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if _is_setting(name)}
    try:
        yield
    finally:
        os.environ.update(kept)


def _is_setting(name: str) -> bool:
    return name.startswith("SANAAGENT_") or name in FROM_OUTSIDE


def _write_config(directory: Path, workers: int) -> Path:
    config = directory / "config.yml"
    logs, database = json.dumps(str(directory / "logs")), json.dumps(str(directory / "state.db"))  # JSON is YAML too
    config.write_text(CONFIG.format(workers=workers, logs=logs, database=database), "utf-8")
    config.chmod(0o600)
    return config


def _load(source: Path) -> Any:
    """The module that does the work; by its path, for the examples are no package."""
    spec = importlib.util.spec_from_file_location("sanaagent_demo_library", source)
    if spec is None or spec.loader is None or not source.is_file():
        raise AgentError(f"{source} is missing: the demo needs the examples, so run it from a checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def _measure_one_core(library: Any, paths: Sequence[str]) -> tuple[OneCore, Any]:
    """The rate of one process without an agent, and what it computed."""
    sample = paths[:: sample_step(len(paths))]
    note(f"one core first: {len(sample):,} of {counted(len(paths), 'file')}, in this process alone")
    began = time.perf_counter()
    expected = library.plain(sample)
    spent = time.perf_counter() - began
    return OneCore(sample_step(len(paths)), len(sample), expected.bytes, spent), expected


# -- While it runs


def _run(agent: AgentApi, source: Path, config: Path, total: int) -> Mapping[str, Any] | None:
    """Run the tasks in an agent of their own; the worker that was killed on the way."""
    command = [sys.executable, str(PROGRAM), "--config", str(config), "--handlers", str(source), "resume", "--drain"]
    output = config.parent / "agent.out"
    with output.open("wb") as file:
        process = subprocess.Popen(  # nosec B603  # our own program, with paths that we made
            command, cwd=config.parent, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        with _progress(total) as show:
            killed = _follow(agent, process, total, show)
    finally:
        _end(process)
    if process.returncode:
        raise AgentError(f"the demo's agent ended with exit code {process.returncode}: {output} says why")
    return killed


def _follow(agent: AgentApi, process: subprocess.Popen[bytes], total: int, show: Show) -> Mapping[str, Any] | None:
    """Watch until the agent has ended; half-way, kill a busy worker."""
    killed = None
    before, since = 0, time.monotonic()
    while True:
        is_over = process.poll() is not None  # asked first: the last look comes after the end
        done = _ended(agent.stats()["states"])
        show(done)
        if is_over:
            return killed
        if done > before:
            before, since = done, time.monotonic()
        elif time.monotonic() - since > PATIENCE_S:
            raise AgentError(f"no task of the demo has ended for {PATIENCE_S:g} s: the agent seems to be stuck")
        if killed is None and done * 2 >= total:
            killed = _kill_a_worker(agent)
        time.sleep(LOOK_S)


def _ended(states: Mapping[str, int]) -> int:
    return states["succeeded"] + states["failed"] + states["cancelled"]


def _kill_a_worker(agent: AgentApi) -> Mapping[str, Any] | None:
    """SIGKILL to a worker in the midst of a task: frozen first, so that it is; None when nobody is caught so."""
    for worker in agent.workers():
        if worker["state"] != "busy":
            continue
        try:
            frozen = agent.freeze(worker["worker"])
            if frozen.get("task") is None:
                agent.thaw(worker["worker"])
                continue
            os.kill(frozen["pid"], signal.SIGKILL)
        except (Conflict, NotFound, ProcessLookupError):
            continue  # it was replaced meanwhile, or is about to leave
        return frozen
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """The agent does not outlive the demo."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _progress(total: int) -> Iterator[Show]:
    """Shows how many tasks have ended: a bar on a terminal, else a line a second."""
    if not sys.stderr.isatty():
        yield _lines_of_progress(total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        survey = bar.add_task(TYPE, total=total)
        yield lambda done: bar.update(survey, completed=done)


def _lines_of_progress(total: int) -> Show:
    due = 0.0

    def show(done: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + 1
            note(f"{done:,} of {counted(total, 'task')} done")

    return show


# -- After


def _finished(agent: AgentApi, total: int, directory: Path) -> list[dict[str, Any]]:
    """The records of all tasks, by id. Raises AgentError when one of them has not succeeded."""
    records = sorted(agent.tasks(type=TYPE, limit=total), key=lambda record: int(record["id"]))
    succeeded = sum(record["state"] == "succeeded" for record in records)
    if succeeded < total:
        raise AgentError(f"{total - succeeded} of {total} tasks did not succeed: see {directory}/logs/agent.jsonl")
    return records


def _compare(library: Any, records: Sequence[Mapping[str, Any]], sample: Sequence[str], expected: Any) -> None:
    """Raises AgentError when the workers computed anything else than one core did."""
    results = {record["result"]["path"]: record["result"] for record in records}
    if library.total(results[path] for path in sample) != expected:
        raise AgentError("the workers' results differ from those of one core: did the files change meanwhile?")


def _program() -> list[str]:
    """How the demo was called: `.venv/bin/python enhanced_automation_agent.py`, or the console script."""
    program = sys.argv[0]
    if not program.endswith(".py"):
        return [program]
    here = f"{os.getcwd()}/"
    return [sys.executable.removeprefix(here), program.removeprefix(here)]
