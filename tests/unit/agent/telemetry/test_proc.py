"""What the files of /proc say."""

from __future__ import annotations

import pytest

from agent.telemetry.proc import (
    CpuTimes,
    Process,
    busy_pct,
    cpu_times,
    load_average,
    memory_pct,
    out_of_memory_kills,
    process,
)

STAT = """cpu  3705 0 2385 227375 283 0 119 637 40 0
cpu0 923 0 898 115112 12 0 7 294 40 0
cpu1 2782 0 1487 112263 270 0 111 342 0 0
intr 500000 0 0 0
ctxt 900000
"""

MEMINFO = """MemTotal:       24684092 kB
MemFree:        24463616 kB
MemAvailable:   18513069 kB
Buffers:             952 kB
HugePages_Total:       0
"""


def test_stolen_time_is_busy_waiting_for_disks_is_idle_and_guests_count_once() -> None:
    assert cpu_times(STAT, {0}) == CpuTimes(busy=923 + 898 + 7 + 294, total=923 + 898 + 115112 + 12 + 7 + 294)


def test_only_the_cpus_asked_for_count() -> None:
    both, one = cpu_times(STAT, {0, 1}), cpu_times(STAT, {1})
    assert both.total == cpu_times(STAT, {0}).total + one.total
    assert one.busy == 2782 + 1487 + 111 + 342


def test_cpus_that_are_not_listed_are_missing_and_not_idle() -> None:
    with pytest.raises(ValueError, match="no line"):
        cpu_times(STAT, {7})


@pytest.mark.parametrize(
    ("after", "pct"),
    [
        (CpuTimes(busy=150, total=1200), 25.0),
        (CpuTimes(busy=300, total=1200), 100.0),
        (CpuTimes(busy=100, total=1200), 0.0),
        (CpuTimes(busy=90, total=1200), 0.0),
        (CpuTimes(busy=100, total=1000), None),
        (CpuTimes(busy=0, total=0), None),
    ],
)
def test_the_busy_share_lies_between_two_readings(after: CpuTimes, pct: float | None) -> None:
    assert busy_pct(CpuTimes(busy=100, total=1000), after) == pct


def test_memory_that_is_available_is_not_used() -> None:
    assert memory_pct(MEMINFO) == pytest.approx(25.0)


@pytest.mark.parametrize("text", ["", "MemTotal: 100 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: x"])
def test_memory_that_is_not_told_is_no_number(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        memory_pct(text)


def test_a_process_is_read_whatever_its_name() -> None:
    text = "7 (a) (b c) S 3 7 7 0 -1 4194304 1 0 0 0 120 30 5 5 20 0 1 0 98765 1000000 250 18446744073709551615 1 1\n"
    assert process(text) == Process(pid=7, parent=3, started=98765, ticks=150, rss_pages=250)


def test_a_process_that_is_not_told_in_full_is_none() -> None:
    with pytest.raises(IndexError):
        process("7 (a) S 3 7 7 0 -1 4194304 1 0 0 0 120 30 5 5 20 0 1 0 98765 1000000")


@pytest.mark.parametrize(
    ("vmstat", "kills"),
    [
        ("nr_free_pages 9\noom_kill 12\nnuma_hit 5\n", 12),
        ("nr_free_pages 9\noom_kill 3", 3),
        ("nr_free_pages 9\nother_oom_kill 7\noom_kill_not 8\n", 0),
        ("", 0),
    ],
)
def test_kills_for_want_of_memory_are_those_of_the_kernels_own_count(vmstat: str, kills: int) -> None:
    assert out_of_memory_kills(vmstat) == kills


def test_the_load_is_that_of_the_last_minute() -> None:
    assert load_average("0.81 0.35 0.17 1/123 4567\n") == 0.81
