"""Limits of control groups, v2 and v1, read from folders made like theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from realm_engine.machine.cgroup import cpu_quota, memory_left, memory_limit


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_quota_of_cgroup_v2_is_the_tightest_of_the_group_and_its_parents(tmp_path):
    root, membership = tmp_path / "cgroup", tmp_path / "self"
    write(membership, "0::/a/b\n")
    write(root / "a/b/cpu.max", "max 100000\n")
    assert cpu_quota(root, membership) is None
    write(root / "a/cpu.max", "250000 100000\n")
    assert cpu_quota(root, membership) == 2.5
    write(root / "cpu.max", "150000 100000\n")
    assert cpu_quota(root, membership) == 1.5


@pytest.mark.parametrize("controller", ["cpu", "cpu,cpuacct"])
def test_quota_of_cgroup_v1(tmp_path, controller):
    root, membership = tmp_path / "cgroup", tmp_path / "self"
    write(membership, f"4:{controller}:/docker/x\n1:name=systemd:/docker/x\n")
    write(root / controller / "cpu.cfs_quota_us", "-1\n")
    write(root / controller / "cpu.cfs_period_us", "100000\n")
    assert cpu_quota(root, membership) is None
    write(root / controller / "docker/x/cpu.cfs_quota_us", "400000\n")
    write(root / controller / "docker/x/cpu.cfs_period_us", "100000\n")
    assert cpu_quota(root, membership) == 4.0


def test_no_cgroup_at_all(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None


def test_the_tightest_memory_limit_holds(tmp_path):
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert memory_limit(1 << 40, tmp_path, membership) is None
    (tmp_path / "a" / "memory.max").write_text(f"{2 << 30}\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    assert memory_limit(1 << 40, tmp_path, membership) == 2 << 30
    assert memory_limit(1 << 30, tmp_path, membership) is None  # more than there is, is no limit


def test_what_a_slice_leaves_counts_outside_a_container(tmp_path):
    root, membership = tmp_path / "cgroup", tmp_path / "self"
    write(membership, "0::/user.slice/x.scope\n")
    write(root / "user.slice/x.scope/memory.max", "max\n")
    write(root / "user.slice/x.scope/memory.current", "1\n")
    assert memory_left(root, membership) is None
    write(root / "user.slice/memory.max", "50000\n")
    write(root / "user.slice/memory.current", "30000\n")
    write(root / "user.slice/memory.stat", "anon 5\ninactive_file 1000\n")
    assert memory_left(root, membership) == 21000
    write(root / "user.slice/x.scope/memory.max", "8000\n")
    assert memory_left(root, membership) == 7999  # the tightest of them


def test_memory_left_of_cgroup_v1(tmp_path):
    root, membership = tmp_path / "cgroup", tmp_path / "self"
    write(membership, "4:memory:/docker/x\n")
    write(root / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(root / "memory/memory.usage_in_bytes", "70000\n")
    write(root / "memory/docker/x/memory.limit_in_bytes", "50000\n")
    write(root / "memory/docker/x/memory.usage_in_bytes", "30000\n")
    write(root / "memory/docker/x/memory.stat", "inactive_file 7\ntotal_inactive_file 500\n")
    assert memory_left(root, membership) == 20500
