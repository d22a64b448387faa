"""What the server answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """Why a request is refused or failed."""

    error: str = Field(
        description="What is wrong, where, and the cure: one line.",
        examples=[
            "2 images but 3 texts; give one per image, in their order, an empty one where an image has none"
        ],
    )


class Engine(BaseModel):
    """What answers."""

    version: str = Field(description="Of the engine.")
    bundle: str = Field(description="Name of the models.")
    device: str
    runtime: str
    precision: str


class Scored(BaseModel):
    """The numbers of one image: a row of the table that `realm-engine score` writes."""

    index: int = Field(description="Place among the images of the request, from 0.")
    name: str = Field(description="The file name that was sent, or image-N.")
    values: dict[str, float | str | None] = Field(
        description="By column, rounded as in every table; null where a measure has no answer. /v1/measures says what "
        "each column means.",
        examples=[
            {"mos": 0.617, "realness": 74.71, "realness_low": 54.5, "realness_high": 92.3, "unlike": 0.634}
        ],
    )
    flags: list[str] = Field(description="Columns whose value is a reason to distrust the numbers.")
    description: str | None = Field(description="The text that was looked at with the image.")
    error: str | None = Field(description="Why numbers are missing; null where none is.")


class Scores(BaseModel):
    """The answer of /v1/score."""

    engine: Engine
    measures: list[str] = Field(description="Those that were taken.")
    results: list[Scored] = Field(description="One per image, in their order.")
    failed: int = Field(description="How many of the results have an error.")


class Region(BaseModel):
    """A connected area that stands out, in pixels of the image; kinds of maps add what is in it."""

    model_config = ConfigDict(extra="allow")

    x: int
    y: int
    width: int
    height: int
    area_px: int


class MapRecord(BaseModel):
    """All that a map knows of itself: the record that `realm-engine map` writes. Kinds of maps add facts of theirs."""

    model_config = ConfigDict(extra="allow")

    quantity: str = Field(examples=["realness"])
    meaning: str = Field(description="Of the values, one line.")
    width_px: int
    height_px: int
    statistics: dict[str, float] = Field(description="Of the covered pixels' values.")
    colour_limits: tuple[float, float] = Field(description="Values at the ends of the colours.")
    regions: list[Region] = Field(description="The most unreal first.")


class MappedImage(BaseModel):
    """The map of one image."""

    index: int = Field(description="Place among the images of the request, from 0.")
    name: str = Field(description="The file name that was sent, or image-N.")
    map: MapRecord | None
    error: str | None = Field(description="Why there is no map; null where there is one.")


class Maps(BaseModel):
    """The answer of /v1/map."""

    engine: Engine
    results: list[MappedImage] = Field(description="One per image, in their order.")
    failed: int = Field(description="How many of the results have an error.")


class ColumnInfo(BaseModel):
    """A column of a measure."""

    model_config = ConfigDict(extra="allow")

    name: str
    better: str = Field(description="Which end is better: high or low.")
    low: float
    high: float
    meaning: str
    span: str
    certainty: list[str]


class MeasureInfo(BaseModel):
    """What `realm-engine measures` says of a measure; one that cannot be used has `left_out`, the reason, alone."""

    model_config = ConfigDict(extra="allow")

    name: str
    left_out: str | None = None
    says: str | None = None
    columns: list[ColumnInfo] | None = None
    licence: str | None = None
    commercial_use: bool | None = None
    training_data: str | None = None
    worth: dict[str, Any] | None = None
    takes_text: bool | None = None
    ranks: bool | None = None
    has_map: bool | None = Field(None, description="Whether /v1/map takes it as metric.")
    profiles: list[str] | None = None


class Limits(BaseModel):
    """What a request may have."""

    max_upload_bytes: int
    max_images: int
    max_windows: int = Field(description="Windows of one map.")
    queue: int = Field(description="Images that may wait.")
    upload_seconds: float
    answer_seconds: float


class Info(BaseModel):
    """What this server is."""

    engine: Engine
    measures: list[str]
    presets: dict[str, dict[str, Any]] = Field(description="Of maps, the recommended one first.")
    licences: dict[str, str] = Field(description="By measure, and of maps.")
    limits: Limits


class Health(BaseModel):
    """Whether the server lives, or is ready."""

    status: str = Field(examples=["ok"])
