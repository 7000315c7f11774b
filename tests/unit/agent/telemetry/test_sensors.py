"""Readings of machines that do as they are told, and of the real one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agent.clock import Clock
from agent.telemetry import logs
from agent.telemetry.files import open_log
from agent.telemetry.logs import configure
from agent.telemetry.sensors import Reading, Sensing, Sensors
from tests.support.waiting import until

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
CPUS = sorted(os.sched_getaffinity(0))
CGROUP_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.passed = 1

    def monotonic(self) -> int:
        return self.passed


class Machine:
    """A root directory with the /proc and /sys of a machine that does as it is told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Hands()
        self.write("/proc/loadavg", "1.50 1.00 0.50 1/100 99\n")
        self.write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 700 kB\n")
        self.process(pid=100, parent=1, pages=10)
        (root / "proc" / "self").symlink_to("100")
        self.cpu(busy=0, idle=0)

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def remove(self, path: str) -> None:
        self.write(path, "")  # as with /proc, who has it open reads no more of it
        (self.root / path.lstrip("/")).unlink()

    def cpu(self, busy: int, idle: int) -> None:
        """Ticks since boot on each CPU that this process may use; another CPU is always busy."""
        foreign = f"cpu{max(CPUS) + 1} {busy + idle} 0 0 0 0 0 0 0 0 0"
        ours = [f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0" for number in CPUS]
        self.write("/proc/stat", "\n".join(["cpu 1 2 3 4 5 6 7 8 9 10", *ours, foreign, "intr 1 2 3"]) + "\n")

    def process(self, pid: int, parent: int, pages: int, ticks: int = 0) -> None:
        middle = " ".join(["0"] * 9)
        self.write(f"/proc/{pid}/stat", f"{pid} (x y) S {parent} {middle} {ticks} 0 0 0 20 0 1 0 5000 1 {pages} 1\n")

    def group(self, path: str, **files: str) -> None:
        self.write("/proc/self/mountinfo", CGROUP_MOUNT)
        self.write("/proc/self/cgroup", f"0::{path}\n")
        for name, text in files.items():
            self.write(f"/sys/fs/cgroup{path}/{name.replace('_', '.', 1)}", text)

    def sensors(self, mem_limit_bytes: int = 0) -> Sensors:
        return Sensors(mem_limit_bytes, self.root, self.clock)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "root")


def test_the_first_reading_of_cpu_is_unknown_and_the_second_is_what_happened_between(machine: Machine) -> None:
    machine.cpu(busy=1000, idle=9000)
    sensors = machine.sensors()
    assert sensors.read([]).cpu_pct is None
    machine.cpu(busy=1030, idle=9070)
    assert sensors.read([]).cpu_pct == 30.0


def test_two_readings_within_one_tick_tell_nothing(machine: Machine) -> None:
    sensors = machine.sensors()
    sensors.read([])
    assert sensors.read([]).cpu_pct is None


def test_a_cpu_quota_is_a_nearer_ceiling_than_the_host(machine: Machine) -> None:
    machine.group("/a", cpu_max="50000 100000\n", cpu_stat="usage_usec 1000000\n")
    sensors = machine.sensors()
    sensors.read([])
    machine.cpu(busy=10, idle=90)
    machine.clock.passed += 2_000_000_000
    machine.group("/a", cpu_max="50000 100000\n", cpu_stat="usage_usec 1900000\n")
    reading = sensors.read([])
    assert reading.cpu_pct == pytest.approx(90.0)
    assert reading.cpus == 0.5


def test_a_group_that_this_process_was_moved_to_is_found(machine: Machine) -> None:
    sensors = machine.sensors()
    sensors.read([])
    machine.group("/a", memory_max="1000\n", memory_current="900\n", memory_stat="inactive_file 0\n")
    assert sensors.read([]).mem_pct == 90.0


def test_the_nearest_memory_ceiling_counts_also_a_parents(machine: Machine) -> None:
    assert machine.sensors().read([]).mem_pct == pytest.approx(30.0)
    machine.group("/a", memory_max="1000\n", memory_current="500\n", memory_stat="inactive_file 100\n")
    assert machine.sensors().read([]).mem_pct == 40.0
    machine.group("/a/b", memory_max="max\n", memory_current="10\n", memory_stat="inactive_file 0\n")
    assert machine.sensors().read([]).mem_pct == 40.0


def test_the_configured_limit_holds_for_the_own_tree(machine: Machine) -> None:
    machine.process(pid=200, parent=100, pages=40)
    reading = machine.sensors(mem_limit_bytes=80 * PAGE).read([200])
    assert reading.rss_bytes == (10 + 40 - 10) * PAGE
    assert reading.mem_pct == 50.0


def test_what_workers_share_with_the_fork_server_counts_once(machine: Machine) -> None:
    machine.process(pid=150, parent=100, pages=1000)
    machine.process(pid=200, parent=150, pages=1100)
    machine.process(pid=201, parent=150, pages=900)
    reading = machine.sensors().read([200, 201])
    assert reading.rss_bytes == (10 + 1000 + 100) * PAGE
    assert reading.worker_rss == {200: 1100 * PAGE, 201: 900 * PAGE}


def test_a_parent_that_is_no_child_of_ours_is_not_counted(machine: Machine) -> None:
    machine.process(pid=150, parent=1, pages=1000)
    machine.process(pid=200, parent=150, pages=70)
    assert machine.sensors().read([200]).rss_bytes == (10 + 70) * PAGE


def test_a_worker_that_has_gone_is_left_out(machine: Machine) -> None:
    machine.process(pid=200, parent=100, pages=0)
    reading = machine.sensors().read([200, 201])
    assert reading.worker_rss == {}
    assert reading.rss_bytes == 10 * PAGE


def test_the_trees_own_part_of_the_cpus(machine: Machine) -> None:
    machine.process(pid=200, parent=100, pages=10, ticks=1000)
    sensors = machine.sensors()
    assert sensors.read([200]).own_cpu_pct is None
    machine.process(pid=200, parent=100, pages=10, ticks=1000 + TICKS)
    machine.clock.passed += 4_000_000_000
    assert sensors.read([200]).own_cpu_pct == pytest.approx(100 / (4 * len(CPUS)))


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/proc/stat", "cpu_pct"),
        ("/proc/meminfo", "mem_pct"),
        ("/proc/loadavg", "load"),
        ("/proc/self/stat", "rss_bytes"),
    ],
)
@pytest.mark.parametrize("fault", ["missing", "nonsense"])
def test_a_source_that_cannot_be_read_is_unknown_and_spoils_no_other(
    machine: Machine, path: str, field: str, fault: str
) -> None:
    sensors = machine.sensors()
    sensors.read([])
    machine.cpu(busy=50, idle=50)
    if fault == "missing":
        machine.remove(path)
    else:
        machine.write(path, "Mem: what\ncpu0 x\n")
    reading = sensors.read([])
    fields = ("cpu_pct", "mem_pct", "load", "rss_bytes")
    assert [name for name in fields if getattr(reading, name) is None] == [field]


def test_a_machine_without_proc_is_unknown_altogether(tmp_path: Path) -> None:
    sensors = Sensors(root=tmp_path)
    sensors.read([1])
    assert sensors.read([1]) == Reading(cpus=float(len(CPUS)))


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Path]:
    file = open_log(tmp_path / "logs")
    configure(file)
    yield file.path
    structlog.reset_defaults()
    logs._loggers.clear()
    file.close()


def test_a_source_that_stays_away_is_told_of_once(machine: Machine, logged: Path) -> None:
    machine.remove("/proc/meminfo")
    sensors = machine.sensors()
    for number in range(1, 9):
        machine.cpu(busy=number, idle=number)
        sensors.read([])
    (line,) = logged.read_text().splitlines()
    assert '"event":"sensor.degraded","source":"memory"' in line


def test_a_real_worker_that_burns_cpu_and_holds_memory_is_seen() -> None:
    size = 50_000_000
    code = f"held = b'x' * {size}; print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as worker:
        try:
            assert worker.stdout is not None
            worker.stdout.readline()
            sensors: Sensing = Sensors()
            assert sensors.read([worker.pid]).cpu_pct is None

            readings: list[Reading] = []

            def burns() -> bool:
                readings.append(sensors.read([worker.pid]))
                return (readings[-1].own_cpu_pct or 0) > 5 and (readings[-1].cpu_pct or 0) > 5

            until(burns)
        finally:
            worker.kill()
    assert readings[-1].worker_rss[worker.pid] > size
    assert 0 < (readings[-1].mem_pct or 0) < 100
    assert (readings[-1].rss_bytes or 0) > 0


def test_a_reading_costs_less_than_a_millisecond_of_cpu_for_16_workers() -> None:
    workers = [subprocess.Popen(["sleep", "60"]) for _ in range(16)]
    try:
        sensors, pids = Sensors(), [worker.pid for worker in workers]
        costs = []
        for _ in range(50):
            began = time.thread_time()
            sensors.read(pids)
            costs.append(time.thread_time() - began)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert min(costs) < 0.001
