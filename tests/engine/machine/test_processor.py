"""What this process may compute with."""

from __future__ import annotations

import pytest

from realm_engine.machine.processor import default_threads, processor, read_cpuinfo


@pytest.mark.parametrize(("quota", "threads"), [(None, 8), (2.5, 2), (0.5, 1), (64.0, 8)])
def test_threads_are_the_smaller_of_affinity_and_quota(monkeypatch, quota, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr("realm_engine.machine.cgroup.cpu_quota", lambda *_: quota)
    assert default_threads() == processor().usable == threads


def test_processor_features():
    text = "processor : 0\nmodel name\t: EPYC 9B14\nflags\t\t: fpu avx2 amx_bf16\n\nmodel name : other\nflags : x\n"
    assert read_cpuinfo(text) == ("EPYC 9B14", frozenset({"fpu", "avx2", "amx_bf16"}))
    assert read_cpuinfo("") == ("", frozenset())
