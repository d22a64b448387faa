"""The graph of a linear probe's map: against loops in float64, and its sum against the logit."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from export.graph.linear_map import ContributionMap

STAGES = ((3, 7, 9), (5, 4, 5), (2, 1, 1))
WEIGHTS = np.random.default_rng(1).standard_normal(20)
BIAS = -0.75
CENTRE = np.random.default_rng(2).uniform(0, 3, 20)


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    graph = ContributionMap("probe_map", WEIGHTS, BIAS, STAGES, CENTRE)
    return onnxruntime.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])


def stages_of(count: int) -> list[np.ndarray]:
    """Stages of several pictures; of the first picture a channel is flat, of the last everything is 0."""
    rng = np.random.default_rng(count)
    stages = [rng.standard_normal((count, *shape), dtype=np.float32) * 3 + 1 for shape in STAGES]
    stages[0][0, 1] = 4.0
    for stage in stages:
        stage[-1] = 0.0
    return stages


def run(session: onnxruntime.InferenceSession, stages: list[np.ndarray]) -> dict[str, np.ndarray]:
    feeds = {f"stage_{i}": stage for i, stage in enumerate(stages)}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def expected(stages: list[np.ndarray], picture: int) -> tuple[list[np.ndarray], float]:
    """Maps and logit of one picture, float64, position by position."""
    maps, logit, first = [], BIAS, 0
    for stage in stages:
        x = stage[picture].astype(np.float64)
        channels = len(x)
        w, v = WEIGHTS[first : first + channels], WEIGHTS[first + channels : first + 2 * channels]
        first += 2 * channels
        mean = x.mean(axis=(1, 2))
        deviation = np.sqrt(x.var(axis=(1, 2)) + 1e-6)
        found = np.full(x.shape[1:], -np.concatenate([w, v]) @ CENTRE[first - 2 * channels : first])
        for row, column in np.ndindex(found.shape):
            for c in range(channels):
                square = (x[c, row, column] - mean[c]) ** 2 + 1e-6
                found[row, column] += w[c] * x[c, row, column] + v[c] * square / deviation[c]
        maps.append(found / found.size)
        logit += float(w @ mean + v @ deviation)
    return maps, logit


def test_maps_are_those_of_a_plain_loop_and_add_up_to_the_logit(session):
    stages = stages_of(3)
    found = run(session, stages)
    for picture in range(3):
        maps, logit = expected(stages, picture)
        total = float(found["bias"][picture])
        for i, one in enumerate(maps):
            np.testing.assert_allclose(found[f"map_{i}"][picture], one, atol=1e-5)
            total += float(found[f"map_{i}"][picture].sum(dtype=np.float64))
        assert found["logit"][picture] == pytest.approx(logit, abs=1e-5)
        assert total == pytest.approx(logit, abs=1e-4)
    # What is left is the logit of the picture that contributions are counted from.
    np.testing.assert_allclose(found["bias"], np.full(3, BIAS + WEIGHTS @ CENTRE), atol=1e-6)


def test_counted_from_nothing_the_bias_is_the_probes():
    graph = ContributionMap("probe_map", WEIGHTS, BIAS, STAGES)
    session = onnxruntime.InferenceSession(
        graph.model().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_array_equal(run(session, stages_of(2))["bias"], np.full(2, BIAS, np.float32))


def test_a_batch_equals_its_pictures(session):
    stages = stages_of(4)
    together = run(session, stages)
    for picture in range(4):
        alone = run(session, [stage[picture : picture + 1] for stage in stages])
        for name, values in alone.items():
            np.testing.assert_allclose(values[0], together[name][picture], atol=1e-6)


def test_weights_that_do_not_fit_the_stages_are_refused():
    with pytest.raises(ValueError, match="2 stages have 16 means and deviations, not weights of 20"):
        ContributionMap("probe_map", WEIGHTS, 0.0, STAGES[:2])
    with pytest.raises(ValueError, match="not a centre of 3"):
        ContributionMap("probe_map", WEIGHTS, 0.0, STAGES, CENTRE[:3])
