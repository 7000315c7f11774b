"""What operators leave for a supervisor: rows in the control table, and rings of its bell."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

import apsw
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agent.client import Client
from agent.doorbell import ring
from campaign.fuzzing.door import Door, check
from campaign.fuzzing.hostile import JSON_BYTES, TEXTS
from campaign.fuzzing.impostor import TURNS, Impostor
from campaign.fuzzing.pipes import ANYTHING, NUMBERS

VERBS = ("pause", "unpause", "scale", "cancel", "freeze", "thaw")
INSERT = "INSERT INTO control (verb, detail, created_at) VALUES (CAST(? AS TEXT), CAST(? AS TEXT), 1)"

_TIMES: SearchStrategy[Any] = st.sampled_from((0, 1, -1, 2**62, 2**63 - 1, "soon", None, 1.5, []))
_FIELDS: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(("demo", "", "*", None, 7)) | ANYTHING,
        "until": _TIMES,
        "max": st.sampled_from((0, 1, 2, 3, -1, 513, 10**9, 2**64, 1.0, True, "2", None)),  # no hundred workers
        "worker": ANYTHING,
        "task": NUMBERS,
        "odd": ANYTHING,
    },
)
ROWS = st.tuples(
    st.sampled_from(VERBS).map(str.encode) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    _FIELDS.map(lambda fields: json.dumps(fields).encode()) | JSON_BYTES.filter(lambda raw: len(raw) < 100_000),
)
"""Verb and detail, as bytes: a column of text takes any."""

QUIET = (0, True)  # what the bell says when nobody has rung


def rows(impostor: Impostor) -> Door:
    """Somebody writes into the control table: each row is answered, and what cannot be meant is refused."""
    store = impostor.parts.store
    writer = apsw.Connection(str(store.path))
    client = Client(impostor.parts.config)

    def attack(case: list[tuple[bytes, bytes]]) -> None:
        impostor.worker()
        with writer:
            for row in case:
                writer.execute(INSERT, row)
        client.stats()  # the command line reads them, too
        ring(store.doorbell_path)
        for _ in range(TURNS):
            impostor.turn()
            if not _open_rows(writer):
                break
        check(not _open_rows(writer), f"nobody answers {_open_rows(writer)}")
        json.dumps(client.stats())
        for verb, detail in (("unpause", "{}"), ("scale", '{"max":1}')):  # the next case begins where this one did
            writer.execute(INSERT, (verb, detail))
        ring(store.doorbell_path)
        impostor.turn()

    def ends() -> None:
        writer.close()
        client.close()

    return Door("control rows", 300, st.lists(ROWS, min_size=1, max_size=2), attack, ends)


def _open_rows(reader: apsw.Connection) -> list[Any]:
    return reader.execute("SELECT id, hex(verb), hex(detail) FROM control WHERE handled_at IS NULL").fetchall()


def bell(impostor: Impostor) -> Door:
    """Somebody sends datagrams to the bell: it is drained, and rings again."""
    doorbell = impostor.parts.doorbell

    def attack(datagrams: list[bytes]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
            for datagram in datagrams:
                with suppress(BlockingIOError):
                    end.sendto(datagram, str(doorbell.path))
        check((doorbell.drain() == QUIET) == (not datagrams), "it has not heard")
        check(doorbell.drain() == QUIET, "it rings for ever")
        check(ring(doorbell.path) and doorbell.drain() == (0, False), "it rings no more")
        impostor.turn()

    cases = st.lists(st.binary(max_size=64) | st.just(b"x" * 50_000), max_size=30)
    return Door("datagrams", 100, cases, attack)
