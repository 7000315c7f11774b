"""Which promises the evidence breaks, sentence by sentence. Pure.

The words are those of Jepsen's queue tests; the numbers in parentheses are the invariants of the design.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from campaign.effects import starts_by_task
from campaign.evidence import FINISHED, Evidence, Row
from campaign.run import Verdict

CRASH_LIMIT, KILL_LIMIT = 3, 10
SHOWN = 5  # breaches of one kind that are spelled out

Complaints = Sequence[str]


def check(evidence: Evidence) -> tuple[Verdict, list[str]]:
    """The verdict and every breach."""
    lost, unexpected, twice = list(_lost(evidence)), list(_unexpected(evidence)), list(_duplicated(evidence))
    verdict = Verdict(
        acknowledged=len(evidence.asked.numbers),
        lost=len(lost),
        unexpected=len(unexpected),
        duplicated=len(twice),
        recovered=len({task for task, _, outcome in evidence.kept if outcome in ("lost", "crashed", "killed")}),
        attempts=sum(effect.word == "start" for effect in evidence.effects),
    )
    kinds = (lost, unexpected, twice, *(list(rule(evidence)) for rule in RULES))
    return verdict, [sentence for found in kinds for sentence in _cut(found)]


def _lost(evidence: Evidence) -> Iterator[str]:
    """An acknowledged task is never lost, and ends (1)."""
    for task, n in evidence.asked.numbers.items():
        row = evidence.rows.get(task)
        if row is None:
            yield f"lost: task {task} was acknowledged and is not in the store"
        elif row.state not in FINISHED:
            yield f"lost: task {task} is {row.state} at rest"
        elif row.payload.get("n") != n:
            yield f"lost: task {task} was acknowledged as number {n} and is number {row.payload.get('n')}"


def _unexpected(evidence: Evidence) -> Iterator[str]:
    """Nothing is there that nobody asked for, nor twice what was asked for once (9)."""
    seen: dict[int, int] = {}
    for row in evidence.rows.values():
        n = row.payload.get("n")
        if not isinstance(n, int) or not 0 <= n < len(evidence.asked.payloads):
            yield f"unexpected: nobody asked for task {row.id}"
        elif (row.type, row.payload) != evidence.asked.payloads[n]:
            yield f"unexpected: task {row.id} is not what was asked for as number {n}"
        elif n in seen and row.key is None:
            yield f"unexpected: tasks {seen[n]} and {row.id} are the same request"
        else:
            seen[n] = row.id


def _duplicated(evidence: Evidence) -> Iterator[str]:
    """At most one success for a task and for a key, and nothing starts after it (3)."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in evidence.rows.values():
        if row.key is not None and row.state == "succeeded":
            by_key[row.key].append(row)
    for key, rows in by_key.items():
        if len(rows) > 1:
            yield f"duplicated: key {key} succeeded as tasks {[row.id for row in rows]}"
    if not evidence.wall_is_true:
        return
    for task, starts in starts_by_task(evidence.effects).items():
        row_ = evidence.rows.get(task)
        if row_ is not None and row_.state == "succeeded" and row_.finished_at is not None:
            for start in starts:
                if start.wall * 1e6 > row_.finished_at + 1:
                    yield f"duplicated: task {task} started attempt {start.attempt} after it had succeeded"


def _states(evidence: Evidence) -> Iterator[str]:
    """States are legal, and what they say is there (1, 8)."""
    for row in evidence.rows.values():
        if (row.state == "succeeded") != (row.result is not None):
            yield f"state: task {row.id} is {row.state}, its result is {row.result!r}"
        if row.claims < row.attempt and row.state == "succeeded":
            yield f"state: task {row.id} has {row.attempt} attempts from {row.claims} claims"


def _fences(evidence: Evidence) -> Iterator[str]:
    """A stale worker's result is never accepted (6): the result is that of the last attempt that was counted."""
    starts_by = starts_by_task(evidence.effects)
    started = {task: max(start.attempt for start in starts) for task, starts in starts_by.items()}
    for row in evidence.rows.values():
        if row.result is not None and row.result.get("attempt", row.attempt) != row.attempt:
            yield f"fence: task {row.id} has the result of attempt {row.result['attempt']}, not of {row.attempt}"
        if row.result is not None and row.result.get("n", row.payload.get("n")) != row.payload.get("n"):
            yield f"fence: task {row.id} has the result of another task: number {row.result['n']}"
        if row.attempt < started.get(row.id, 0):
            yield f"fence: task {row.id} counts {row.attempt} attempts, its handler saw attempt {started[row.id]}"
        if row.state == "succeeded" and row.id not in started and row.type not in ("noop",):
            yield f"fence: task {row.id} succeeded and its handler never started"


def _attempts(evidence: Evidence) -> Iterator[str]:
    """Each start of a handler is an attempt of its own, in order."""
    for task, starts in starts_by_task(evidence.effects).items():
        for before, after in pairwise(starts):
            if after.attempt <= before.attempt:
                yield f"attempts: task {task} started attempt {after.attempt} after attempt {before.attempt}"


def _overlaps(evidence: Evidence) -> Iterator[str]:
    """No two live attempts of one task overlap (5)."""
    for effect in evidence.effects:
        if effect.word == "overlap":
            yield f"overlap: attempt {effect.attempt} of task {effect.task} started while another one lived"


def _ends(evidence: Evidence) -> Iterator[str]:
    """A success has a handler that came to its end."""
    ended = {(effect.task, effect.attempt) for effect in evidence.effects if effect.word == "end"}
    started = {(effect.task, effect.attempt) for effect in evidence.effects if effect.word == "start"}
    for row in evidence.rows.values():
        mark = (row.id, row.attempt)
        if row.state == "succeeded" and mark in started and mark not in ended:
            yield f"ends: task {row.id} succeeded, but the handler of attempt {row.attempt} did not come to its end"


def _extra_starts(evidence: Evidence) -> Iterator[str]:
    """A death re-runs at most the one task whose handler was running (4)."""
    kept = Counter(outcome for _, _, outcome in evidence.kept)
    rescued = kept["lost"] + kept["crashed"] + kept["killed"]
    if rescued > evidence.deaths:
        yield f"re-runs: {rescued} attempts were lost by the death of {evidence.deaths} workers"
    known = {(task, attempt) for task, attempt, _ in evidence.kept}
    for effect in evidence.effects:
        row = evidence.rows.get(effect.task)
        is_last = row is not None and row.attempt == effect.attempt
        if effect.word == "start" and not is_last and (effect.task, effect.attempt) not in known:
            yield f"re-runs: attempt {effect.attempt} of task {effect.task} ran, and no record of it is kept"


def _gaps(evidence: Evidence) -> Iterator[str]:
    """Each attempt that is counted, but for the last one, has ended without success, and is on record."""
    known = {(task, attempt) for task, attempt, _ in evidence.kept}
    for row in evidence.rows.values():
        for attempt in range(1, row.attempt):
            if (row.id, attempt) not in known:
                yield f"attempts: task {row.id} counts {row.attempt}, and of attempt {attempt} no record is kept"


def _limits(evidence: Evidence) -> Iterator[str]:
    """Crashes and kills are bounded (poison)."""
    for row in evidence.rows.values():
        if row.crashes > CRASH_LIMIT or row.kills > KILL_LIMIT:
            yield f"limits: task {row.id} was let crash {row.crashes} times and be killed {row.kills} times"


def _books(evidence: Evidence) -> Iterator[str]:
    """The counts are those of the rows, whoever tells them."""
    words = {"reserved": "in_progress"}
    rows = Counter(words.get(row.state, row.state) for row in evidence.rows.values())
    for name, books in (("the table of counts", evidence.counted), ("`stats`", evidence.told)):
        if {state: n for state, n in books.items() if n} != dict(rows):
            yield f"books: {name} says {books}, the rows say {dict(rows)}"


def _rest(evidence: Evidence) -> Iterator[str]:
    """At rest nothing is left: no process, no slot, no living worker's row; the database is whole (7, 8)."""
    yield from (f"integrity: {complaint}" for complaint in evidence.integrity)
    yield from (f"rest: process {pid} ({role}) is left" for pid, role in evidence.processes.items())
    yield from (f"rest: the file {name} is left" for name in evidence.files)
    if evidence.living_workers:
        yield f"rest: {evidence.living_workers} workers are said to live"


RULES = (_states, _fences, _attempts, _overlaps, _ends, _extra_starts, _gaps, _limits, _books, _rest)


def _cut(found: list[str]) -> Iterable[str]:
    more = len(found) - SHOWN
    return [*found[:SHOWN], f"… and {more} more of that kind"] if more > 0 else found


