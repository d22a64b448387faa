"""What a server needs beside the engine: the packages of the extra [serve]."""

from __future__ import annotations

from realm_engine.machine.packages import needs


def need_packages(program: str) -> None:
    """Find out that they are there. Raises MissingPackageError with the cure."""
    with needs(program, "serve"):
        import fastapi  # noqa: F401
        import fastapi_offline  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
