"""What users give: payloads, results, configurations. Each is refused clearly, or kept exactly."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from agent.client import Client
from agent.config import Config, dump, flat, load, readers
from agent.errors import ConfigError, Conflict, PayloadError
from agent.handlers import Registry
from agent.new_tasks import THOUSAND, new_task
from agent.payload import MAX_DEPTH
from agent.store.values import Admission
from agent.task import Claimed, Outcome
from campaign import PromiseBroken
from campaign.fuzzing import hostile
from campaign.fuzzing.door import Door, Untouched, Watcher, check, check_told
from campaign.fuzzing.returned import RECIPES, Raised, made
from campaign.fuzzing.strict import same, storable
from workers.attempt import LONGEST_ERROR, Failure, attempt_of, fail, perform, succeed
from workers.messages import Settings

TYPE = "fuzz"
PLAIN_LINE = b'{"payload": {}}'


# -- Payloads


def payloads(client: Client, watcher: Watcher) -> Door:
    """`enqueue` with one text."""
    limit = client.config.persistence.max_payload_bytes

    def attack(text: str | bytes) -> None:
        expected, untouched = storable(text), Untouched(watcher)
        size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
        try:
            task = client.enqueue(TYPE, client.payload_text(text, "payload"))
        except PayloadError as error:
            check_told(error, 65)
            check(expected is None or size > limit // 2, f"what may be stored was refused: {error}")
            untouched.check()
            return
        check(expected is not None, "what may not be stored was stored")
        check(same(watcher.payload(task), expected), f"it was stored as {watcher.payload(task)!r}")
        check(client.inspect(task)["payload"] == expected, "it is shown as something else")

    return Door("payload texts", 2200, hostile.PAYLOADS, attack)


def lines(client: Client, watcher: Watcher) -> Door:
    """`enqueue --many` with a file of a few lines, now and then behind more than are stored at once."""

    def attack(case: tuple[int, list[bytes], list[bytes]]) -> None:
        before, good, bad = case[0], [PLAIN_LINE] * case[0] + case[1], case[2]
        file, untouched = [*good, *bad], Untouched(watcher)
        given = [line for line in file if line.strip()]
        try:
            ids = client.enqueue_lines(file, TYPE, "file")
        except (PayloadError, Conflict) as error:
            check_told(error, error.exit_code)
            check(error.exit_code == 4 or str(error).startswith("file:"), f"the line is not named: {error}")
            check(bool(bad) or error.exit_code == 4, f"lines that may be stored were refused: {error}")
            if error.exit_code != 4 or not before:  # a key that is another's is met when the thousand before is stored
                untouched.check()
            return
        check(len(ids) == len(given), f"{len(given)} lines became {len(ids)} tasks")
        for line, task in [*zip(given, ids, strict=True)][max(0, before - 1) :]:
            fields = storable(line, MAX_DEPTH + 1)
            if fields is None:
                raise PromiseBroken(f"a line that may not be stored was stored: {line[:200]!r}")
            check(same(watcher.payload(task), fields["payload"]), f"{line[:200]!r} became {watcher.payload(task)!r}")

    few, one = st.lists(hostile.CLEAN_LINES, max_size=2), st.lists(hostile.LINES, max_size=1)
    cases = st.tuples(st.sampled_from([0] * 7 + [THOUSAND]), few, one)
    return Door("lines of a file", 1400, cases, attack)


# -- Results


def results(client: Client, watcher: Watcher) -> Door:
    """What a handler returns or raises, through `perform` and into the database."""
    settings = Settings(retry_attempts=1, retry_delay_s=1, retry_max_delay_s=1, max_result_bytes=1 << 20, max_tasks=0)
    worker = 77
    claims, rng = client.store.claims(worker), random.Random(0)
    kind = claims.kinds([TYPE + " result"])[TYPE + " result"]

    def attack(recipe: Any) -> None:
        raises, value = isinstance(recipe, Raised) and recipe.how != "read", made(recipe)

        def handler(payload: Any) -> Any:
            if raises:
                raise value
            return value

        registry = Registry()
        registry.register(TYPE + " result", handler)
        entry = registry.entries()[0]
        claimed = _claim(client, claims, kind)
        result = perform(entry, claimed, settings.max_result_bytes)
        if isinstance(result, Failure):
            run = attempt_of(claimed, entry, settings, 1, 2)
            outcome = fail(run, result, settings, rng)
            check(0 < len(result.error) <= LONGEST_ERROR, f"an error of {len(result.error)} characters")
        else:
            check(not raises, "what was raised counts as a result")
            check(storable(result) is not None, f"a result that may not be stored: {result[:200]!r}")
            outcome = succeed(claimed, 1, 2, result)
        again = msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome)
        check(again == outcome, f"the slot's copy differs: {again}")
        stale = claims.exchange(kind, [again], None, None).stale
        check(not stale, "its outcome was not recorded")
        record = client.inspect(claimed[0])
        if outcome.result is not None:
            check(same(record["result"], json.loads(outcome.result)), f"it is shown as {record['result']!r}")
            _check_kept(value, record["result"])
        else:
            check(record["error"] == outcome.error, f"its error is shown as {record['error']!r}")

    return Door("results of handlers", 1500, RECIPES, attack)


def _claim(client: Client, claims: Any, kind: int) -> Claimed:
    client.store.tasks.enqueue([new_task(TYPE + " result", "{}", 1)], 1, 0)
    version = client.store.oversight.standing().version
    chunk = claims.exchange(kind, [], None, Admission(version, frozenset({kind}), lambda _kind, _queued: 1))
    (claimed,) = chunk.tasks
    return Claimed(*claimed)


def _check_kept(value: Any, stored: Any) -> None:
    """What the standard library makes of a value was stored, where it is as strict as we are."""
    try:
        text = json.dumps(value, allow_nan=False)
    except Exception:  # a value that only we can read, an enumeration's member say
        return
    expected = storable(text)
    check(expected is None or same(stored, expected), f"it was stored as {stored!r}")


# -- Configurations


def configurations(directory: Path, shipped: bytes) -> Door:
    """A file in place of `config.yml`."""
    file = directory / "fuzzed.yml"

    def attack(content: bytes) -> None:
        file.write_bytes(content)
        _check_configuration(lambda: load(file, environ={}).config, str(file))

    return Door("configuration files", 1500, hostile.yaml_files(tuple(readers()), shipped), attack)


def environments(directory: Path) -> Door:
    """`SANAAGENT_*` variables."""
    file = directory / "empty.yml"
    file.touch()
    names = tuple("SANAAGENT_" + key.replace(".", "_").upper() for key in readers())

    def attack(variables: dict[str, str]) -> None:
        _check_configuration(lambda: load(file, environ=variables).config, "SANAAGENT")

    return Door("environment variables", 700, hostile.environments(names), attack)


def _check_configuration(read: Callable[[], Config], where: str) -> None:
    try:
        config = read()
    except ConfigError as error:
        check_told(error, 78, lines=100)
        for line in str(error).splitlines():
            check(line.startswith(where), f"a mistake without its place: {line}")
        return
    check(read() == config, "read twice, it says two things")
    json.dumps(dump(config), allow_nan=False)
    for key, value in flat(config).items():
        check(not isinstance(value, str) or "\0" not in value, f"{key} has a NUL in it")
        check(isinstance(value, bool | int | float | str | tuple), f"{key} is {value!r}")
