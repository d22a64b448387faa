"""What this process may compute with."""

from __future__ import annotations

import pytest

from realm_engine.machine.processor import cpuinfo, default_threads, processor


@pytest.mark.parametrize(("quota", "threads"), [(None, 8), (2.5, 2), (0.5, 1), (64.0, 8)])
def test_threads_are_the_smaller_of_affinity_and_quota(monkeypatch, quota, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr("realm_engine.machine.cgroup.cpu_quota", lambda *_: quota)
    assert default_threads() == processor().usable == threads


def test_the_first_processor_is_read(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor : 0\nmodel name\t: EPYC 9B14\nflags\t\t: fpu avx2 amx_bf16\n\nmodel name : other\nflags : x\n"
    )
    assert cpuinfo(path) == {"processor": "0", "model name": "EPYC 9B14", "flags": "fpu avx2 amx_bf16"}
    assert (processor(path).model, processor(path).features) == ("EPYC 9B14", ("AVX2", "AMX bf16"))
    assert cpuinfo(tmp_path / "gone") == {} and processor(tmp_path / "gone").features == ()
