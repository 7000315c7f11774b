"""Every decision says what is done and why, and survives as JSON."""

from __future__ import annotations

import msgspec
import pytest

from agent.governance import Decision, Escalate, LimitChanged, Paused, Probing, Resumed

ESCALATION = {"pauses": [{}, {}, {}], "review_window_s": 540.0}

WORDED = [
    (
        LimitChanged(limit=6, previous=8, reason="cpu", measured=93.25, threshold=85),
        "throttle",
        "limit 8 → 6: cpu was at 93.2 % across the window, above 85 %",
    ),
    (
        LimitChanged(limit=6, previous=8, reason="memory", measured=90, threshold=85.5),
        "throttle",
        "limit 8 → 6: memory was at 90 % across the window, above 85.5 %",
    ),
    (
        LimitChanged(limit=8, previous=6, reason="recovered", measured=40, threshold=75),
        "recover",
        "limit 6 → 8: the busier of cpu and memory was at 40 % across the window, below 75 %",
    ),
    (
        LimitChanged(limit=4, previous=8, reason="configured"),
        "scale",
        "limit 8 → 4: the number of workers was set",
    ),
    (
        LimitChanged(limit=9, previous=8, reason="configured"),
        "scale",
        "limit 8 → 9: the number of workers was set",
    ),
    (
        Paused(until=60, duration=60, errors=12, cause="12 errors in 30 s"),
        "pause",
        "12 errors in 30 s: nothing starts for 60 s",
    ),
    (Probing(until=90), "probe", "the pause is over: tasks start one at a time until enough of them succeed"),
    (Resumed(reason="pause_over"), "resume", "the pause is over: tasks start as the limit allows"),
    (
        Resumed(reason="probes_succeeded"),
        "resume",
        "enough tasks succeeded one at a time: tasks start as the limit allows",
    ),
    (Resumed(reason="probe_timed_out"), "resume", "no task failed while probing: tasks start as the limit allows"),
    (Escalate(episode="e", payload=ESCALATION), "escalate", "3 pauses within 540 s: a human is asked to look"),
    (
        Escalate(episode="e", payload=ESCALATION | {"pauses": [{}]}),
        "escalate",
        "1 pause within 540 s: a human is asked to look",
    ),
]


@pytest.mark.parametrize(("decision", "deed", "why"), WORDED)
def test_a_decision_names_its_deed_and_its_reason(decision: Decision, deed: str, why: str) -> None:
    assert (decision.deed, decision.why) == (deed, why)


@pytest.mark.parametrize("decision", [row[0] for row in WORDED])
def test_a_decision_comes_back_from_json_as_itself(decision: Decision) -> None:
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision
