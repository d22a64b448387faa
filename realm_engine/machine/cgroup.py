"""What this process's control group allows: CPU quota and memory limit (cgroup v2, then v1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cpu_quota(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """CPU quota in cores of this process's control group, None where there is no limit.

    A container usually sees its own group at `root`; outside one the group and its parents count,
    and the tightest limit holds.
    """
    limits = []
    for below in _groups(membership):
        limits.append(_quota_v2(root / below / "cpu.max"))
        for controller in ("cpu", "cpu,cpuacct"):
            limits.append(_quota_v1(root / controller / below))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_limit(total_bytes: int, root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """The tightest memory limit of this process's control group and its parents, in bytes.

    None if it is missing below `total_bytes`, what the machine has.
    """
    limits = (limit for limit, _, _ in _memory_limits(root, membership))
    # v1 writes a huge number for "no limit"
    return min((limit for limit in limits if limit < total_bytes), default=None)


def memory_left(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Bytes that this process's control group and its parents still allow; None where none has a limit."""
    left = []
    for limit, folder, (usage, cache) in _memory_limits(root, membership):
        used = _read(folder / usage).strip()
        if used.isdecimal():
            reclaimable = (line.split() for line in _read(folder / "memory.stat").splitlines())
            kept = sum(int(words[1]) for words in reclaimable if len(words) == 2 and words[0] == cache)
            left.append(max(0, limit - int(used) + kept))
    return min(left, default=None)


def _memory_limits(root: Path, membership: Path) -> Iterator[tuple[int, Path, tuple[str, str]]]:
    """Every limit that holds here: bytes, the group's folder, and what it calls its usage and its idle file cache."""
    for below in _groups(membership):
        for folder, name, used in (
            (root / below, "memory.max", ("memory.current", "inactive_file")),
            (
                root / "memory" / below,
                "memory.limit_in_bytes",
                ("memory.usage_in_bytes", "total_inactive_file"),
            ),
        ):
            text = _read(folder / name).strip()
            if text.isdecimal():  # "max": no limit
                yield int(text), folder, used


def _groups(membership: Path) -> set[str]:
    """The groups of this process and their parents, relative to where they are mounted."""
    groups = {Path("/")}
    for line in _read(membership).splitlines():
        group = Path(line.split(":", 2)[-1])
        groups.update((group, *group.parents))
    return {str(group).lstrip("/") for group in groups}


def _quota_v2(path: Path) -> float | None:
    quota, _, period = _read(path).strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    # v1 writes -1 for "no limit", which is not decimal
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
