"""The control table's rows as commands: what each verb may say, and what is wrong with a row that says something else.

Anybody who may write the database may leave a row, and a newer command line may leave one that we do not know. What
cannot be meant is a flaw, which the supervisor answers; it is never taken for something else.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.clock import LATEST
from agent.store.values import Command

MOST_WORKERS = 512

_Type = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Until = Annotated[int, msgspec.Meta(ge=0, le=LATEST)]


class _Pause(msgspec.Struct, forbid_unknown_fields=True):
    type: _Type | None = None
    until: _Until | None = None


class _Unpause(msgspec.Struct, forbid_unknown_fields=True):
    type: _Type | None = None


class _Scale(msgspec.Struct, forbid_unknown_fields=True):
    max: Annotated[int, msgspec.Meta(ge=1, le=MOST_WORKERS)]
    until: _Until | None = None


class _Halt(msgspec.Struct, forbid_unknown_fields=True):
    worker: str


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    task: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


_FORMS = {"pause": _Pause, "unpause": _Unpause, "scale": _Scale, "freeze": _Halt, "thaw": _Halt, "cancel": _Cancel}


def command_of(id_: int, verb: bytes, detail: bytes, created_at: int) -> Command:
    """A row as a command, with its flaw if it has one."""
    word = verb.decode("utf-8", "backslashreplace")
    form = _FORMS.get(word)
    if form is None:
        return Command(id_, word, {}, created_at, f"there is no command {word!r}")
    try:
        msgspec.json.decode(detail, type=form)
        return Command(id_, word, msgspec.json.decode(detail), created_at)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Command(id_, word, {}, created_at, f"what it says makes no sense ({error})")
