"""What becomes of the tasks when others lay hands on the database: hold it, damage it, take it away?

Each illness has a world of its own, under load: a program that keeps the write lock, a page overwritten while nobody
looked, a log that was cut off within the last commit, a database that is taken away or exchanged while it is served.
Meanwhile the agent has to say what is wrong, in exact words; when it is over, work goes on.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from campaign import Broken
from campaign.ailing import WORKERS, Ailing
from campaign.processes import CHECKOUT
from campaign.run import Report, Run, total

ROUNDS = 3
HELD_S, SHORT_HELD = 60, 6
MARK = "damage"
PAGE = 4096
FRAME = PAGE + 24  # of the log, after a header of 32 bytes: the file format of SQLite
HOLD = """
import sys, apsw
handle = apsw.Connection(sys.argv[1])
handle.set_busy_timeout(60000)
handle.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
ASK_AND_VANISH = f"""
import json, os, sys
sys.path.insert(0, {str(CHECKOUT)!r})
from enhanced_automation_agent import EnhancedAutomationAgent
agent = EnhancedAutomationAgent("config.yml")
log = agent._client.store.upkeep.log_frames
before = log()[0]
agent.enqueue_many("nap", json.load(open(sys.argv[1])))
print(before, log()[0], flush=True)
os._exit(0)
"""


def run(run: Run) -> Report:
    """One round: every illness; in a short one the foreign lock, and one of the others."""
    others: list[Callable[[Run], Report]] = [damaged, torn, removed, exchanged]
    chosen = [run.rng("illness").choice(others)] if run.is_short else others
    run.derive(illnesses=["held", *(each.__name__ for each in chosen)])
    return total(illness(run) for illness in (held, *chosen))


def held(run: Run) -> Report:
    """Another program keeps the write lock."""
    with Ailing(run, "foreign lock") as case:
        case.begin()
        pids = case.world.family()
        case.load()
        words = [sys.executable, "-c", HOLD, str(case.database)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            if not holder.stdout or holder.stdout.readline() != b"held\n":
                raise Broken("the foreign program did not get the write lock")
            ends_at = time.monotonic() + run.pick(HELD_S, SHORT_HELD)
            case.struck()
            case.shows(f"process {holder.pid} (python")
            case.answers()
            while time.monotonic() < ends_at:
                case.ask()
            holder.communicate()
        case.goes_on(time.monotonic())
        case.lives(*pids)
        return case.judge()


def damaged(run: Run) -> Report:
    """Pages of tasks are overwritten while nobody runs, and repaired later."""
    with Ailing(run, "damaged page") as case:
        case.world.enqueue("nap", [{"s": 0, "filler": MARK * 1000}] * WORKERS)
        case.world.client.close()
        pages = _pages_with(case.database, MARK.encode() * 100)
        _write(case.database, dict.fromkeys(pages, b"\xff" * PAGE))
        case.struck()
        case.ends(case.world.start(ready=False), f"{case.database} is damaged")
        case.refuses(f"{case.database} is damaged", "inspect", "1", "--json")
        case.world.wipe_out()
        case.world.client.close()
        _write(case.database, pages)
        since = time.monotonic()
        case.world.start()
        case.goes_on(since)
        return case.judge(WORKERS)


def torn(run: Run) -> Report:
    """Everybody is killed, and of the last commit, which nobody was told of, the log has only a part."""
    with Ailing(run, "torn log") as case:
        case.begin()
        workers = len(case.world.pids("worker"))
        case.load()
        case.world.wipe_out()
        case.world.client.close()
        numbered = case.world.asked.number("nap", [{"s": 0, "filler": "x" * PAGE}] * 50)
        before, after = _ask_and_vanish(case, numbered)
        log = Path(f"{case.database}-wal")
        cut = 32 + FRAME * before + run.rng("cut").randrange(1, FRAME * (after - before))
        with log.open("r+b") as file:
            file.truncate(cut)
        case.struck()
        since = time.monotonic()
        case.world.start()
        case.goes_on(since)
        found = case.world.rows("SELECT count(*) FROM task WHERE payload LIKE '%xxxx%'")[0][0]
        case.expect(found == 0, f"{found} tasks of a commit that was cut off are there")
        return case.judge(workers)


def removed(run: Run) -> Report:
    """The database is renamed while it is served, and comes back later."""
    with Ailing(run, "removed database") as case:
        return _without_it(case, lambda: None)


def exchanged(run: Run) -> Report:
    """Another database takes its place while it is served; the right one comes back later."""
    with Ailing(run, "exchanged database") as case:
        older = case.world.directory / "older"
        case.ask()
        case.world.client.close()
        shutil.copy(case.database, older)
        return _without_it(case, lambda: shutil.copy(older, case.database))


def _without_it(case: Ailing, replace: Callable[[], object]) -> Report:
    supervisor = case.begin()
    kept = case.world.directory / "kept"
    case.load()
    case.database.rename(kept)
    replace()
    case.struck()
    case.ends(supervisor, f"{case.database} was removed, renamed or replaced while it was in use")
    case.world.wipe_out()
    kept.replace(case.database)
    since = time.monotonic()
    case.world.start()
    case.goes_on(since)
    return case.judge(WORKERS)


def _pages_with(database: Path, mark: bytes) -> dict[int, bytes]:
    """The pages that hold the mark, by place."""
    content = database.read_bytes()
    pages = {at: content[at : at + PAGE] for at in range(0, len(content), PAGE)}
    return {at: page for at, page in pages.items() if mark in page}


def _write(database: Path, pages: dict[int, bytes]) -> None:
    with database.open("r+b") as file:
        for at, page in pages.items():
            file.seek(at)
            file.write(page)


def _ask_and_vanish(case: Ailing, payloads: list[dict[str, object]]) -> tuple[int, int]:
    """A program asks, and ends before it could tell anybody: the log's frames before and after."""
    asked = case.world.directory / "asked.json"
    asked.write_text(json.dumps(payloads), "utf-8")
    process = case.world.call(str(asked), code=ASK_AND_VANISH)
    said, errors = process.communicate(timeout=60)
    if process.returncode:
        raise Broken(f"a program that asks did not come to its end: {errors[-300:]}")
    before, after = said.split()
    return int(before), int(after)
