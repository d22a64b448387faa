"""A Gaussian in a JSON file of a bundle: what features of some set of pictures are like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Float64
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.json_file import parse_json
from realm_engine.bundle.manifest import Section
from realm_engine.errors import BundleError


@dataclass(frozen=True)
class Gaussian:
    """`mean` float64 [d] and `covariance` float64 [d, d], positive definite."""

    mean: Float64
    covariance: Float64

    def distance(self, mean: Float64, covariance: Float64) -> float:
        """sqrt(d^T ((S + T) / 2)^+ d), the distance of another Gaussian, d the difference of the means."""
        difference = mean - self.mean
        inverse = np.linalg.pinv((self.covariance + covariance) / 2)
        return float(np.sqrt(difference @ inverse @ difference))


def read_gaussian(bundle: Bundle, file: str, width: int) -> Gaussian:
    """The Gaussian in a file that a bundle lists, over `width` features. Raises BundleError, naming the field."""
    return parse_gaussian(bundle.files.content(file), str(bundle.file(file)), width)


def parse_gaussian(content: bytes, where: str, width: int) -> Gaussian:
    """Read {"mean": [d], "covariance": [d (d + 1) / 2, the lower triangle by rows], "ridge", "count"}, d = `width`.

    `ridge`, 0 where it is missing, is added to the diagonal. Raises BundleError, naming the field.
    """
    section = Section(parse_json(content, where), where)
    mean, lower = (np.array(section.numbers(key)) for key in ("mean", "covariance"))
    for key, found, wanted in (
        ("mean", len(mean), width),
        ("covariance", len(lower), width * (width + 1) // 2),
    ):
        if found != wanted:
            raise BundleError(f"{where}: '{key}' has {found} numbers, not {wanted}; export the bundle again")
    covariance = np.zeros((width, width))
    covariance[np.tril_indices(width)] = lower
    covariance = covariance + np.tril(covariance, -1).T
    covariance += np.eye(width) * section.number("ridge", otherwise=0.0)
    if not np.linalg.eigvalsh(covariance)[0] > 0:
        raise BundleError(f"{where}: 'covariance' is not positive definite; export the bundle again")
    return Gaussian(mean, covariance)
