"""A handler that minds its own business, and says so when a neighbour has changed what it stands on."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import Any

from campaign.handlers import Payload, seen, told
from enhanced_automation_agent import EnhancedAutomationAgent

LIMITS = {
    name: getattr(resource, name) for name in ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_AS", "RLIMIT_CPU")
}
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
SPARE = 64  # descriptors that anybody may count on

agent = EnhancedAutomationAgent()
_born_with: dict[str, Any] = {}


@agent.worker_start
def note() -> None:
    """What a worker is born with."""
    _born_with.update(around())


@agent.handler("well")
def well(payload: Payload) -> Payload:
    """Takes `s` seconds in surroundings as at the start of its process."""
    with seen():
        found = around()
        changed = [name for name, value in found.items() if _born_with[name] != value]
        assert not changed, f"a neighbour has changed {', '.join(changed)}"  # noqa: S101
        if payload["s"]:
            time.sleep(payload["s"])
    return told(payload)


def around() -> dict[str, Any]:
    """What a handler may rely on."""
    files = [os.dup(0) for _number in range(SPARE)]
    for file in files:
        os.close(file)
    mask = os.umask(0o77)
    os.umask(mask)
    return {
        "directory": os.getcwd(),
        "umask": mask,
        "signals": {number: signal.getsignal(number) for number in range(1, signal.SIGRTMIN) if number not in (9, 19)},
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timers": [signal.getitimer(timer) for timer in TIMERS],
        "limits": {name: resource.getrlimit(limit) for name, limit in LIMITS.items()},
        "streams": (sys.stdout.closed, sys.stderr.closed, sys.stdout.write("")),
        "descriptors": [os.fstat(number).st_ino for number in range(3)],
    }
