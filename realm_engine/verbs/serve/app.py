"""The application: what each address takes and answers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BeforeValidator
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

from realm_engine.errors import RealmError, UsageError, printable
from realm_engine.machine.packages import engine_version
from realm_engine.maps.realness_map import Quantity, choose_config
from realm_engine.verbs.asked import parse_weights
from realm_engine.verbs.choices import DEFAULT_PROFILE
from realm_engine.verbs.serve import gate, models
from realm_engine.verbs.serve.answers import JSON, NPY, PNG, AsciiJson, MapWishes, engine_facts, row_facts
from realm_engine.verbs.serve.forms import entries_of, preferred
from realm_engine.verbs.serve.page import page_router
from realm_engine.verbs.serve.service import Service
from realm_engine.verbs.serve.work import AttributionMapping, RealnessMapping, Scoring, Work

FIELDS_PER_IMAGE, MORE_FIELDS = 2, 64
FIELD_BYTES = 256 << 10
"""Of a field that is no file; texts are cut by their models long before."""
_SAYS = """Scores say how real pictures look, maps where they do not. Every answer is that of `realm-engine score` and
`realm-engine map`; a picture that cannot be read has an `error` of its own among the results."""
# FastAPI can report to OpenTelemetry; here nothing is reported to anybody.
_NO_TELEMETRY = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
}
# What Starlette's parser says, and the cure.
_CURES = (
    ("Too many files", 413, "{0}; send fewer images at once"),
    ("Too many fields", 413, "{0}; send fewer texts at once"),
    ("Part exceeded", 413, "{0}; send shorter texts"),
)


def _optional(says: str, **bounds: float) -> Any:
    """A field that may be left out, or empty; Swagger UI would make a value up and send it."""
    return Form(description=says, examples=[""], **bounds)  # type: ignore[arg-type]


# `format` is what Swagger UI knows files by; FastAPI's `contentMediaType` it takes for text.
Images = Annotated[
    list[UploadFile],
    File(
        description="One or more pictures: PNG, JPEG, WebP, BMP, TIFF or GIF, told by content.",
        json_schema_extra={"items": {"type": "string", "format": "binary"}},
    ),
]
# Forms send what is left empty as well; among several values it stands for none.
Pixels = Annotated[int | None, BeforeValidator(lambda given: None if given == "" else given)]
Text = Annotated[
    list[str],
    Form(description="What looks unreal, for every image; of a map several: the mean of their maps."),
]
Texts = Annotated[
    list[str], Form(description="One text per image, in their order; an empty one where an image has none.")
]
ByName = Annotated[
    str | None, _optional('Texts by file name, a JSON object: {"cat.jpg": "the left eye is doubled"}.')
]
Missing = Annotated[
    Literal["allow", "error"], Form(description="error: an image without a text is an error of its own.")
]


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    says = {
        400: "The form is damaged.",
        401: "The token is missing or wrong.",
        403: "A page of another host asked.",
        406: "None of the types that Accept names can be had.",
        408: "The request came too slowly.",
        413: "The request is too large, or has too many images.",
        415: "The request is no form.",
        422: "A field is wrong; or the one image cannot be answered, where no JSON was wanted.",
        429: "The queue is full; Retry-After says for about how many seconds.",
        500: "A bug.",
        503: "The server is ending, has not enough memory, or took too long.",
    }
    return {code: {"model": models.Problem, "description": says[code]} for code in codes}


_POSTED = _problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503)


def build_app(service: Service) -> FastAPI:
    """The application on a service."""
    settings = service.settings
    # Bodies are held in memory, where `gate.Uploads` bounds them, and never on a disk.
    MultiPartParser.spool_max_size = settings.max_upload_bytes + 1
    app = FastAPI(
        title="realm-engine",
        version=engine_version(),
        description=_SAYS,
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,  # type: ignore[arg-type]
        form_limits={
            "max_files": settings.max_images,
            "max_fields": FIELDS_PER_IMAGE * settings.max_images + MORE_FIELDS,
            "max_part_size": FIELD_BYTES,
        },
    )
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_fields)
    app.add_exception_handler(UsageError, _refuse_usage)
    app.add_exception_handler(RealmError, _refuse_usage)
    app.include_router(page_router())
    _add_posts(app, service)
    _add_gets(app, service)
    return app


def _add_posts(app: FastAPI, service: Service) -> None:
    engine = service.engine
    locked = [Depends(HTTPBearer(auto_error=False))] if service.settings.token is not None else []

    @app.post(
        gate.SCORE,
        tags=["Pictures"],
        response_model=models.Scores,
        responses=_POSTED,
        dependencies=locked,
        summary="Score images",
    )
    async def score(
        request: Request,
        images: Images,
        metrics: Annotated[
            list[str],
            Form(description="Measures, those of /v1/measures; the bundle's first where none is named."),
        ] = [],  # noqa: B006 - FastAPI copies it
        text: Text = [],  # noqa: B006
        texts: Texts = [],  # noqa: B006
        descriptions: ByName = None,
        missing_text: Missing = "allow",
        profile: Annotated[
            Literal["default", "published"],
            Form(description="published: the numbers of a measure's original, its defects included."),
        ] = DEFAULT_PROFILE,  # type: ignore[assignment]
        combine: Annotated[
            list[str], Form(description="Weights of the measure combined, as core=2,niqe=1.")
        ] = [],  # noqa: B006
    ) -> Response:
        """How real images look: numbers of one or more measures, higher or lower as /v1/measures says."""
        await _check_fields(request, score)
        if len(text) > 1:
            raise UsageError("a score takes one text; give each image its own with texts")
        weights = parse_weights([each for each in combine if each])
        names = tuple(filter(None, (name.strip() for given in metrics for name in given.split(","))))
        work = Scoring(names or None, profile, None if weights is None else tuple(weights.items()))
        chosen = engine.chosen(work.metrics, work.profile, work.weights())
        columns = chosen.columns
        entries = entries_of(images, text, texts, descriptions, missing_text == "error")
        results = await service.ask(request, work, entries, lambda row: row_facts(row, columns))
        return AsciiJson(
            {
                "engine": engine_facts(engine, chosen.first.part.name),
                "measures": [measure.name for measure in chosen.listed],
                "results": results,
                "failed": sum(each["error"] is not None for each in results),
            }
        )

    @app.post(
        gate.MAP,
        tags=["Pictures"],
        response_model=models.Maps,
        responses={
            **_POSTED,
            **_problems(406),
            200: {
                "description": "JSON; of one image also its picture as PNG, or its values as .npy, by Accept.",
                "content": {
                    PNG: {"schema": {"type": "string", "format": "binary"}},
                    NPY: {"schema": {"type": "string", "format": "binary"}},
                },
            },
        },
        dependencies=locked,
        summary="Map images",
    )
    async def map_images(
        request: Request,
        images: Images,
        text: Text = [],  # noqa: B006
        texts: Texts = [],  # noqa: B006
        descriptions: ByName = None,
        missing_text: Missing = "allow",
        preset: Annotated[
            str | None,
            _optional("One of /v1/info; the recommended one by default."),
        ] = None,
        window: Annotated[
            list[Pixels], Form(description="Window sizes in pixels, in place of the preset's.")
        ] = [],  # noqa: B006
        stride: Annotated[int | None, _optional("Pixels between windows.", ge=1)] = None,
        aggregate: Annotated[
            Literal["mean", "max"] | None,
            _optional("How several window sizes are combined."),
        ] = None,
        quantity: Annotated[
            Literal["realness", "similarity"] | None,
            _optional(
                "realness = 1 - cosine, low = unreal (the default); similarity = cosine.",
            ),
        ] = None,
        metric: Annotated[
            str | None,
            _optional(
                "Map where the number of this measure comes from; takes no texts and no windows.",
            ),
        ] = None,
        picture: Annotated[
            Literal["overlay", "panel", "heatmap"], Form(description="What a PNG shows.")
        ] = "overlay",
        regions: Annotated[
            int | None,
            _optional(
                "Regions to frame and list; as many as the bundle says.",
                ge=0,
                le=100,
            ),
        ] = None,
        range_low: Annotated[float | None, _optional("Value at the lower end of the colours.")] = None,
        range_high: Annotated[float | None, _optional("Value at the upper end of the colours.")] = None,
    ) -> Response:
        """Where images look unreal: per image the record of its map, with the most unreal regions.

        Accept: image/png gives the overlay of one image, application/x-npy its values (float32, height x width).
        """
        await _check_fields(request, map_images)
        kind = preferred(request.headers.get("accept", ""), (JSON, PNG, NPY))
        if kind is None:
            raise HTTPException(406, f"maps are {JSON}, {PNG} or {NPY}; name one of them in Accept")
        if kind != JSON and len(images) != 1:
            raise HTTPException(
                406, f"{kind} holds one map, and there are {len(images)} images; accept {JSON}"
            )
        if (range_low is None) != (range_high is None):
            raise UsageError("range_low and range_high belong together; give both, or none")
        limits = None if range_low is None or range_high is None else (range_low, range_high)
        windows = [each for each in window if each is not None]
        wishes = MapWishes(kind, picture, limits, regions)
        if metric is not None:
            given = {
                "text": text,
                "texts": texts,
                "descriptions": descriptions,
                "preset": preset,
                "window": windows,
                "stride": stride,
                "aggregate": aggregate,
                "quantity": quantity,
            }
            refused = [name for name, value in given.items() if value]
            if refused or missing_text == "error":
                raise UsageError(
                    f"metric takes no {' and no '.join(refused or ['missing_text'])}; leave them out"
                )
            part = engine.with_map(metric).part.name
            work: Work = AttributionMapping(metric)
        else:
            config = choose_config(
                service.presets(), preset, windows, stride, aggregate, quantity or Quantity.REALNESS
            )
            part = engine.map_part
            work = RealnessMapping(config, service.settings.max_windows)
        entries = entries_of(images, text, texts, descriptions, missing_text == "error")
        results = await service.ask(request, work, entries, wishes.answer)
        if kind == JSON:
            failed = sum(each["error"] is not None for each in results)
            return AsciiJson({"engine": engine_facts(engine, part), "results": results, "failed": failed})
        if results[0]["error"] is not None:
            raise HTTPException(422, results[0]["error"])
        return Response(results[0]["content"], media_type=kind)


def _add_gets(app: FastAPI, service: Service) -> None:
    locked = [Depends(HTTPBearer(auto_error=False))] if service.settings.token is not None else []

    @app.get(
        gate.MEASURES,
        tags=["Pictures"],
        response_model=list[models.MeasureInfo],
        responses=_problems(401),
        dependencies=locked,
        summary="List the measures",
    )
    async def measures() -> Response:
        """The measures that can be asked for: meaning, direction, licence, what each is worth."""
        return AsciiJson(service.measures)

    @app.get(
        gate.INFO,
        tags=["Pictures"],
        response_model=models.Info,
        responses=_problems(401),
        dependencies=locked,
        summary="Say what this server is",
    )
    async def info() -> Response:
        """Engine, measures, presets of maps, licences, limits."""
        return AsciiJson(service.info)

    @app.get(
        gate.HEALTH, tags=["Server"], response_model=models.Health, responses=_problems(503), summary="Alive?"
    )
    async def health() -> Response:
        """200 as long as anything can be computed: where it is not, start the server again."""
        if not service.batcher.is_alive:
            raise HTTPException(503, service.not_ready() or "")
        return AsciiJson({"status": "ok"})

    @app.get(
        gate.READY, tags=["Server"], response_model=models.Health, responses=_problems(503), summary="Ready?"
    )
    async def ready() -> Response:
        """200 while requests are taken, 503 once the server is ending."""
        reason = service.not_ready()
        if reason is not None:
            raise HTTPException(503, reason)
        return AsciiJson({"status": "ready"})

    @app.get(
        gate.METRICS,
        tags=["Server"],
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_problems(401)},
        response_class=Response,
        dependencies=locked,
        summary="Counters for Prometheus",
    )
    async def metrics() -> Response:
        """Requests, queue, batches, seconds of each stage, images and failures, in Prometheus' text format."""
        return Response(service.counts.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _check_fields(request: Request, endpoint: Any) -> None:
    """Raise UsageError for a field that nobody reads: a slip must not pass for an answer."""
    known = [name for name in endpoint.__annotations__ if name not in ("request", "return")]
    for name in dict.fromkeys([*request.query_params, *await request.form()]):
        if name in request.query_params:
            raise UsageError(f"{name!r} stands in the address; send it as a field of the form")
        if name not in known:
            raise UsageError(f"no field is called {name!r}; there are {', '.join(known)}")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, message = error.status_code, printable(str(error.detail))
    for begin, other, cure in _CURES:
        if message.startswith(begin):
            code, message = other, cure.format(message.rstrip("."))
    if code == 404:
        message = "there is nothing at this address; /docs says what there is"
    if code == 405:
        message = f"{request.method} cannot be asked here; /docs says what can"
    return AsciiJson({"error": message}, code, headers=dict(error.headers or {}))


async def _refuse_fields(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(
        f"{'.'.join(map(str, each['loc'][1:])) or 'form'}: {each['msg'].lower()}"
        for each in error.errors()[:3]
    )
    return AsciiJson({"error": printable(f"{wrong}; /docs says what each field takes")}, 422)


async def _refuse_usage(request: Request, error: Exception) -> Response:
    # Fields are called like the options of the command line, of which the message may speak.
    return AsciiJson({"error": re.sub(r"--(?=[a-z])", "", str(error))}, 422)
