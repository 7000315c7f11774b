"""The mail that tells a human: what happened, since when, how bad it is, and what to do about it."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

import msgspec

from agent.clock import SECOND, to_iso
from agent.outbox import Delivery

ADVICE = """What to do:
  sanaagent stats                  what waits, runs and failed
  sanaagent tasks --state failed   the latest failures
  sanaagent inspect ID --attempts  one task, with the error of every attempt
  sanaagent unpause                lift the pause once the cause is gone
"""


def compose(delivery: Delivery, name: str, sender: str, to: Sequence[str]) -> EmailMessage:
    """The whole mail. `name` is the delivery's, the same on every try: a mail that came twice shows as one."""
    facts = _facts(delivery.payload)
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = _header(f"[sanaagent] {_summary(facts)}")
    letter["From"] = _header(sender)
    letter["To"] = _header(", ".join(to))
    letter["Date"] = format_datetime(datetime.fromtimestamp(delivery.created_at // SECOND, UTC))
    letter["Message-ID"] = f"<{name}@{_domain(sender)}>"
    letter["Auto-Submitted"] = "auto-generated"
    # Quoted-printable: not every server takes eight bits.
    letter.set_content("\n".join([*_report(facts, delivery), "", ADVICE]), cte="quoted-printable")
    letter.add_attachment(delivery.payload.encode(), "application", "json", filename="escalation.json")
    return letter


def _facts(payload: str) -> Mapping[str, Any]:
    try:
        facts = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}  # the attachment shows it as it is
    return facts if isinstance(facts, dict) else {}


def _summary(facts: Mapping[str, Any]) -> str:
    if summary := facts.get("summary"):
        return str(summary)
    pauses = len(_list(facts, "pauses"))
    return f"{pauses} pauses after bursts of errors: please look" if pauses else "a human is asked to look"


def _report(facts: Mapping[str, Any], delivery: Delivery) -> list[str]:
    told = to_iso(delivery.created_at)
    lines = [f"{_summary(facts)}.", ""]
    lines += [f"Since:    {facts.get('since') or told}", f"Told:     {told}"]
    lines += [f"Host:     {facts.get('host') or socket.gethostname()}", f"Episode:  {delivery.episode}"]
    if "limit" in facts:
        lines.append(f"Limit:    {facts['limit']} of {facts.get('max_concurrent', '?')} tasks at once")
    lines += _section("Reasons", [str(reason) for reason in _list(facts, "reasons")])
    lines += _section("Pauses", [_fields(pause) for pause in _list(facts, "pauses")])
    lines += _section("Errors", [_error(error) for error in _list(facts, "errors")])
    lines += _section("Counts", [_fields(facts["counts"])] if facts.get("counts") else [])
    lines += _section("Tasks", [", ".join(str(task) for task in _list(facts, "tasks"))] if facts.get("tasks") else [])
    return [_visible(line) for line in lines]


def _section(title: str, items: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {item}" for item in items)] if items else []


def _list(facts: Mapping[str, Any], name: str) -> list[Any]:
    found = facts.get(name)
    return found if isinstance(found, list) else []


def _fields(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name.replace('_', ' ')} {item}" for name, item in value.items())


def _error(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return f"{value.get('count', '?')} × {value.get('error', '?')}"


def _header(text: str) -> str:
    """One line of at most 200 characters, whatever it was made from: a line break would begin another header."""
    return " ".join(_visible(text).split())[:200]


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _domain(sender: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", sender.rpartition("@")[2]) or "localhost"
