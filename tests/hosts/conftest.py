"""What the tests of the hosts without Python need: a compiler, Node.js, a browser. CI must have them all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from repository import ROOT

REPOSITORY = ROOT


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """`require("cmake", "g++")`: skip where a program is missing; fail where REALM_REQUIRE_HOSTS is set."""

    def check(*programs: str) -> None:
        missing = [program for program in programs if shutil.which(program) is None]
        if not missing:
            return
        reason = f"needs {', '.join(missing)} on the PATH"
        if os.environ.get("REALM_REQUIRE_HOSTS"):
            pytest.fail(reason)
        pytest.skip(reason)

    return check
