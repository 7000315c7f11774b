"""What is costly to import and seldom needed waits until it is used. Each case is a fresh interpreter's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[4]
COSTLY = ("asyncio", "importlib.metadata", "rich", "ssl", "urllib3")

RICH_TRACEBACK = """
import io, sys, structlog
try:
    1 / 0
except ZeroDivisionError:
    text = io.StringIO()
    structlog.dev.rich_traceback(text, sys.exc_info())
assert "╭" in text.getvalue(), text.getvalue()
"""
NAMED_AND_EXACT = """
import structlog
transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
try:
    local = [1, 2]
    raise ValueError
except ValueError as error:
    frames = transform((ValueError, error, error.__traceback__))[0]["frames"]
assert frames[0]["locals"]["local"] == "[1, 2]", frames
"""
ASYNCHRONOUS = """
import asyncio, structlog
from structlog.testing import capture_logs
with capture_logs() as lines:
    asyncio.run(structlog.get_logger().ainfo("hello"))
assert lines == [{"event": "hello", "log_level": "info"}], lines
"""
REAL = """
import asyncio, inspect, rich.console, rich.table
assert inspect.ismodule(rich) and inspect.ismodule(asyncio)
class Own(rich.console.Console, asyncio.Protocol): pass
rich.table.Table()
"""


def run(program: str) -> str:
    """What a new interpreter says that runs `program` in the checkout."""
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    ["supervisor", "workers.fork_server", "workers.worker", "agent.maintenance.chores", "agent.escalation.escalator"],
)
def test_a_start_loads_nothing_costly_whatever_is_imported_first(first: str) -> None:
    loaded = run(f"import {first}, supervisor, sys; print([name for name in {COSTLY} if name in sys.modules])")
    assert loaded == "[]\n"


@pytest.mark.parametrize("use", [RICH_TRACEBACK, NAMED_AND_EXACT, ASYNCHRONOUS, REAL])
@pytest.mark.parametrize("before", ["", "import structlog", "import rich, asyncio", "import rich.console"])
def test_all_of_it_is_there_when_it_is_used(before: str, use: str) -> None:
    run(f"{before}\nimport agent.telemetry.logs\n{use}")


def test_a_name_that_does_not_exist_is_missed_when_it_is_used() -> None:
    run(
        "from agent.telemetry.deferred import deferred\n"
        "with deferred('colorsys'):\n    import colorsys\n    from colorsys import nobody\n"
        "assert colorsys.rgb_to_hls(0, 0, 0) == (0.0, 0.0, 0.0)\n"
        "try:\n    nobody()\nexcept AttributeError as error:\n    assert 'nobody' in str(error)\n"
        "else:\n    raise AssertionError"
    )
