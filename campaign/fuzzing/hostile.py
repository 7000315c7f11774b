"""What nobody should send, as hypothesis strategies: JSON and YAML that is nearly right, and bytes."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
MIB = 1 << 20
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"

ODD_TEXTS = (
    "", "\0", "\x1b[2J", "\r\n", "\N{LINE SEPARATOR}", "\N{RIGHT-TO-LEFT OVERRIDE}txt", BOM, "\ud800", "\udc00\ud83d",
    "😀", "\x1e7\x1f", "'; DROP TABLE task; --", "__class__", "a" * 300, "%s%n{0}", "*", "../../x",
)  # fmt: skip
TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(ODD_TEXTS)
"""Half surrogate pairs and NUL included."""

CLEAN_TEXTS = st.text(max_size=20)
_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
CLEAN_VALUES = st.recursive(
    _SCALARS | CLEAN_TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CLEAN_TEXTS, inner, max_size=4),
    max_leaves=8,
)
CLEAN_OBJECTS = st.dictionaries(CLEAN_TEXTS, CLEAN_VALUES, max_size=5)
"""What any door has to let in."""


def briefly(strategy: SearchStrategy[T]) -> SearchStrategy[T]:
    """The same without its literals in what hypothesis says of it, which would be long."""

    @st.composite
    def hostile(draw: st.DrawFn) -> T:
        return draw(strategy)

    return hostile()


# -- Bytes


class Edit(NamedTuple):
    """One change of some bytes: where (a share of their length), how, and with what."""

    at: float
    kind: str
    what: bytes


_KINDS = ("insert", "write", "cut", "flip", "copy", "end")
EDITS = st.lists(
    st.builds(Edit, st.floats(0, 1), st.sampled_from(_KINDS), st.binary(max_size=8)),
    max_size=4,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes after some changes."""
    for at, kind, what in edits:
        place = int(at * len(data))
        head, tail = data[:place], data[place:]
        if kind == "insert":
            data = head + what + tail
        elif kind == "write":
            data = head + what + tail[len(what) :]
        elif kind == "cut":
            data = head + tail[1 + len(what) :]
        elif kind == "flip" and tail:
            data = head + bytes([tail[0] ^ (1 << len(what) % 8)]) + tail[1:]
        elif kind == "copy":
            data = head + tail[: 1 + 8 * len(what)] + tail
        elif kind == "end":
            data = head
    return data


def damaged(whole: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """What was right once."""
    return st.builds(edited, whole, EDITS)


# -- JSON

_ODD_LITERALS = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0", "-0.0", "01", "+1", ".5", "1.", "0x1F",
    "1_000", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9" * 5000,
    "1." + "3" * 400, "123456789012345678901234567890.5e-20", "tru", "True", "None", "undefined", "", '"', "'a'",
    '"\\ud800"', '"\\udc00\\ud83d"', '"\\ud83d\\ude00"', '"\\u0000"', '"\0"', '"\\x41"', '"\\u12"', '"\n"', "// x",
    "{}x",
)  # fmt: skip
_JSON_STRINGS = st.builds(json.dumps, TEXTS, ensure_ascii=st.booleans())
_KEYS = st.sampled_from(('"a"', '"b"', '"payload"', '"\\u0061"', '"\\ud800"', "a", "1", '"a" ')) | _JSON_STRINGS
_COMMAS = st.sampled_from((",", ", ", " ,\n", ",\t")) | st.sampled_from((",", ",,", "", ";", ",\r\n"))


def _joined(opening: str, items: list[str], comma: str, closing: str) -> str:
    return opening + comma.join(items) + closing


def _json_boxes(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    pairs = st.builds(lambda key, value: f"{key}:{value}", _KEYS, inner)
    objects = st.builds(_joined, st.just("{"), st.lists(pairs, max_size=4), _COMMAS, st.sampled_from("}}}}]"))
    return objects | st.builds(_joined, st.just("["), st.lists(inner, max_size=4), _COMMAS, st.sampled_from("]]]]}"))


_JSON_VALUES = st.recursive(
    st.sampled_from(_ODD_LITERALS) | _SCALARS.map(json.dumps) | _JSON_STRINGS, _json_boxes, max_leaves=8
)


def _nest(opening: str, levels: int, core: str, closed: float) -> str:
    closing = "".join("}" if bracket == "{" else "]" for bracket in reversed(opening) if bracket in "{[")
    return opening * levels + core + closing * int(levels * closed)


_DEPTHS = st.integers(55, 70) | st.sampled_from((1, 999, 20_000))
_NESTS = st.builds(
    _nest,
    st.sampled_from(('{"a":', "[", '{"a":[', "[{", '["[",')),
    _DEPTHS,
    _JSON_VALUES,
    st.sampled_from((1, 1, 1, 0.99, 0)),
)
_VAST = st.integers(MIB - 12, MIB + 2).map(lambda size: '{"a":"' + "x" * (size - 8) + '"}')

JSON_TEXTS = briefly(
    st.one_of(
        CLEAN_OBJECTS.map(json.dumps),
        st.builds(_joined, st.just('{"a":'), st.lists(_JSON_VALUES, min_size=1, max_size=1), st.just(""), st.just("}")),
        _JSON_VALUES,
        _NESTS,
        st.builds(
            _joined,
            st.sampled_from((BOM, " \n", "\0", "/**/")),
            st.just(["{}"]),
            st.just(""),
            st.sampled_from(("", " ", "\0")),
        ),
    )
)
"""JSON objects, and what looks like them."""

_ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-16", "latin-1", "utf-7")
JSON_BYTES = briefly(
    st.one_of(
        damaged(CLEAN_OBJECTS.map(lambda value: json.dumps(value, ensure_ascii=False).encode())),
        st.builds(lambda text, encoding: text.encode(encoding, "replace"), JSON_TEXTS, st.sampled_from(_ENCODINGS)),
        JSON_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
        damaged(JSON_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))),
        st.binary(max_size=40),
    )
)
PAYLOADS: SearchStrategy[str | bytes] = st.one_of(JSON_TEXTS, JSON_BYTES, JSON_BYTES, st.one_of(JSON_TEXTS, _VAST))


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


_IDEMPOTENCY_KEYS = st.text(min_size=1, max_size=9).filter(lambda key: "\0" not in key)
_OPTIONAL: dict[str, SearchStrategy[Any]] = {
    "type": st.sampled_from(("demo", "other type", "ü")),
    "key": _IDEMPOTENCY_KEYS,
    "priority": st.integers(-(2**31), 2**31 - 1),
}
CLEAN_LINES = st.fixed_dictionaries({"payload": CLEAN_OBJECTS}, optional=_OPTIONAL).map(_line)
_ODD_LINES = st.fixed_dictionaries(
    {"payload": CLEAN_VALUES | st.floats()},
    optional={"type": CLEAN_VALUES | TEXTS, "key": CLEAN_VALUES | TEXTS, "priority": CLEAN_VALUES, "prio": st.just(1)},
).map(_line)
_ROUGH_LINES = st.builds(
    lambda text, rest: b'{"payload":' + text.encode("utf-8", "surrogatepass") + rest + b"}",
    JSON_TEXTS,
    st.sampled_from(
        (b"", b"", b',"type":"demo"', b',"payload":{}', b',"priority":1e999', b',"priority":1.0', b',"x":[[]]', b",")
    ),
)
LINES = st.one_of(_ODD_LINES, _ROUGH_LINES, damaged(CLEAN_LINES), JSON_BYTES).map(
    lambda line: line.replace(b"\n", b" ")
)
"""Lines of a file for `enqueue --many`."""


# -- YAML

_YAML_SCALARS = (
    "!!bool x", '!!int ""', '!!float ""', '!!int "-"', "!!timestamp x", "!!timestamp {}", '!!binary "é"', "!!omap 1",
    "!!set 1", "!!pairs [1]", "!!null x", "!!str", "!!str {a: 1}", "!!map [1]", "!!seq {}",
    "!!python/object:os.system x", "!x y", "!<> y", "&a [*a]", "*a", "&a", "<<", "0b", "0x_", "08", "1:2:3", "1__0",
    ".inf", "-.nan", "~", "yes", "2001-99-99", "9999-12-31", "2001-01-01t00:00:00+99:99", "0001-01-01T00:00:00+23:59",
    "1e999", "9" * 5000, "'", '"\\ud800"', '"\\x00"', "|", ">-", "? a", "- - -", "{a: }", "[", "}", "%YAML 9.9",
    "--- x", "...", "@", "`", "\t", "#", "10m", "30s", "64MB", "-1", "0", "1", "true", "'10'", "/x", "s:x@y",
    "http://", "http://[::1", "smtp://h:99999", "{? !!bool x : 1}", "[" * 400, "{a: " * 400, "- " * 400,
    '"' + "é" * 9 + '"', BOM, "\x85", "\x07",
)  # fmt: skip
YAML_SCALARS = briefly(
    st.sampled_from(_YAML_SCALARS) | TEXTS.map(repr) | CLEAN_VALUES.map(json.dumps) | st.text(max_size=9)
)


def yaml_files(keys: tuple[str, ...], shipped: bytes) -> SearchStrategy[bytes]:
    """Configuration files: with known keys and odd values, with odd keys, the shipped one with some changes."""
    names = st.sampled_from(keys) | st.sampled_from(("<<", "x", "bulk", "!!int x", "? a", '"a"', "&a b", "*a"))
    flat = st.lists(st.tuples(names, YAML_SCALARS), max_size=4).map(
        lambda pairs: "".join(_nested_yaml(*pair) for pair in pairs)
    )
    bombs = st.integers(1, 30).map(_merge_bomb)
    return st.one_of(
        flat.map(lambda text: text.encode("utf-8", "surrogatepass")),
        damaged(flat.map(lambda text: text.encode("utf-8", "replace"))),
        damaged(st.just(shipped)),
        st.one_of(YAML_SCALARS, bombs, _JSON_VALUES).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.binary(max_size=40),
    )


def _nested_yaml(key: str, value: str) -> str:
    *sections, name = key.split(".")
    return (
        "".join(f"{'  ' * depth}{section}:\n" for depth, section in enumerate(sections))
        + f"{'  ' * len(sections)}{name}: {value}\n"
    )


def _merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


def environments(names: tuple[str, ...]) -> SearchStrategy[dict[str, str]]:
    """`SANAAGENT_*` variables, known and nearly known, with whatever an environment may hold."""
    words = YAML_SCALARS | st.binary(max_size=9).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    unknown = st.sampled_from(names).map(lambda name: name[:-1]) | st.sampled_from(
        ("SANAAGENT_", "SANAAGENT_X", "SANAAGENT_É")
    )
    values = words.map(
        lambda text: text.encode("utf-8", "replace").decode().replace("\0", "") if "\0" in text else text
    )
    return st.dictionaries(st.sampled_from(names) | unknown, values, min_size=1, max_size=3)
