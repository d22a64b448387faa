"""Hundreds of bad requests of every kind; `tests/support/bad_requests.py` sends as many as one likes."""

from __future__ import annotations

from bad_requests import run


def test_bad_requests_are_refused_and_leave_nothing(bundle_path):
    left = run(bundle_path, 330)
    assert left.tracebacks == 0 and left.same_answer
    assert left.kinds >= 20 and sum(left.codes.values()) == 330
    assert {"200", "400", "413", "415", "422"} <= set(left.codes)
    assert not [code for code in left.codes if code.startswith("5")], left.codes
    assert left.files_more <= 2 and left.threads_more <= 2
    assert left.bytes_more < 30 << 20
