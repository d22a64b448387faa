"""What the addresses share: the engine, what it offers, and how a request waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

from realm_engine.engine import Engine
from realm_engine.errors import RealmError, UsageError
from realm_engine.opened import MAPS
from realm_engine.pictures.inputs import Entry
from realm_engine.verbs.info import measure_rows
from realm_engine.verbs.serve import gate
from realm_engine.verbs.serve.answers import engine_facts
from realm_engine.verbs.serve.batcher import Batcher, EndingError, QueueFullError
from realm_engine.verbs.serve.counts import Counts
from realm_engine.verbs.serve.settings import ServeSettings
from realm_engine.verbs.serve.work import Finish, Work


class Service:
    """An engine that is open, and what stands before it."""

    def __init__(self, engine: Engine, settings: ServeSettings) -> None:
        self.engine = engine
        self.settings = settings
        facts = engine_facts(engine)
        self.counts = Counts(facts)
        self.batcher = Batcher(engine, settings.queue, self.counts)
        self.is_ending = False
        self.measures = [row for used in engine.bundles() for row in measure_rows(str(used["bundle_path"]))]
        self.info = {
            "engine": facts,
            "measures": [measure.name for measure in engine.measures],
            "presets": _presets(engine),
            "licences": _licences(engine),
            "limits": {
                "max_upload_bytes": settings.max_upload_bytes,
                "max_images": settings.max_images,
                "max_windows": settings.max_windows,
                "queue": settings.queue,
                "upload_seconds": settings.upload_s,
                "answer_seconds": settings.answer_s,
            },
        }
        self.counts.watch(
            "realm_queue_images", "Images that wait for the engine.", lambda: self.batcher.waiting
        )
        self.counts.watch(
            "realm_ready", "1 while requests are taken, else 0.", lambda: float(self.not_ready() is None)
        )

    def not_ready(self) -> str | None:
        """Why no request is taken; None where they are."""
        if not self.batcher.is_alive:
            return "the thread that computes has ended; start the server again"
        return "the server is ending" if self.is_ending else None

    async def ask(
        self, request: Request, work: Work, entries: Sequence[Entry], finish: Finish
    ) -> list[dict[str, Any]]:
        """One answer per entry, in order; `finish` makes each of what the engine says.

        Raises HTTPException 429 where the queue is full, 503 where nothing will come, or not in time.
        """
        request.scope[gate.IMAGES] = len(entries)
        try:
            ticket = self.batcher.submit(work, entries, finish)
        except QueueFullError as error:
            raise HTTPException(429, str(error), {"Retry-After": str(error.retry_s)}) from error
        except EndingError as error:
            raise unavailable(str(error)) from error
        done: asyncio.Future[Any] = asyncio.wrap_future(ticket.done)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait(
                {done, gone}, timeout=self.settings.answer_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done.done():
                left = "the client is gone" if gone.done() else f"no answer in {self.settings.answer_s:g} s"
                raise unavailable(f"{left}; send fewer or smaller images at once")
            answers = done.result()
        except (RealmError, MemoryError) as error:
            raise unavailable(str(error) or "not enough memory; send fewer images at once") from error
        finally:
            gone.cancel()
            self.batcher.drop(ticket)
        failed = sum(answer["error"] is not None for answer in answers)
        self.counts.images(request.scope["path"], len(answers) - failed, failed)
        return [{"index": index, **answer} for index, answer in enumerate(answers)]

    def presets(self) -> Mapping[str, Any]:
        """The presets of maps by name. Raises UsageError where the bundle makes none."""
        if self.engine.contents.maps is None:
            raise UsageError(
                f"{self.engine.bundle.name} makes no maps of realness; ask a server with another bundle"
            )
        return self.engine.presets()


def unavailable(message: str) -> HTTPException:
    """The server cannot answer now."""
    return HTTPException(503, message, {"Retry-After": "5"})


async def _gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _presets(engine: Engine) -> dict[str, Any]:
    if engine.contents.maps is None:
        return {}
    return {name: asdict(config) for name, config in engine.presets().items()}


def _licences(engine: Engine) -> dict[str, str]:
    terms = {measure.name: measure.terms for measure in engine.measures}
    if engine.contents.maps is not None:
        terms[MAPS] = engine.contents.maps.terms
    return {name: each.line for name, each in terms.items()}
