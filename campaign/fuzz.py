"""Does any payload, result, configuration, message or file break the agent, or get stored in part?

10,000 cases a round, drawn by hypothesis from the seed, and made as small as they go where a promise breaks. The judge
of what may be stored shares no code with the agent; whether anything was stored is seen by another connection.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from agent.client import Client
from agent.config import load
from campaign import Broken, PromiseBroken
from campaign.run import Report, Run

if TYPE_CHECKING:
    from campaign.fuzzing.door import Door

CASES, SHORT_CASES = 10_000, 500
LEAST = 4  # cases at any door
CPU_S = 5.0  # that one case may take: then it hangs
LONGEST_SHOWN = 400  # characters of a case
SHIPPED = Path(__file__).resolve().parent.parent / "config.yml"
CONFIG = """\
persistence: {{db_path: {0}/state.db}}
telemetry: {{log_dir: {0}/logs}}
governance: {{cpu_high_pct: 100, mem_high_pct: 100, hysteresis_pct: 1}}
bulk: {{max_concurrent: 1}}
handlers: []
"""


DOORS = (
    "requests to fork servers", "payload texts", "lines of a file", "results of handlers", "configuration files",
    "environment variables", "command lines", "commands", "slots of the dead", "output of workers", "log lines",
    "messages of workers", "control rows", "datagrams", "reports of fork servers",
)  # fmt: skip


class _Hangs(BaseException):
    """A case has taken too long."""


def run(run: Run) -> Report:
    """Every door, its share of the cases each; of those that are meant the full one.

    Raises Broken where hypothesis is not installed.
    """
    try:
        import hypothesis  # noqa: F401
    except ImportError as error:
        raise Broken("it needs hypothesis: scripts/setup test") from error
    faults, breaches = {}, []
    for door in _doors(run):
        if not run.means(door.name):
            door.ends()
            continue
        faults[door.name], breach = _assail(door, run)
        breaches += [breach] if breach else []
    return Report(faults, tuple(breaches))


def parts() -> list[str]:
    """The names of the doors."""
    return [*DOORS]


def _doors(run: Run) -> Iterator[Door]:
    """One after the other: each is closed before the next opens, and what forks comes before what starts threads."""
    from campaign.fuzzing import commands, door, orders, pipes, printed, slots, users
    from campaign.fuzzing.impostor import Impostor

    yield pipes.ForkServers(run.directory).door()
    with ExitStack() as room:
        home = _home(run.directory / "users")
        client = Client(load(home, environ={}).config)
        room.callback(client.close)
        watcher = door.Watcher(client.store.path)
        room.callback(watcher.close)
        yield users.payloads(client, watcher)
        yield users.lines(client, watcher)
        yield users.results(client, watcher)
        yield users.configurations(run.directory, SHIPPED.read_bytes())
        yield users.environments(run.directory)
        yield commands.CommandLines(home.parent, watcher).called()
        yield commands.CommandLines(home.parent, watcher).run()
        yield slots.Slots(client, watcher).door()
        yield printed.output(run.directory)
        yield printed.logged(run.directory)
    with ExitStack() as room:
        impostor = Impostor(_home(run.directory / "supervisor"))
        room.callback(impostor.close)
        yield pipes.from_a_worker(impostor)
        yield orders.rows(impostor)
        yield orders.bell(impostor)
    yield pipes.ForkReports(_home(run.directory / "another")).door()


def _home(directory: Path) -> Path:
    """A directory with a configuration."""
    directory.mkdir()
    config = directory / "config.yml"
    config.write_text(CONFIG.format(directory), "utf-8")
    return config


def _assail(door: Door, run: Run) -> tuple[int, str]:
    """How many cases were played, and the sentence of a breach: its case made as small as it goes."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    played: list[Any] = [None, 0]

    def play(case: Any) -> None:
        played[:] = [case, played[1] + 1]
        try:
            with _bounded():
                door.attack(case)
        except (Exception, _Hangs):
            raise
        except BaseException as error:  # one that hypothesis would take for its own
            raise PromiseBroken(f"{type(error).__name__} got out") from error

    cases = CASES if run.only else run.pick(CASES, SHORT_CASES)
    most = max(LEAST, cases * door.share // CASES)
    how = settings(
        max_examples=most, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    try:
        seed(run.rng(door.name).getrandbits(32))(how(given(door.cases)(play)))()
    except (Exception, _Hangs) as error:
        return played[1], _sentence(door, error, played[0])
    finally:
        door.ends()
    return played[1], ""


def _sentence(door: Door, error: BaseException, case: Any) -> str:
    what = str(error) if isinstance(error, PromiseBroken) else f"{type(error).__name__}: {error}"
    if isinstance(error, _Hangs):
        what = f"it took more than {CPU_S:g} s"
    return f"{door.name}: {_short(what)} (case {_short(repr(case))})"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


@contextmanager
def _bounded() -> Iterator[None]:
    """In the block, as much of the processor's time as one case may take: a busy machine makes none hang."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise _Hangs

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
