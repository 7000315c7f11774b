"""The short way for many payloads, or lines of a file: a thousand at once, where nothing needs a closer look.

Why it is so: looked at one by one, payloads cost more than it takes to store them. Here C writes them all and reads
again what it wrote, as flat objects of text, 64-bit numbers, true, false and null: what is equal to what was given was
neither changed nor lost. Of anything else nothing is said but None; whoever looks closely names what is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Flat = dict[str, _Whole | float | str | bool | None]


class PlainLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What most lines of `enqueue --many` are: no key, and a flat payload; in the documented order."""

    type: str | None = None
    payload: _Flat
    priority: int = 0


_encode = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(_Flat).decode_lines
_decode_lines = msgspec.json.Decoder(PlainLine).decode_lines


def plain_payloads(values: list[Any], limit: int) -> list[str] | None:
    """The compact JSON of payloads, of `limit` bytes each at most; None: look at them one by one."""
    try:
        if {*map(type, values)} != {dict}:
            return None
        text = _encode(values)
        is_plain = _decode(text) == values and max(map(len, text.split(b"\n"))) <= limit
    except Exception:  # whatever it is, the closer look tells of it
        return None
    return _texts(text) if is_plain else None


def plain_lines(lines: list[bytes], limit: int) -> list[tuple[PlainLine, str]] | None:
    """What lines say, each with its payload's compact JSON; None: look at them one by one.

    Each line is what its value encodes to, but for one space after commas and colons: so no key stands twice, no number
    is spelled in a way of its own, and a line that has such spaces inside its strings is not taken for another.
    """
    text = b"\n".join([line.rstrip(b"\r\n") for line in lines]) + b"\n"
    try:
        found: list[Any] = _decode_lines(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if len(found) != len(lines) or max(map(len, lines)) > limit:
        return None
    if _encode(found) not in (text, text.replace(b": ", b":").replace(b", ", b",")):
        return None
    return list(zip(found, _texts(_encode([line.payload for line in found])), strict=True))


def _texts(lines: bytes) -> list[str]:
    return lines.decode().split("\n")[:-1]
