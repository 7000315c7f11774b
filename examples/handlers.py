"""Handlers to try the agent with; examples/README.md has a line to enqueue for each.

Start: `python enhanced_automation_agent.py --handlers examples/handlers.py resume`
"""

from __future__ import annotations

import re
import time
from collections import Counter
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from enhanced_automation_agent import EnhancedAutomationAgent, Fail, current_attempt

agent = EnhancedAutomationAgent()


def demo_handler(payload: dict[str, int]) -> dict[str, int]:
    """What the quick start registers: the value comes back as the result."""
    return {"result": payload["value"]}


agent.register_handler("demo", demo_handler)


@agent.handler("flaky", max_attempts=5, retry_on=ConnectionError)
def flaky(payload: dict[str, int]) -> dict[str, int]:
    """Fail as often as the payload says, then succeed: watch the delays grow."""
    attempt = current_attempt().attempt
    if attempt <= payload["failures"]:
        raise ConnectionError(f"no answer at attempt {attempt}")
    return {"attempts": attempt}


@agent.handler("sleep", timeout="1m")
def sleep(payload: dict[str, float]) -> dict[str, float]:
    """Take time without using the CPU: freeze its worker, cancel it, or let it run into its timeout."""
    began = time.monotonic()
    time.sleep(payload["seconds"])
    return {"slept_s": round(time.monotonic() - began, 3)}


@agent.handler("sha256")
def checksum(payload: dict[str, str]) -> dict[str, Any]:
    """The SHA-256 of a file; a file that is missing is not worth another attempt."""
    path = Path(payload["path"])
    if not path.is_file():
        raise Fail(f"there is no file {path.absolute()}")
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": file_digest(file, "sha256").hexdigest()}


@agent.handler("thumbnail", max_concurrent=2)
def thumbnail(payload: dict[str, int]) -> dict[str, Any]:
    """Draw a square grey picture and shrink it by averaging blocks: pure CPU work, at most two at a time."""
    size, by = payload["size"], payload["by"]
    rows = [bytes((x * y) % 256 for x in range(size)) for y in range(size)]
    corners = [(x, y) for y in range(0, size, by) for x in range(0, size, by)]
    tiles = ([row[x : x + by] for row in rows[y : y + by]] for x, y in corners)
    small = bytes(sum(map(sum, tile)) // sum(map(len, tile)) for tile in tiles)
    return {"width": -(-size // by), "sha256": sha256(small).hexdigest()}


@agent.handler("words")
def words(payload: dict[str, Any]) -> dict[str, Any]:
    """Count the words of a text file, and name the most frequent."""
    text = Path(payload["path"]).read_text("utf-8", errors="replace").lower()
    counts = Counter(re.findall(r"[^\W\d_]+", text))
    return {"words": counts.total(), "top": dict(counts.most_common(payload.get("top", 5)))}
