"""What a power loss may leave is decided sector by sector: the synced stays, of the rest anything may be found."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from campaign.images import SECTOR, image
from campaign.recorder import Create, Delete, Event, Sync, SyncDirectory, Truncate, Write

OLD, NEW, NEWER = b"o" * SECTOR, b"n" * SECTOR, b"N" * SECTOR
BASE = {"f": OLD * 3}
TRIES = 300


def images(events: Sequence[Event], base: dict[str, bytes] | None = None) -> list[dict[str, bytes]]:
    """Many power losses after some events."""
    return [image(BASE if base is None else base, events, len(events), Random(seed)) for seed in range(TRIES)]


def contents(events: Sequence[Event], base: dict[str, bytes] | None = None) -> set[bytes]:
    """All that was found in the file."""
    return {files["f"] for files in images(events, base)}


def test_what_was_synced_is_always_there() -> None:
    assert contents([Write(0, SECTOR, NEW), Truncate(0, 2 * SECTOR), Sync(0)]) == {OLD + NEW}


def test_what_happens_after_the_place_has_not_happened() -> None:
    events = [Write(0, 0, NEW), Sync(0), Write(0, 0, NEWER)]

    assert {image(BASE, events, 2, Random(seed))["f"] for seed in range(TRIES)} == {NEW + OLD * 2}


def test_the_same_chance_leaves_the_same() -> None:
    events = [Write(0, 0, NEW * 9)]

    assert images(events) == images(events)


def test_a_write_that_was_not_synced_is_there_or_not_or_torn() -> None:
    found = contents([Write(0, 0, NEW * 2)])

    assert {OLD * 3, NEW * 2 + OLD, NEW + OLD * 2, OLD + NEW + OLD} <= found


def test_a_later_write_may_have_reached_the_disk_before_an_earlier_one() -> None:
    found = contents([Write(0, 0, NEW), Write(0, SECTOR, NEWER)])

    assert OLD + NEWER + OLD in found
    assert NEW + OLD + OLD in found


def test_a_sector_written_twice_may_show_the_first_write() -> None:
    found = contents([Write(0, 0, NEW), Write(0, 0, NEWER)])

    assert {OLD * 3, NEW + OLD * 2, NEWER + OLD * 2} <= found


def test_a_sector_may_be_spoilt_but_no_byte_beside_a_write() -> None:
    found = contents([Write(0, 10, b"x" * 20)])

    assert {content[:10] for content in found} == {OLD[:10]}
    assert {content[30:] for content in found} == {(OLD * 3)[30:]}
    assert {content[10:30] for content in found} > {b"o" * 20, b"x" * 20}, "nothing else, as noise, was found"


def test_a_file_that_grew_may_have_the_length_without_the_data() -> None:
    found = contents([Write(0, 3 * SECTOR, NEW)])

    assert {OLD * 3, OLD * 3 + NEW, OLD * 3 + bytes(SECTOR), OLD * 4} <= found
    assert any(len(content) not in (3 * SECTOR, 4 * SECTOR) for content in found), "a length in between"
    assert any(content[3 * SECTOR :] not in (b"", OLD, NEW, bytes(SECTOR)) for content in found), "noise"


def test_a_cut_that_was_not_synced_may_be_undone() -> None:
    assert {OLD, OLD * 3} <= contents([Truncate(0, SECTOR)])


@pytest.mark.parametrize("synced", [False, True])
def test_what_was_cut_off_does_not_come_back_once_the_file_was_synced(synced: bool) -> None:
    events: list[Event] = [Truncate(0, SECTOR), Write(0, 2 * SECTOR, NEW)]
    found = contents([*events, Sync(0)] if synced else events)

    assert OLD + bytes(SECTOR) + NEW in found
    assert (len(found) == 1) is synced


def test_a_new_name_may_be_missing_until_its_directory_is_synced() -> None:
    events: list[Event] = [Create(0, "f"), Write(0, 0, NEW), Sync(0)]

    assert {files.get("f") for files in images(events, {})} == {None, NEW}
    assert {files.get("f") for files in images([*events, SyncDirectory()], {})} == {NEW}


def test_a_deleted_file_may_come_back_until_its_directory_is_synced() -> None:
    assert {files.get("f") for files in images([Delete("f")])} == {None, OLD * 3}
    assert {files.get("f") for files in images([Delete("f"), SyncDirectory()])} == {None}


def test_a_name_given_anew_leads_to_the_old_file_or_to_the_new_or_to_none() -> None:
    events: list[Event] = [Delete("f"), Create(1, "f"), Write(1, 0, NEW), Sync(1)]

    assert {files.get("f") for files in images(events)} == {OLD * 3, NEW, None}
