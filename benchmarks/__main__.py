"""Runs benchmarks: `python -m benchmarks [NAME …]`; without a name, all of them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks import Broken, machine
from benchmarks.options import Options
from benchmarks.report import Report

RESULTS = Path(__file__).parent / "results"
SYSTEMD = ("STATE_DIRECTORY", "LOGS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

Facts = dict[str, str | int | float]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when a benchmark breaks; what is wanted and not met is reported, and no failure."""
    known = questions()
    arguments = _parser(known).parse_args(argv)
    if unknown := [name for name in arguments.names if name not in known]:
        _parser(known).error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    _forget_outside_settings()
    _end_by_sigterm()
    options = Options(arguments.rounds, arguments.tasks, arguments.quick, arguments.dir.resolve())
    broken = [name for name in arguments.names or known if not _answer(known[name], name, options)]
    return 1 if broken else 0


def questions() -> dict[str, ModuleType]:
    """Every module that answers one: those with a `run` of their own."""
    names = sorted(each.name for each in pkgutil.iter_modules(benchmarks.__path__) if not each.name.startswith("_"))
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: each for name, each in modules.items() if getattr(each, "run", main).__module__ == each.__name__}


def question(module: ModuleType) -> str:
    """What a benchmark asks: the first line of its docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def _answer(module: ModuleType, name: str, options: Options) -> bool:
    """Run one benchmark, print its table, keep its figures. Whether it could be run."""
    print(f"\n{name}: {question(module)}", flush=True)
    facts = machine.facts(options.directory)
    try:
        report: Report = module.run(options)
    except Broken as error:
        print(f"{name} broke: {error}", file=sys.stderr)
        return False
    except Exception:  # the other benchmarks may still have something to say
        traceback.print_exc()
        return False
    print(report.table())
    if facts["file_system"] in machine.IN_MEMORY:
        print(f"note: {options.directory} is in memory, where a commit costs nothing: name a directory by --dir")
    if not options.quick:  # which gives no figures
        print(f"written to {_write(name, module, facts, report)}", flush=True)
    return True


def _write(name: str, module: ModuleType, facts: Facts, report: Report) -> Path:
    document = {
        "benchmark": name,
        "question": question(module),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": facts,
        **report.document(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _end_by_sigterm() -> None:
    """What was started is in sessions of its own: it is ended on the way out."""
    ours = os.getpid()

    def leave(number: int, _frame: object) -> None:
        if os.getpid() != ours:  # a pool's process, which its pool ends
            os._exit(128 + number)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def _forget_outside_settings() -> None:
    """No variable of whoever runs this configures the agents that are measured."""
    for name in list(os.environ):
        if name.startswith("SANAAGENT_") or name in (*SYSTEMD, "PYTHONDONTWRITEBYTECODE"):
            del os.environ[name]


def _parser(known: dict[str, ModuleType]) -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:14} {question(module)}" for name, module in known.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench", epilog=f"benchmarks:\n{listing}", description="Measures the agent beside its peers.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; left out, all of them")
    parser.add_argument("--quick", action="store_true", help="a few seconds each: tries the programs, gives no figures")
    parser.add_argument("--rounds", type=_whole, metavar="N", help="how often each is measured")
    parser.add_argument("--tasks", type=_whole, metavar="N", help="how many tasks a round has")
    parser.add_argument("--dir", type=_directory, metavar="DIR", default=Path(tempfile.gettempdir()),
                        help="where databases are laid; on a real disk")  # fmt: skip
    return parser


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return number


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {text!r}")
    return Path(text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
