"""Who serves when two or ten supervisors start at the same instant, again and again, over their predecessor's body?

Each rival waits, with everything imported, for the same signal to start. One serves; the others leave with 75 and name
it. The one is killed under load, and the next rivals are let go over what it leaves. One of them is a script that calls
`resume` itself. The first have no database yet; nor have ten commands that ask for a task each, somewhere else.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from campaign import PromiseBroken
from campaign.processes import CHECKOUT, came_true, hit
from campaign.run import Figure, Report, Run
from campaign.world import World

ROUNDS = 5
WORKERS = 2
FEW, MANY = 2, 10
FIGHTS, SHORT_FIGHTS = 8, 1  # with so many rivals each
TASKS = 60  # before each fight
TRY_LATER = 75
SETTLED_WITHIN_S = 30.0
ASKED = "nap"
WAITING = f"""\
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
import agent.cli.commands.enqueue, agent.cli.commands.resume, agent.store.migrations, supervisor
from enhanced_automation_agent import AgentError, EnhancedAutomationAgent, main
"""
COMMAND = f"{WAITING}print('there', flush=True); sys.stdin.readline(); sys.exit(main(sys.argv[1:]))"
SCRIPT = f"""{WAITING}
import handlers
print('there', flush=True)
sys.stdin.readline()
try:
    sys.exit(EnhancedAutomationAgent().resume())
except AgentError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def run(run: Run) -> Report:
    """One round."""
    with World(run.directory / "asked", WORKERS) as asked, World(run.directory / "world", WORKERS) as world:
        fights = _Fights(run, world)
        fights.ask_first(asked)
        return fights.play()


@dataclass(slots=True)
class Rival:
    """A process that waits to be let go; `said` holds what it writes to stderr."""

    process: subprocess.Popen[str]
    said: Path

    def let_go(self) -> None:
        """Off it goes."""
        if self.process.stdin:
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    @property
    def is_there(self) -> bool:
        """Whether it has imported everything."""
        return bool(self.process.stdout and self.process.stdout.readline().strip() == "there")

    def close(self) -> None:
        """Let go of it; it has ended."""
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


class _Fights:
    """A world, and what became of those who fought for it."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._rng: random.Random = run.rng("rivals")
        each = run.pick(FIGHTS, SHORT_FIGHTS)
        self._plan = [FEW, MANY, *self._rng.sample([FEW, MANY] * each, 2 * each)][: max(2, 2 * each)]
        self._faults = {"rivals": 0, "first askers": 0, "kills of the winner": 0}
        self._breaches: list[str] = []
        self._served_after: list[float] = []
        run.derive(fights=self._plan)

    def play(self) -> Report:
        """Fight after fight; then let all tasks end."""
        for number in self._plan:
            winner = self._fight(number)
            self._world.enqueue(ASKED, [{"s": self._rng.choice([0, 0.001, 0.02])} for _ in range(TASKS)])
            time.sleep(self._rng.uniform(0, 0.2))
            self._kill(winner)
        self._world.finish()
        deaths = WORKERS * (len(self._plan) + 1)
        figure = Figure("rivals let go → one serves, slowest", max(self._served_after) * 1e3, "ms")
        return self._world.judge(self._faults, deaths, self._breaches, [figure])

    def ask_first(self, world: World) -> None:
        """Ten commands, no database: each is acknowledged; nobody meets one that is only half made."""
        rivals = [_waiting(world, COMMAND, "enqueue", ASKED, json.dumps({"s": 0, "n": n})) for n in range(MANY)]
        _let_go(rivals)
        ids = []
        for rival in rivals:
            out = rival.process.stdout.read() if rival.process.stdout else ""
            rival.close()
            self._faults["first askers"] += 1
            if rival.process.returncode:
                self._breaches.append(f"first askers: {rival.process.returncode}: {rival.said.read_text()[-200:]}")
            else:
                ids.append(int(out))
        stored = sorted(task["id"] for task in world.client.tasks(limit=2 * MANY))
        if stored != sorted(ids):
            self._breaches.append(f"first askers: {sorted(ids)} were acknowledged, {stored} are stored")

    def _fight(self, number: int) -> Rival:
        """Let so many go; the one that serves, once the others have left."""
        by_script = self._rng.randrange(number)
        sources = [SCRIPT if each == by_script else COMMAND for each in range(number)]
        rivals = [_waiting(self._world, source, "resume") for source in sources]
        _let_go(rivals)
        self._faults["rivals"] += number
        at = time.monotonic()
        if not came_true(lambda: len(_living(rivals)) <= 1 and self._served(), SETTLED_WITHIN_S):
            raise PromiseBroken(f"rivals: {len(_living(rivals))} of {number} live on, {self._served()} serves")
        self._served_after.append(time.monotonic() - at)
        left = _living(rivals)
        if not left:
            raise PromiseBroken(f"rivals: of {number} none serves: {[each.said.read_text()[-200:] for each in rivals]}")
        self._check_losers(rivals, left[0])
        return left[0]

    def _check_losers(self, rivals: Sequence[Rival], winner: Rival) -> None:
        if (serving := self._served()) != winner.process.pid:
            self._breaches.append(f"rivals: {serving} serves, but {winner.process.pid} is the one that lives")
        for rival in rivals:
            if rival is winner:
                continue
            rival.close()
            said, code = rival.said.read_text(), rival.process.returncode
            if code != TRY_LATER or str(winner.process.pid) not in said or "Traceback" in said:
                self._breaches.append(f"rivals: a loser against {winner.process.pid} left with {code}: {said[-200:]}")

    def _kill(self, winner: Rival) -> None:
        hit(winner.process.pid)
        winner.close()
        self._faults["kills of the winner"] += 1

    def _served(self) -> int | None:
        pid: int | None = self._world.client.stats()["supervisor_pid"]
        return pid


def _waiting(world: World, source: str, *words: str) -> Rival:
    """A process in the world that waits to be let go."""
    said = world.directory / f"rival-{len(list(world.directory.glob('rival-*'))) + 1}"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", source, *words], cwd=world.directory, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
        )  # fmt: skip
    return Rival(process, said)


def _let_go(rivals: Sequence[Rival]) -> None:
    """All at once, when all are there."""
    if not all(rival.is_there for rival in rivals):
        raise PromiseBroken(f"rivals: {[each.said.read_text()[-200:] for each in rivals]}")
    for rival in rivals:
        rival.let_go()


def _living(rivals: Sequence[Rival]) -> list[Rival]:
    return [rival for rival in rivals if rival.process.poll() is None]
