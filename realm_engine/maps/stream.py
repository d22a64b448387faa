"""DREAM over many images: which texts each is mapped for, and what a stream of maps answers, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from realm_engine.arrays import UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import TextError, WindowError
from realm_engine.maps.dream import Dream, Progress
from realm_engine.maps.phrases import BankEntry, parse_bank, pick_phrases
from realm_engine.maps.picture_map import Mapped, MapProgress
from realm_engine.maps.realness_map import DreamConfig, Phrase, RealnessMap
from realm_engine.pictures.descriptions import is_missing
from realm_engine.pictures.inputs import Entry, Texts


def texts_of_map(given: Texts) -> tuple[str, ...] | None:
    """The texts of one map; None: the phrase bank is to decide. Raises TextError where one is empty."""
    texts = (given,) if isinstance(given, str) else given
    if texts is None:
        return None
    if not texts or any(is_missing(text) for text in texts):
        raise TextError("the text of a map is empty; describe what looks unreal, or leave the text out")
    return tuple(texts)


class Mapper:
    """DREAM together with the phrase bank of its bundle, which decides where an image has no text."""

    def __init__(self, dream: Dream, bundle: Bundle) -> None:
        self.dream = dream
        self._bundle = bundle
        self._bank: tuple[BankEntry, ...] = ()

    @property
    def recommended(self) -> DreamConfig:
        """The preset that the bundle recommends."""
        return next(iter(self.dream.presets().values()))

    @property
    def has_phrases(self) -> bool:
        """Whether there is a phrase bank."""
        return self.dream.spec.phrases is not None

    def map_together(
        self,
        images: Sequence[UInt8],
        texts: Sequence[tuple[str, ...] | None],
        config: DreamConfig,
        progress: Progress | None,
    ) -> list[RealnessMap]:
        """Map images of one size (uint8 RGB H x W x 3); for a text that is None the phrase bank decides.

        Raises WindowError, DeviceError, AnswerError, BundleError for a damaged phrase bank, and TextError where
        one is needed and it is missing.
        """
        chosen: dict[int, tuple[Phrase, ...]] = {}
        used = []
        try:
            for index, (image, given) in enumerate(zip(images, texts, strict=True)):
                if given is None:
                    chosen[index] = pick_phrases(self.dream, self._phrases(), image, max(config.windows_px))
                used.append(tuple(phrase.text for phrase in chosen[index]) if given is None else given)
            maps = self.dream.map_together(images, used, config, progress)
        finally:
            self.dream.forget()
        return [
            self._with_phrases(found, chosen[index], config) if index in chosen else found
            for index, found in enumerate(maps)
        ]

    def _with_phrases(
        self, found: RealnessMap, phrases: tuple[Phrase, ...], config: DreamConfig
    ) -> RealnessMap:
        """The map of phrases that were picked: what fits a picture best reaches more than a text that is given."""
        known = found.photographs
        if known is not None:
            known = replace(known, threshold=self.dream.stands_out(config).phrases)
        return replace(found, phrases=phrases, photographs=known)

    def _phrases(self) -> tuple[BankEntry, ...]:
        file = self.dream.spec.phrases
        if file is None:
            raise TextError(f"{self._bundle.name}: this bundle has no phrase bank; give a text (--text)")
        if not self._bank:
            self._bank = parse_bank(self._bundle.files.content(file), str(self._bundle.file(file)))
        return self._bank


class MapStream:
    """What a `Pipeline` asks of a stream of maps.

    `progress(images, windows)` is called with how many images, fractions included, are done and how many windows
    were encoded.
    """

    def __init__(
        self,
        mapper: Mapper,
        config: DreamConfig,
        progress: MapProgress | None,
        most_windows: int | None = None,
    ) -> None:
        """`most_windows`: an image that would take more is refused; None: there is no bound."""
        self._mapper = mapper
        self._config = config
        self._most_windows = most_windows
        self._done = _Done(progress)

    def run(self, decoded: list[UInt8], entries: list[Entry]) -> list[Mapped[RealnessMap]]:
        """Answer images of one size. Raises what `Mapper.map_together` does, and TextError for an empty text."""
        texts = [texts_of_map(entry.text) for entry in entries]
        self._windows(decoded[0])
        maps = self._mapper.map_together(decoded, texts, self._config, self._done.within(len(entries)))
        self._done.add(len(entries), sum(found.windows for found in maps))
        return [
            Mapped(entry.name, image, replace(found, image=image, name=entry.name))
            for entry, image, found in zip(entries, decoded, maps, strict=True)
        ]

    def fail(self, entry: Entry, message: str) -> Mapped[RealnessMap]:
        """Answer an image that cannot be mapped."""
        self._done.add(1, 0)
        return Mapped(entry.name, None, None, message)

    def per_call(self, image: UInt8) -> int:
        """How many images of this size share a call. Raises WindowError where a window does not fit."""
        windows = self._windows(image)
        return max(1, self._mapper.dream.encoder.per_call // windows)

    def _windows(self, image: UInt8) -> int:
        """Windows of an image. Raises WindowError where one does not fit, or where they are too many."""
        height, width = image.shape[:2]
        windows = sum(grid.count for grid in self._config.grids(height, width))
        if self._most_windows is not None and windows > self._most_windows:
            raise WindowError(
                f"a picture of {width} x {height} has {windows} windows, and at most {self._most_windows} are taken "
                "here; give a larger stride, or a smaller picture"
            )
        return windows


class _Done:
    """Adds up images and encoded windows over the calls of a stream of maps."""

    def __init__(self, progress: MapProgress | None) -> None:
        self._progress = progress or (lambda images, windows: None)
        self._images = 0
        self._windows = 0

    def within(self, images: int) -> Progress:
        """Progress of a call that maps so many images, in encoded windows."""
        return lambda done, total: self._progress(
            self._images + images * done / max(1, total), self._windows + done
        )

    def add(self, images: int, windows: int) -> None:
        """A call is over."""
        self._images += images
        self._windows += windows
        self._progress(self._images, self._windows)
