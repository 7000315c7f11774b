"""Cgroups of both versions, as hosts and containers show them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.telemetry.cgroups import CpuQuota, Groups, Level, cpu_quota, discover, levels, memory_pct

# A systemd service on a host with version 2 only.
SERVICE_CGROUP = "0::/system.slice/sanaagent.service\n"
SERVICE_MOUNTS = """22 27 0:21 / /proc rw,relatime shared:12 - proc proc rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
27 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw
"""

# A container with a cgroup namespace of its own, version 2.
CONTAINER_CGROUP = "0::/\n"
CONTAINER_MOUNTS = "900 890 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"

# A container without one, version 1: the mount shows its group as the root, the paths are the host's.
DOCKER_CGROUP = "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
DOCKER_MOUNTS = """500 490 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
501 490 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
"""

# A host with both: the controllers are in version 1, each mounted by itself, and version 2 is there without any.
HYBRID_CGROUP = """9:name=systemd:/
4:memory:/agents/a6b0
2:cpuacct:/agents
1:cpu:/agents
0::/agents
"""
HYBRID_MOUNTS = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


class Files:
    """Files by path; the others are missing."""

    def __init__(self, directory: str, texts: Mapping[str, str]) -> None:
        self.texts = {f"{directory}/{name}": text for name, text in texts.items()}

    def __call__(self, path: str) -> str | None:
        return self.texts.get(path)


def directories(found: tuple[Level, ...]) -> list[tuple[int, str]]:
    return [(level.version, level.directory) for level in found]


def test_every_level_of_a_service_up_to_the_root_counts() -> None:
    found = directories(levels("memory", SERVICE_CGROUP, SERVICE_MOUNTS))
    assert found == [
        (2, "/sys/fs/cgroup/system.slice/sanaagent.service"),
        (2, "/sys/fs/cgroup/system.slice"),
        (2, "/sys/fs/cgroup"),
    ]


def test_in_a_namespace_the_mount_is_the_own_group() -> None:
    assert directories(levels("memory", CONTAINER_CGROUP, CONTAINER_MOUNTS)) == [(2, "/sys/fs/cgroup")]
    assert directories(levels("memory", "0::/../other\n", CONTAINER_MOUNTS)) == [(2, "/sys/fs/cgroup")]


def test_paths_of_the_host_are_those_below_what_the_mount_shows() -> None:
    assert directories(levels("memory", DOCKER_CGROUP, DOCKER_MOUNTS)) == [(1, "/sys/fs/cgroup/memory")]
    assert directories(levels("cpu", DOCKER_CGROUP, DOCKER_MOUNTS)) == [(1, "/sys/fs/cgroup/cpu,cpuacct")]
    deeper = DOCKER_CGROUP.replace("memory:/docker/abc", "memory:/docker/abc/inner")
    assert directories(levels("memory", deeper, DOCKER_MOUNTS))[0] == (1, "/sys/fs/cgroup/memory/inner")


def test_a_hybrid_host_has_levels_of_both_versions() -> None:
    groups = discover(HYBRID_CGROUP, HYBRID_MOUNTS)
    assert directories(groups.memory) == [
        (1, "/sys/fs/cgroup/memory/agents/a6b0"),
        (1, "/sys/fs/cgroup/memory/agents"),
        (1, "/sys/fs/cgroup/memory"),
        (2, "/sys/fs/cgroup/unified/agents"),
        (2, "/sys/fs/cgroup/unified"),
    ]
    assert groups.accounts == {"/agents": "/sys/fs/cgroup/cpuacct/agents", "": "/sys/fs/cgroup/cpuacct"}


def test_a_mount_point_with_a_space_is_read() -> None:
    mounts = r"30 23 0:26 / /sys/fs/my\040cgroup rw - cgroup2 cgroup2 rw" + "\n"
    assert directories(levels("memory", "0::/\n", mounts)) == [(2, "/sys/fs/my cgroup")]


def test_without_cgroups_there_is_no_level() -> None:
    assert discover("", "") == Groups()


V1 = Level(1, "/a", "/memory/a")
V2 = Level(2, "/a", "/cg/a")
V1_FILES = {
    "memory.limit_in_bytes": "1000000\n",
    "memory.usage_in_bytes": "900000\n",
    "memory.stat": "inactive_file 5\ntotal_cache 7\ntotal_inactive_file 400000\n",
}
V2_FILES = {
    "memory.max": "2000000\n",
    "memory.high": "1000000\n",
    "memory.current": "900000\n",
    "memory.stat": "anon 5\ninactive_file 400000\nactive_file 7\n",
}


@pytest.mark.parametrize(("level", "files"), [(V1, V1_FILES), (V2, V2_FILES)], ids=["v1", "v2"])
def test_memory_that_can_go_at_once_is_not_used_and_the_lower_limit_counts(level: Level, files: dict[str, str]) -> None:
    assert memory_pct(level, Files(level.directory, files)) == 50.0


@pytest.mark.parametrize(("level", "files"), [(V1, V1_FILES), (V2, V2_FILES)], ids=["v1", "v2"])
@pytest.mark.parametrize("missing", ["usage", "stat"])
def test_a_missing_file_is_neither_full_nor_empty(level: Level, files: dict[str, str], missing: str) -> None:
    names = {"usage": ("memory.usage_in_bytes", "memory.current"), "stat": ("memory.stat",)}[missing]
    rest = {name: text for name, text in files.items() if name not in names}
    assert memory_pct(level, Files(level.directory, rest)) is None


def test_one_limit_is_enough() -> None:
    rest = {name: text for name, text in V2_FILES.items() if name != "memory.high"}
    assert memory_pct(V2, Files(V2.directory, rest)) == 25.0


@pytest.mark.parametrize(
    ("level", "files"),
    [
        (V1, V1_FILES | {"memory.limit_in_bytes": "9223372036854771712\n"}),
        (V2, V2_FILES | {"memory.max": "max\n", "memory.high": "max\n"}),
        (V2, {}),
    ],
    ids=["v1", "v2", "root of v2"],
)
def test_without_a_limit_a_group_says_nothing(level: Level, files: dict[str, str]) -> None:
    assert memory_pct(level, Files(level.directory, files)) is None


def test_a_quota_of_version_2() -> None:
    files = {"cpu.max": "150000 100000\n", "cpu.stat": "usage_usec 2500000\nuser_usec 1\nnr_throttled 3\n"}
    assert cpu_quota(V2, None, Files(V2.directory, files)) == CpuQuota(cpus=1.5, used_s=2.5)
    assert cpu_quota(V2, None, Files(V2.directory, files | {"cpu.max": "max 100000\n"})) is None


def test_a_quota_of_version_1_is_counted_elsewhere() -> None:
    files = Files("/cpu/a", {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"})
    files.texts["/cpuacct/a/cpuacct.usage"] = "3000000000\n"
    level = Level(1, "/a", "/cpu/a")
    assert cpu_quota(level, "/cpuacct/a", files) == CpuQuota(cpus=0.5, used_s=3.0)
    assert cpu_quota(level, None, files) is None
    files.texts["/cpu/a/cpu.cfs_quota_us"] = "-1\n"
    assert cpu_quota(level, "/cpuacct/a", files) is None
