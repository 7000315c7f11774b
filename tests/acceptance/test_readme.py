"""What the README shows is what happens: its console blocks are run in order, in a fresh checkout.

A block is ```console; a line that begins with `$ ` is a command, what follows is its output, standard output and error
together. A Python block whose first line is a comment with a file's name is saved as that file. `resume` runs on in the
background until its section ends. Times, process numbers and worker ids may differ.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.checkout import fresh_checkout
from tests.support.processes import CHECKOUT
from tests.support.waiting import until

LOOKS = ("inspect", "stats", "tasks", "workers")  # what they show takes a moment to come true
VARIES = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b(pid=|process |max_rss=)\d+", r"\1N"),
    (r"\b[0-9a-f]{16}\b", "WORKER"),
    (r"\S+/checkout/", "/home/you/checkout/"),
    (r"[\d.]+ s\b", "SPAN"),
    (r" +", " "),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of the README: its language, text, and the section (of the second rank) that it stands in."""

    language: str
    text: str
    section: str


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks, in order."""
    section = ""
    for heading, language, body in re.findall(r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        section = heading or section
        if not heading:
            yield Block(language, body, section)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with its output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def same(text: str) -> str:
    """Text without what differs from run to run."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return text.strip()


class Shell:
    """A newcomer's terminal in the checkout; `python` is the interpreter of the tests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._env = {**os.environ, "PATH": path, "COLUMNS": "200"}
        self._agents: list[tuple[subprocess.Popen[bytes], Path]] = []

    def run(self, command: str) -> str:
        """What a command writes."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.directory, env=self._env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=50,
        )  # fmt: skip
        return done.stdout

    def start(self, command: str) -> Path:
        """A command that runs on; where its output goes."""
        path = self.directory.parent / f"background-{len(self._agents)}"
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.directory, env=self._env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._agents.append((process, path))
        return path

    def end(self) -> None:
        """Ctrl-C for whatever runs in the background."""
        while self._agents:
            process, path = self._agents.pop()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, path.read_text()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(fresh_checkout(tmp_path))
    yield shell
    for process, _ in shell._agents:
        process.kill()
        process.wait()


def test_every_console_block_shows_what_happens(shell: Shell) -> None:
    section = ""
    ran = 0
    for block in blocks((CHECKOUT / "README.md").read_text("utf-8")):
        if block.section != section:
            shell.end()
            section = block.section
        if block.language == "python" and (name := re.match(r"# (\w+\.py)\n", block.text)):
            (shell.directory / name[1]).write_text(block.text)
        for command, output in commands(block.text) if block.language == "console" else ():
            check(shell, command, output)
            ran += 1
    shell.end()
    assert ran >= 8


def check(shell: Shell, command: str, expected: str) -> None:
    """Run a command; its output must be the expected one, where need be after a moment."""
    if command.endswith(" resume"):
        path = shell.start(command)
        until(lambda: same(path.read_text()).startswith(same(expected)), what=f"{expected!r} of {command}")
        return
    output = shell.run(command)
    if command.split(".py ")[-1].split()[0] in LOOKS:
        what = f"{command} to show {expected}; at first it showed {output}"
        until(lambda: same(shell.run(command)) == same(expected), what=what)
    else:
        assert same(output) == same(expected), f"$ {command}\n{output}"


def test_every_python_block_is_python() -> None:
    for block in blocks((CHECKOUT / "README.md").read_text("utf-8")):
        if block.language == "python":
            compile(block.text, "README.md", "exec")


def test_the_configuration_shown_is_valid(tmp_path: Path) -> None:
    from agent.config import load

    shown = [block.text for block in blocks((CHECKOUT / "README.md").read_text("utf-8")) if block.language == "yaml"]

    assert shown
    for text in shown:
        (tmp_path / "config.yml").write_text(text)
        load(str(tmp_path / "config.yml"))


def test_every_file_that_is_linked_is_there() -> None:
    for path in [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text("utf-8"))
        assert [link for link in links if not (path.parent / link).exists()] == []


def test_a_wrong_output_is_noticed() -> None:
    assert same("18:00:01 info pid=17 of worker 0123456789abcdef") == "TIME info pid=N of worker WORKER"
    assert same("state  queued") != same("state  succeeded")
    assert list(commands("$ a b\nout\nmore\n$ c\n")) == [("a b", "out\nmore\n"), ("c", "")]
    text = "## One\n```console\n$ x\n```\ntext\n## Two\n```python\ny\n```\n"
    assert list(blocks(text)) == [Block("console", "$ x\n", "One"), Block("python", "y\n", "Two")]
