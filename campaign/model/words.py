"""Steps in words: every verb there is, and how its details are told."""

from __future__ import annotations

from typing import Any

from agent.lifecycle import State as TaskState
from campaign.model.state import Label

PLAIN, TASKS, ATTEMPT, STATE = "plain", "tasks", "attempt", "state"

DEEDS = (("records", TASKS), ("gives back", TASKS), ("claims", TASKS))
WORKER = ("", PLAIN)
TASK = ("task", PLAIN)

WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    # A worker
    "is not held": (),
    "takes the write lock": (),
    "exchanges": DEEDS,
    "exchanges, and is told that it could not": DEEDS,
    "cannot exchange": (),
    "records": (("", TASKS),),
    "records, and is told that it could not": (("", TASKS),),
    "cannot record": (),
    "has nothing": (),
    "opens its chunk": (),
    "goes on": (),
    "points at task": (WORKER,),
    "stores BEGUN": (WORKER,),
    "lets a store out": (WORKER,),
    "steps back": (),
    "names task": (WORKER, ("claim", PLAIN)),
    "starts the handler": (("of task", PLAIN), ("claim", PLAIN)),
    "ends the handler": (("of task", PLAIN),),
    "fails in the handler": (("of task", PLAIN), ("so that it is", STATE)),
    "publishes": (("", TASKS),),
    "finds no room in the ring": (),
    "records in between": (),
    "gives back the rest": (),
    "closes its chunk": (),
    "leaves": (),
    "dies": (),
    # The supervisor
    "bears": (WORKER,),
    "lets a tick pass for": (WORKER,),
    "looks at": (WORKER, ("which has ended", TASKS), ("runs", ATTEMPT)),
    "catches up for": (WORKER, ("records", TASKS), ("gives back", TASKS)),
    "commits to the ring of": (WORKER,),
    "sees go on": (WORKER,),
    "begins to take back from": (WORKER, ("at", PLAIN)),
    "stores LIMIT for": (WORKER, ("", PLAIN)),
    "promotes": (TASK,),
    "reads the command to cancel": (TASK,),
    "finds task running": (WORKER,),
    "finds the command answered": (("for task", PLAIN),),
    "answers the command": (("for task", PLAIN),),
    "puts the command off": (("for task", PLAIN),),
    "is to cancel on": (WORKER, TASK, ("claim", PLAIN)),
    "finds overdue": (WORKER, TASK, ("claim", PLAIN)),
    "gives up the write lock": (),
    "is to freeze": (WORKER,),
    "stops again": (WORKER,),
    "thaws": (WORKER,),
    "hears of": (WORKER, ("that it has", PLAIN), ("and is", PLAIN)),
    "ends who stands still with the write lock": (WORKER,),
    "buries": (
        WORKER, ("records", TASKS), ("gives back", TASKS), ("killed for", ATTEMPT), ("which ran", ATTEMPT), ("", PLAIN),
    ),
    "loses its fork server, and starts another": (),
    "starts": (),
    "has recovered": (),
    # Others
    "asks to cancel": (TASK,),
    "cancels": (TASK,),
    "retries": (TASK,),
    "sends": (("", PLAIN), ("to", PLAIN)),
    "reports": (("", PLAIN), ("of", PLAIN)),
    "ends with its parent": (WORKER,),
    "stops": (WORKER,),
    "lets go on": (WORKER,),
}  # fmt: skip
"""Verb → its details in order: a word before each, and what it is."""

ONLY_BROKEN: dict[str, tuple[tuple[str, str], ...]] = {
    "cannot exchange, and goes on": (),
    "removes the slot of": (WORKER,),
    "enrols": (WORKER,),
    "kills and buries everybody": (),
    "discards all slots": (),
}
"""What happens only where a rule is left out."""


def told(label: Label) -> str:
    """A step as a line for people."""
    name, verb, *details = label
    forms = WORDS.get(verb) or ONLY_BROKEN.get(verb, ())
    words = [_word(prefix, kind, detail) for (prefix, kind), detail in zip(forms, details, strict=False)]
    return " ".join([name, verb, *filter(None, words)])


def _word(prefix: str, kind: str, detail: Any) -> str:
    if detail in ((), ""):
        return ""
    if kind == TASKS:
        word = ", ".join(f"task {each if isinstance(each, int) else each[0]}" for each in detail)
    elif kind == ATTEMPT:
        word = f"task {detail[0]} (claim {detail[1]})"
    elif kind == STATE:
        word = TaskState(detail).word
    else:
        word = str(detail)
    return f"{prefix} {word}".strip()
