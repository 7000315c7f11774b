"""What handlers print reaches the supervisor's stderr, and holds nobody up."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.integration.world import MakeWorld, said
from tests.support.processes import MAIN
from tests.support.waiting import until


def test_every_line_that_a_handler_prints_bears_its_task(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()

    for _ in range(3):
        task = world.enqueue("talk")
        world.reach(task, "succeeded")
        for text in ("said by python", "said by a shell", "complained by a shell"):
            said(agent, f"[task {task}] {text}\n")
    assert agent.out == ""


def test_fifty_megabytes_of_lines_block_nobody(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    flood = world.enqueue("flood", {"megabytes": 50})
    others = [world.enqueue("mark") for _ in range(20)]

    world.reach([*others, flood], "succeeded", timeout=30)

    assert agent.process.poll() is None
    until(lambda: f"[task {flood}] xxxx" in agent.err[:100_000], what="some of the lines")


def test_nobody_reads_and_nobody_waits(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    read_end, write_end = os.pipe()
    command = [sys.executable, str(MAIN), "resume", "--drain"]
    flood = world.enqueue("flood", {"megabytes": 5})
    after = world.enqueue("mark")

    agent = subprocess.Popen(command, cwd=world.directory, stderr=write_end, stdout=subprocess.DEVNULL)
    try:
        assert agent.wait(30) == 0
    finally:
        agent.kill()
        os.close(read_end)
        os.close(write_end)

    assert [world.state(task) for task in (flood, after)] == ["succeeded"] * 2
