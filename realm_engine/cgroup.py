"""What this process's control group allows: CPU quota and memory limit (cgroup v2, then v1)."""

from __future__ import annotations

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

    None where there is none below `total_bytes`, what the machine has.
    """
    limits = []
    for below in _groups(membership):
        for path in (root / below / "memory.max", root / "memory" / below / "memory.limit_in_bytes"):
            text = _read(path).strip()
            if text.isdecimal() and int(text) < total_bytes:  # v1 writes a huge number for "no limit"
                limits.append(int(text))
    return min(limits, default=None)


def memory_left(root: Path = ROOT) -> int | None:
    """Bytes that the container, the group at `root`, may still take; None where it has no limit."""
    for folder, limit, used, cache in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        numbers = [next(iter(_read(folder / name).splitlines()), "") for name in (limit, used)]
        if all(number.isdecimal() for number in numbers):  # "max": no limit
            reclaimable = (line.split() for line in _read(folder / "memory.stat").splitlines())
            kept = sum(int(words[1]) for words in reclaimable if len(words) == 2 and words[0] == cache)
            return max(0, int(numbers[0]) - int(numbers[1]) + kept)
    return None


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
