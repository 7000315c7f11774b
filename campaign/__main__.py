"""Runs scenarios: `python -m campaign [NAME …]`; without a name, all of them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import campaign
from agent.duration import parse_duration
from agent.errors import AgentError
from campaign import Broken, PromiseBroken
from campaign.run import Report, Run, total
from campaign.words import document, table

RESULTS = Path(__file__).parent / "results"
WORST_SEED = 2**31


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when a promise was broken, 2 when a scenario could not be played."""
    known = scenarios()
    arguments = _parser(known).parse_args(argv)
    if unknown := [name for name in arguments.names if name not in known]:
        _parser(known).error(f"there is no scenario {unknown[0]!r}; there are {', '.join(known)}")
    if arguments.only and not _has_part(known, arguments.names, arguments.only):
        _parser(known).error(f"--only {arguments.only!r} goes with the name of one scenario that has such a part")
    for name in [name for name in os.environ if name.startswith("SANAAGENT_")]:
        del os.environ[name]  # no setting of whoever runs this is put to the test
    seed = arguments.seed if arguments.seed is not None else random.randrange(WORST_SEED)
    codes = [_play(name, known[name], seed, arguments) for name in arguments.names or known]
    return 1 if 1 in codes else max(codes)


def scenarios() -> dict[str, ModuleType]:
    """Every module that has a `run` of its own."""
    names = sorted(each.name for each in pkgutil.iter_modules(campaign.__path__) if not each.name.startswith("_"))
    names = [name for name in names if name not in ("handlers", "run")]
    modules = {name: importlib.import_module(f"campaign.{name}") for name in names}
    return {name: each for name, each in modules.items() if getattr(each, "run", main).__module__ == each.__name__}


def question(module: ModuleType) -> str:
    """What a scenario asks: the first line of its docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def _has_part(known: dict[str, ModuleType], names: Sequence[str], words: str) -> bool:
    parts = getattr(known[names[0]], "parts", list) if len(names) == 1 else list
    return any(words in part for part in parts())


def _play(name: str, module: ModuleType, seed: int, arguments: argparse.Namespace) -> int:
    print(f"\n{name}: {question(module)}\nseed {seed}", flush=True)
    reports, derived, began = [], [], time.monotonic()
    for number in _rounds(module, arguments, began):
        run = Run(seed + number, _room(arguments.dir, name, seed + number), arguments.short, arguments.only)
        try:
            report: Report = module.run(run)
        except PromiseBroken as error:
            report = Report({}, (str(error),))
        except (Broken, AgentError) as error:
            print(f"{name}, seed {run.seed}, could not be played: {error}\nits files: {run.directory}", file=sys.stderr)
            return 2
        except Exception:  # the other scenarios may still have something to say
            traceback.print_exc()
            print(f"{name}, seed {run.seed}; its files: {run.directory}", file=sys.stderr)
            return 2
        reports.append(report)
        derived.append({"seed": run.seed, **run.derived})
        print(f"round {number + 1}, seed {run.seed}, derived {json.dumps(run.derived, default=str)}", flush=True)
        if report.breaches:
            print(f"its files: {run.directory}", flush=True)
        else:
            shutil.rmtree(run.directory)
    took_s, whole = time.monotonic() - began, total(reports)
    print(table(whole, took_s))
    if arguments.write:
        _write(name, module, {**document(whole, took_s), "rounds": derived})
    return 1 if whole.breaches else 0


def _rounds(module: ModuleType, arguments: argparse.Namespace, began: float) -> Iterator[int]:
    """Round by round: as many as are asked for, or until the time is over; one at least."""
    wanted = arguments.rounds or (1 if arguments.short or arguments.time else getattr(module, "ROUNDS", 1))
    number = 0
    while number < wanted or (arguments.time and time.monotonic() - began < arguments.time):
        yield number
        number += 1


def _room(parent: Path, name: str, seed: int) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"campaign-{name}-{seed}-", dir=parent)).resolve()


def _write(name: str, module: ModuleType, found: dict[str, object]) -> None:
    RESULTS.mkdir(exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"scenario": name, "question": question(module), "date": when, **found}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False, default=str) + "\n", "utf-8")
    print(f"written to {path}")


def _span(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser(known: dict[str, ModuleType]) -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:14} {question(module)}" for name, module in known.items())
    parser = argparse.ArgumentParser(
        prog="scripts/campaign",
        description="Attacks the agent, and checks its promises.",
        epilog=f"scenarios:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a scenario; left out, all of them")
    parser.add_argument("--seed", type=int, metavar="N", help="the first round's; the next have the following ones")
    parser.add_argument("--for", type=_span, dest="time", metavar="60s", help="go on with rounds for so long")
    parser.add_argument("--rounds", type=int, metavar="N", help="how many rounds")
    parser.add_argument("--short", action="store_true", help="rounds of a few seconds, as in the test suite")
    parser.add_argument("--only", metavar="WORDS", default="", help="parts of the one scenario, such as a cell")
    parser.add_argument("--write", action="store_true", help="keep what was found in campaign/results")
    parser.add_argument("--dir", type=Path, metavar="DIR", default=tempfile.gettempdir(), help="where worlds are laid")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
