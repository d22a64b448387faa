"""What a server counts, for Prometheus: requests, the queue, batches, seconds of each stage, images, failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

OTHER = "other"  # whatever strangers make up: a label has few values
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Counts:
    """Everything that is counted, in a registry of its own. Any thread may call its methods."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        """`facts`: of the engine, labels of `realm_info`."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        info = Gauge("realm_info", "What answers: always 1.", list(facts), registry=registry)
        info.labels(**facts).set(1)
        self._requests = Counter(
            "realm_requests", "Requests that were answered.", ["route", "method", "code"], registry=registry
        )
        self._request_seconds = Histogram(
            "realm_request_seconds",
            "Of a request, from its header to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter(
            "realm_images", "Images that were answered.", ["route", "outcome"], registry=registry
        )
        self._warnings = Counter("realm_warnings", "Warnings of the engine.", registry=registry)
        self._batch = Histogram(
            "realm_batch_images", "Images of one call of the model.", buckets=_BATCHES, registry=registry
        )
        stages = {
            "queue": "Of an image, until a decoder had it.",
            "decode": "Of an image, decoding it.",
            "compute": "Of a call of the model.",
        }
        self._stages = {
            stage: Histogram(f"realm_{stage}_seconds", says, buckets=_SECONDS, registry=registry)
            for stage, says in stages.items()
        }

    def watch(self, name: str, says: str, value: Callable[[], float]) -> None:
        """Add a gauge that asks `value` whenever it is read."""
        Gauge(name, says, registry=self.registry).set_function(value)

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """A request was answered. `route`: a path that the server has, or `OTHER`."""
        self._requests.labels(route, method if method in _METHODS else OTHER, str(code)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def images(self, route: str, done: int, failed: int) -> None:
        """So many images of a request were answered, with a result or an error."""
        self._images.labels(route, "done").inc(done)
        self._images.labels(route, "failed").inc(failed)

    def warned(self) -> None:
        """The engine warned of something."""
        self._warnings.inc()

    def queued(self, seconds: float) -> None:
        """See `batcher.QueueWatch`."""
        self._stages["queue"].observe(seconds)

    def decoded(self, seconds: float) -> None:
        """See `pipeline.Watch`."""
        self._stages["decode"].observe(seconds)

    def computed(self, images: int, seconds: float) -> None:
        """See `pipeline.Watch`."""
        self._batch.observe(images)
        self._stages["compute"].observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
