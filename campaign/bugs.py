"""Can the campaign fail? Every patch of `campaign/seeded` puts one bug into a copy; a scenario has to catch it.

A patch begins with a line that says what is wrong with it, and one that names the scenario: `scenario: NAME`, or
`scenario: NAME (full)` where a short round is not enough. A bug is caught when the scenario reports a broken promise;
one that merely cannot be played proves nothing. The same scenarios are played on a copy without a bug first, where they
must find nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PATCHES = Path(__file__).with_name("seeded")
RESULTS = Path(__file__).parent / "results"
TRIES = 8  # rounds, each with another seed
HELD, BROKEN = 0, 1


@dataclass(frozen=True, slots=True)
class Bug:
    """A patch and who has to catch it."""

    name: str
    what: str
    scenario: str
    is_full: bool
    patch: Path


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of it: the first breach, after how many rounds and seconds; none: it was missed."""

    bug: str
    what: str
    scenario: str
    breach: str
    rounds: int
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when a bug was missed, or when something was caught where there was no bug."""
    known = {bug.name: bug for bug in bugs()}
    parser = argparse.ArgumentParser(prog="scripts/seeded-bugs", description="Tests the fault campaign itself.")
    parser.add_argument("names", nargs="*", metavar="BUG", help=f"left out, all of them: {', '.join(known)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep the table in campaign/results")
    arguments = parser.parse_args(argv)
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"there is no bug {unknown[0]!r}; there are {', '.join(known)}")
    chosen = [known[name] for name in arguments.names or known]
    false_alarms = [name for name in sorted({bug.scenario for bug in chosen}) if not _is_quiet(name, arguments.seed)]
    found = [_hunt(bug, arguments.seed) for bug in chosen]
    if arguments.write:
        RESULTS.mkdir(exist_ok=True)
        table = json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False)
        (RESULTS / "seeded_bugs.json").write_text(f"{table}\n", "utf-8")
    missed = [each.bug for each in found if not each.breach]
    print(f"\n{len(found) - len(missed)} of {len(found)} seeded bugs were caught", *missed, *false_alarms)
    return 1 if missed or false_alarms else 0


def bugs() -> list[Bug]:
    """All patches, by name."""
    found = []
    for path in sorted(PATCHES.glob("*.patch")):
        what, scenario, *_ = path.read_text("utf-8").splitlines()
        name, _, size = scenario.removeprefix("scenario: ").partition(" ")
        found.append(Bug(path.stem, what, name, size == "(full)", path))
    return found


def _is_quiet(scenario: str, seed: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="seeded-") as directory:
        code, breach = _play(_copy(Path(directory)), scenario, seed)
        print(f"{'(no bug)':28} {scenario:12} {'quiet' if code == HELD else breach}", flush=True)
        return code == HELD


def _hunt(bug: Bug, seed: int) -> Caught:
    with tempfile.TemporaryDirectory(prefix="seeded-") as directory:
        copy, began = _copy(Path(directory)), time.monotonic()
        apply = ["patch", "--quiet", "-p1", "-i", str(bug.patch)]
        subprocess.run(apply, cwd=copy, check=True)
        for number in range(TRIES):
            code, breach = _play(copy, bug.scenario, seed + number, bug.is_full)
            if code == BROKEN:
                return _told(Caught(bug.name, bug.what, bug.scenario, breach, number + 1, time.monotonic() - began))
        return _told(Caught(bug.name, bug.what, bug.scenario, "", TRIES, time.monotonic() - began))


def _play(copy: Path, scenario: str, seed: int, is_full: bool = False) -> tuple[int, str]:
    """One round: the exit code, and the first breach."""
    size = ["--rounds", "1"] if is_full else ["--short"]
    words = [sys.executable, "-m", "campaign", scenario, *size, "--seed", str(seed), "--dir", str(copy.parent)]
    done = subprocess.run(words, cwd=copy, capture_output=True, text=True)
    said = done.stdout + done.stderr
    breaches = [line.partition("BROKEN: ")[2] for line in said.splitlines() if "BROKEN: " in line]
    return done.returncode, breaches[0] if breaches else said.strip()[-300:]


def _told(caught: Caught) -> Caught:
    found = f"caught in round {caught.rounds}, {caught.seconds:.0f} s: {caught.breach}" if caught.breach else "MISSED"
    print(f"{caught.bug:28} {caught.scenario:12} {found}", flush=True)
    return caught


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
