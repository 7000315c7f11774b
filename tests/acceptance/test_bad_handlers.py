"""Handlers that cannot be: the mistake is named as the user's, with place and cure; the tasks are left alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.acceptance.home import Home
from tests.support.processes import CHECKOUT, Completed


def resumed(home: Home, *words: str, **env: str) -> Completed:
    return home.cli(*words, "resume", "--drain", env=env)


def test_handlers_that_are_not_there_are_named_with_the_places_looked_at(home: Home) -> None:
    module, file = resumed(home, "--handlers", "nowhere.to_be_found"), resumed(home, "--handlers", "nowhere.py")

    assert module.code == file.code == 78
    assert "error: handlers nowhere.to_be_found: there is no module 'nowhere'; tried " in module.err
    assert str(home.directory) in module.err
    assert f"there is no file {home.directory}/nowhere.py: correct the path" in file.err
    assert "supervisor.stopped pid=" in module.err
    assert "exit_code=78" in module.err
    assert "Traceback" not in module.err + file.err


@pytest.mark.parametrize("before", [("resume", "--drain", "--max-concurrent", "5"), ("scale", "3")])
def test_handlers_that_are_not_there_are_all_that_is_told_whatever_was_ordered_before(
    home: Home, before: tuple[str, ...]
) -> None:
    assert home.cli(*before).code == 0

    done = resumed(home, "--handlers", "nowhere.py")

    assert done.code == 78
    assert "worker." not in done.err
    assert "worker." not in (home.directory / "logs" / "agent.jsonl").read_text().rpartition("config.loaded")[2]


def test_what_a_handlers_module_raises_is_shown_as_the_users(home: Home) -> None:
    (home.directory / "broken.py").write_text("def load():\n    return 1 / 0\n\nload()\n")

    done = resumed(home, "--handlers", "broken.py")

    assert done.code == 78
    assert f"it raised ZeroDivisionError at {home.directory}/broken.py:2; mend it there." in done.err
    shown = done.err.partition("Your traceback:")[2]
    assert 'broken.py", line 4, in <module>' in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert "agent/" not in shown


def test_a_handlers_module_that_is_no_python_is_shown_where(home: Home) -> None:
    (home.directory / "broken.py").write_text("x = 1\ndef (:\n")

    done = resumed(home, "--handlers", "broken.py")

    assert done.code == 78
    assert 'broken.py", line 2' in done.err
    assert "SyntaxError" in done.err


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("@handler('echo')\ndef other(payload): return {}", "registered twice"),
        ("@handler('x', timeot=1)\ndef x(p): return {}", "did you mean 'timeout'"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_handlers_that_cannot_work_are_refused(home: Home, source: str, why: str) -> None:
    (home.directory / "more.py").write_text(f"from enhanced_automation_agent import handler\n{source}")

    done = resumed(home, SANAAGENT_HANDLERS="more.py")

    assert done.code == 78
    assert why in done.err
    assert "more.py" in done.err


def test_a_broken_handlers_module_leaves_the_tasks_alone(home: Home) -> None:
    task = home.agent.enqueue("echo", {})

    assert resumed(home, "--handlers", "nowhere.py").code == 78

    assert home.agent.inspect(task)["state"] == "queued"
    assert resumed(home).code == 0
    assert home.agent.inspect(task)["state"] == "succeeded"


def test_an_agent_without_handlers_says_where_it_looked_and_what_to_do(home: Home) -> None:
    (home.directory / "handlers.py").unlink()

    done = resumed(home)

    assert done.code == 0
    (told,) = [line for line in done.err.splitlines() if "handlers." in line and " warning " in line]
    assert f"nothing names any, and {home.directory} has no handlers.py: add --handlers FILE" in told
    assert f"handlers: [FILE] in {home.directory}/config.yml" in told
    assert "handlers.loaded" not in done.err


def test_a_handlers_module_that_registers_nothing_is_named(home: Home) -> None:
    (home.directory / "handlers.py").write_text("def echo(payload): return payload\n")

    done = resumed(home)

    assert done.code == 0
    assert f"{home.directory}/handlers.py registers none: decorate functions with @handler" in done.err


def test_a_program_without_handlers_is_told_so(home: Home) -> None:
    source = "import enhanced_automation_agent as it; it.EnhancedAutomationAgent('config.yml').resume(drain=True)"
    program = [sys.executable, "-c", source]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}

    done = subprocess.run(program, cwd=home.directory, env=environment, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert "warning handlers.none why='this program has registered none: decorate" in done.stderr


def test_users_modules_may_bear_the_names_of_ours(home: Home) -> None:
    for name in ("agent", "workers", "supervisor"):
        (home.directory / f"{name}.py").write_text("raise RuntimeError('never imported')\n")
    task = home.agent.enqueue("echo", {})

    assert resumed(home).code == 0
    assert home.agent.inspect(task)["state"] == "succeeded"


def test_asking_for_a_module_that_ours_hides_is_explained(home: Home) -> None:
    (home.directory / "agent").mkdir()
    (home.directory / "agent" / "tools.py").write_text("x = 1\n")
    (home.directory / "more.py").write_text("import agent.tools\n")

    done = resumed(home, "--handlers", "more.py")

    assert done.code == 78
    (told,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "agent.tools" in told
    assert "more.py" in told
    assert "Traceback" not in done.err
