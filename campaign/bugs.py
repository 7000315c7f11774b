"""Can the campaign fail? Every patch of `campaign/seeded` puts one bug into a copy; a scenario has to catch it.

A patch begins with a line that says what is wrong with it, and one that names the scenario: `scenario: NAME`, followed
by `(full)` where a short round is not enough, or by `(only WORDS)` where a part of the scenario is. A bug is caught
when the scenario reports a broken promise; one that merely cannot be played proves nothing. The same is played on a
copy without a bug first, where nothing may be found.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
PATCHES = Path(__file__).with_name("seeded")
RESULTS = Path(__file__).parent / "results" / "seeded_bugs.json"
PUT_IN = ["patch", "--quiet", "--fuzz=0", "-p1", "-i"]  # with fuzz, it may land anywhere
TRIES = 8  # rounds, each with another seed
LONGEST_TOLD = 300  # characters of a breach
HELD, BROKEN = 0, 1
_SCENARIO = re.compile(r"scenario: (\w+)(?: \((full)\)| \(only (.+)\))?")


class Play(NamedTuple):
    """What is played: a scenario, in full rounds or short ones; `only`: these of its parts."""

    scenario: str
    is_full: bool = False
    only: str = ""

    def __str__(self) -> str:
        part = f" ({self.only})" if self.only else ""
        return f"{self.scenario}{' (full)' if self.is_full else part}"

    def words(self) -> list[str]:
        """For the campaign's command line: one round of it."""
        return [self.scenario, *(["--rounds", "1"] if self.is_full else ["--short"]), "--only", self.only]


@dataclass(frozen=True, slots=True)
class Bug:
    """A patch and who has to catch it."""

    name: str
    what: str
    play: Play
    patch: Path


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: the first breach, after how many rounds and seconds; none: nothing was found."""

    what: str
    scenario: str
    breach: str
    rounds: int
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when a bug was missed, or when something was found where there was no bug."""
    known = {bug.name: bug for bug in bugs()}
    arguments = _parser(known).parse_args(argv)
    if unknown := [name for name in arguments.names if name not in known]:
        _parser(known).error(f"there is no bug {unknown[0]!r}; there are {', '.join(known)}")
    done = _kept()["caught"] if arguments.rest else {}
    chosen = [known[name] for name in arguments.names or known if not done.get(name, {}).get("breach")]
    false_alarms, missed = [], []
    for play in dict.fromkeys(bug.play for bug in chosen):
        found = _look_at_no_bug(play, arguments.seed)
        false_alarms += [str(play)] if found.breach else []
        _keep("no bug", str(play), found, arguments.write)
    for bug in chosen:
        found = _hunt(bug, arguments.seed)
        missed += [] if found.breach else [bug.name]
        _keep("caught", bug.name, found, arguments.write)
    print(f"\n{len(chosen) - len(missed)} of {len(chosen)} seeded bugs were caught")
    print(*(f"missed: {name}" for name in missed), *(f"false alarm: {name}" for name in false_alarms), sep="\n")
    return 1 if missed or false_alarms else 0


def bugs() -> list[Bug]:
    """All patches, by name. Raises ValueError for one that names no scenario."""
    found = []
    for path in sorted(PATCHES.glob("*.patch")):
        what, scenario, *_ = path.read_text("utf-8").splitlines()
        if not (named := _SCENARIO.fullmatch(scenario)):
            raise ValueError(f"{path} names its scenario in no known form: {scenario!r}")
        found.append(Bug(path.stem, what, Play(named[1], bool(named[2]), named[3] or ""), path))
    return found


def _parser(known: dict[str, Bug]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/seeded-bugs", description="Tests the fault campaign itself.")
    parser.add_argument("names", nargs="*", metavar="BUG", help=f"left out, all of them: {', '.join(known)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep each that is played in campaign/results at once")
    parser.add_argument("--rest", action="store_true", help="those alone that are not kept there as caught")
    return parser


def _look_at_no_bug(play: Play, seed: int) -> Found:
    """Once on a copy as it should be."""
    with tempfile.TemporaryDirectory(prefix="seeded-") as directory:
        began = time.monotonic()
        code, breach = _play(_copy(Path(directory)), play, seed)
        seconds = round(time.monotonic() - began, 1)
        print(f"{'(no bug)':32} {play!s:48} {breach if code else f'quiet, {seconds:.0f} s'}", flush=True)
        return Found("Nothing.", str(play), breach if code else "", 1, seconds)


def _hunt(bug: Bug, seed: int) -> Found:
    with tempfile.TemporaryDirectory(prefix="seeded-") as directory:
        copy, began = _copy(Path(directory)), time.monotonic()
        put_in = subprocess.run([*PUT_IN, str(bug.patch)], cwd=copy)
        number, code, breach = 0, HELD, ""
        while put_in.returncode == 0 and code != BROKEN and number < TRIES:
            code, breach = _play(copy, bug.play, seed + number)
            number += 1
        seconds = round(time.monotonic() - began, 1)
        found = Found(bug.what, str(bug.play), breach if code == BROKEN else "", number, seconds)
        told = f"caught in round {number}, {seconds:.0f} s: {breach}" if found.breach else f"MISSED: {breach}"
        print(f"{bug.name:32} {bug.play!s:48} {told}", flush=True)
        return found


def _play(copy: Path, play: Play, seed: int) -> tuple[int, str]:
    """One round: the exit code, and the first breach."""
    words = [sys.executable, "-m", "campaign", *play.words(), "--seed", str(seed), "--dir", str(copy.parent)]
    done = subprocess.run(words, cwd=copy, capture_output=True, text=True)
    said = done.stdout + done.stderr
    breaches = [line.partition("BROKEN: ")[2] for line in said.splitlines() if "BROKEN: " in line]
    return done.returncode, breaches[0][:LONGEST_TOLD] if breaches else said.strip()[-LONGEST_TOLD:]


def _keep(table: str, name: str, found: Found, is_wanted: bool) -> None:
    """Write it down at once: what takes an hour may be broken off, and gone on with."""
    if is_wanted:
        kept = _kept()
        kept[table] = dict(sorted({**kept[table], name: asdict(found)}.items()))
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _kept() -> dict[str, dict[str, Any]]:
    if not RESULTS.exists():
        return {"no bug": {}, "caught": {}}
    kept: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text("utf-8"))
    return kept


def _copy(directory: Path) -> Path:
    """The checkout as it stands, without what git ignores."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    copy = directory / "copy"
    for name in names:
        if (CHECKOUT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy / name)
    return copy


if __name__ == "__main__":
    sys.exit(main())
