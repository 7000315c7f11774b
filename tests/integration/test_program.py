"""A user's own program becomes the supervisor: its closures and lambdas are handlers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.world import MakeWorld, gone_within, kill
from tests.support.processes import CHECKOUT, family, is_alive

DRAIN = """
import json, sys
from enhanced_automation_agent import EnhancedAutomationAgent

agent = EnhancedAutomationAgent("config.yml")
factor = int(sys.argv[1])

def scaled(payload):
    return {"value": payload["value"] * factor}

agent.register_handler("scale", scaled)
agent.register_handler("double", lambda payload: {"value": payload["value"] * 2})

@agent.handler("parent", max_attempts=1)
def parent(payload):
    return {"child": agent.enqueue("double", {"value": 4})}

tasks = [agent.enqueue("scale", {"value": 3}), agent.enqueue("double", {"value": 3}), agent.enqueue("parent", {})]
code = agent.resume(drain=True)
results = [agent.result(task) for task in tasks]
print(json.dumps({"code": code, "results": results, "child": agent.result(results[2]["child"])}))
"""

SERVE = """
import os, sys, time
from enhanced_automation_agent import EnhancedAutomationAgent
agent = EnhancedAutomationAgent("config.yml")
agent.register_handler("long", lambda payload: time.sleep(600))
agent.register_handler("short", lambda payload: {"pid": os.getpid()})
sys.exit(agent.resume(max_concurrent=2))
"""


def run(directory: Path, source: str, *args: str) -> subprocess.Popen[str]:
    """The program, running."""
    (directory / "program.py").write_text(source, "utf-8")
    environment = {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "program.py", *args]
    return subprocess.Popen(
        command, cwd=directory, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_program_drains_with_closures_and_lambdas_and_goes_on(make_world: MakeWorld) -> None:
    world = make_world()

    out, err = run(world.directory, DRAIN, "7").communicate(timeout=30)

    told = json.loads(out)
    assert told["code"] == 0, err
    assert told["results"][:2] == [{"value": 21}, {"value": 6}]
    assert told["child"] == {"value": 8}
    assert "Traceback" not in err


def test_a_program_obeys_signals_and_its_workers_die_with_it(make_world: MakeWorld) -> None:
    world = make_world(bulk__drain_grace_s=0.2)
    first = run(world.directory, SERVE)
    short = world.enqueue("short")
    long = world.enqueue("long")
    world.reach(short, "succeeded")
    world.reach(long, "in_progress")
    left = family(first.pid)
    assert len(left) == 3

    kill(first.pid, signal.SIGTERM)
    _, err = first.communicate(timeout=10)
    assert first.returncode == 0, err
    gone_within(left, 0.1)

    second = run(world.directory, SERVE)
    world.reach(long, "in_progress")
    left = family(second.pid)
    kill(second.pid)
    second.communicate(timeout=10)
    assert gone_within(left, 0.1) < 2
    assert not any(is_alive(pid) for pid in left)
