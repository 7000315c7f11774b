"""What a mail says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.escalation.letter import compose
from agent.outbox import Delivery


def text_of(delivery: Delivery, payload: str) -> str:
    letter = compose(replace(delivery, payload=payload), "name", "a@b.test", ["c@d.test"])
    return str(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]


def test_what_the_governor_knows_is_told_in_words(delivery: Delivery) -> None:
    payload = {
        "since": "2026-11-22T16:00:00.000000Z",
        "pauses": [{"at": "2026-11-22T16:00:00.000000Z", "duration_s": 60, "errors": 12}] * 3,
        "errors": [{"error": "mail: ConnectionError: no route", "count": 31}],
        "tasks": [4711, 4712],
        "reasons": ["errors came in bursts"],
        "counts": {"failed": 31},
        "limit": 2,
        "max_concurrent": 8,
    }
    text = text_of(delivery, json.dumps(payload))
    assert "3 pauses after bursts of errors" in text
    assert "at 2026-11-22T16:00:00.000000Z, duration s 60, errors 12" in text
    assert "31 × mail: ConnectionError: no route" in text
    assert "4711, 4712" in text
    assert "errors came in bursts" in text
    assert "failed 31" in text
    assert "2 of 8 tasks at once" in text


@pytest.mark.parametrize("payload", ["", "[]", "null", "{", '{"pauses": 3, "errors": ["odd"], "tasks": 1}'])
def test_a_payload_of_any_shape_makes_a_letter(delivery: Delivery, payload: str) -> None:
    text = text_of(delivery, payload)
    assert "a human is asked to look" in text
    assert "2027-01-15T08:00:00.000000Z" in text


def test_a_letter_holds_seven_bits_only(delivery: Delivery) -> None:
    letter = compose(replace(delivery, payload='{"summary": "naïve × 3"}'), "name", "a@b.test", ["c@d.test"])
    assert bytes(letter).isascii()
    assert letter["Subject"] == "[sanaagent] naïve × 3"
