"""Criteria on filters, and the order in which units go."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.errors import BadOption
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.groups import find_groups, readers_of, weights_of
from edgec.passes.layerwise.moments import layer_moments
from edgec.passes.prepare import prepare
from edgec.passes.prune import criteria
from edgec.passes.prune.optimal_brain_surgeon import DAMPING, OptimalBrainSurgeon
from edgec.passes.prune.rank import choose, rank
from edgec.pruning import PruneOptions
from tests.support.architectures import ARCHITECTURES
from tests.support.models import model, random_weights

FILTERS = np.array([[0, 3, -4], [1, 1, 1], [0, 0, 0.5]], np.float32)


def test_norms() -> None:
    assert criteria.l0(FILTERS).tolist() == [2, 3, 1]
    assert criteria.l1(FILTERS).tolist() == [7, 3, 0.5]
    np.testing.assert_allclose(criteria.l2(FILTERS), [5, 3**0.5, 0.5])


def test_fpgm_is_the_sum_of_distances_to_the_others() -> None:
    wide = FILTERS.astype(np.float64)
    expected = [sum(np.linalg.norm(a - b) for b in wide) for a in wide]
    np.testing.assert_allclose(criteria.fpgm(FILTERS), expected)


def test_fpgm_prefers_what_others_can_stand_in_for() -> None:
    twins = np.array([[5, 5], [5, 5.1], [0, 0.1], [-5, 5]], np.float32)
    assert criteria.l1(twins).argmin() == 2
    assert criteria.fpgm(twins).argmin() in (0, 1, 2)
    assert criteria.fpgm(twins).argmax() == 3


def chain(seed: int = 0) -> tuple:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v, b)  y = Conv (a, w, c) }"""
    shapes = {"v": (6, 3, 1, 1), "b": (6,), "w": (5, 6, 1, 1), "c": (5,)}
    built = model(text, random_weights(seed, **shapes), opset=18)
    channels = find_groups(built)
    rng = np.random.default_rng(seed)
    feeds = [{"x": rng.standard_normal((1, 3, 8, 8), dtype=np.float32)} for _ in range(8)]
    return built, channels.groups[0], layer_moments(built, readers_of(channels.groups), feeds)


def damped_rows(x: np.ndarray) -> np.ndarray:
    """Append the rows whose second moments are the surgeon's damping."""
    width = x.shape[1]
    return np.concatenate([x, np.sqrt(DAMPING * np.square(x).sum() / width) * np.eye(width)])


def test_surgeon_costs_are_what_a_refit_leaves() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 5)), rng.standard_normal((3, 5))
    costs = OptimalBrainSurgeon(w, x.T @ x / 400, np.arange(5)[:, None]).costs()
    rows = damped_rows(x)
    for unit in range(5):
        _, left, *_ = np.linalg.lstsq(np.delete(rows, unit, axis=1), rows @ w.T, rcond=None)
        assert costs[unit] == pytest.approx(left.sum() / np.square(x @ w.T).sum(), rel=1e-9)


def test_surgeon_goes_on_from_what_is_left() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)), rng.standard_normal((2, 6))
    surgeon = OptimalBrainSurgeon(w, x.T @ x / 300, np.arange(6).reshape(3, 2))
    first = surgeon.costs()[2]
    surgeon.remove(2)
    rows = damped_rows(x)
    _, left, *_ = np.linalg.lstsq(np.delete(rows, [0, 1, 4, 5], axis=1), rows @ w.T, rcond=None)
    assert first + surgeon.costs()[0] == pytest.approx(left.sum() / np.square(x @ w.T).sum(), rel=1e-9)


def test_obs_removes_for_free_what_others_span() -> None:
    # Six channels made linearly of three inputs: three of them can go, and nothing is lost.
    built, group, moments = chain()
    ranking = rank(built, group, "obs", moments)
    assert sum(ranking.scores[:3]) < 1e-3 < ranking.scores[3]
    assert sum(rank(built, group, "reconstruction", moments).scores[:3]) > 1e-2


@pytest.mark.parametrize("criterion", ["l0", "l1", "l2", "fpgm", "reconstruction", "obs"])
def test_every_criterion_orders_all_units(criterion: str) -> None:
    built, group, moments = chain()
    assert sorted(rank(built, group, criterion, moments).order) == list(range(6))


@pytest.mark.parametrize("criterion", ["l0", "l1", "l2", "fpgm"])
@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet_v2"])
def test_filters_alone_decide_as_published(name: str, criterion: str) -> None:
    # Depthwise layers behind a layer have no vote, whatever their weights are.
    built = prepare(fix_shapes(load(ARCHITECTURES[name]()).model, {}))
    alone = [group for group in find_groups(built).groups if len(group.makers) == 1]
    assert any(member.op == "Conv" and member.role == "follows" for group in alone for member in group.members)
    for group in alone:
        (maker,) = group.makers
        filters = np.moveaxis(weights_of(built, maker), maker.axis, 0)
        scores = getattr(criteria, criterion)(filters.reshape(len(filters), -1))
        own = [scores[maker.units == unit].sum() for unit in range(group.units)]
        assert list(rank(built, group, criterion).order) == np.argsort(own, kind="stable").tolist()


def test_a_criterion_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    built, group, _ = chain()
    monkeypatch.setattr(criteria, "spread", lambda filters: np.ptp(filters, axis=1), raising=False)
    weights = built.graph.initializers["v"].const_value.numpy()
    ranking = rank(built, group, "edgec.passes.prune.criteria:spread")
    assert list(ranking.order) == np.argsort(np.ptp(weights.reshape(6, -1), axis=1)).tolist()


def test_a_criterion_that_gives_no_scores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    built, group, _ = chain()
    monkeypatch.setattr(criteria, "broken", lambda filters: filters, raising=False)
    with pytest.raises(BadOption, match=r"gave \(6, 3\) for 6 filters of a"):
        rank(built, group, "edgec.passes.prune.criteria:broken")


def test_refusals() -> None:
    built, group, _ = chain()
    with pytest.raises(BadOption, match="needs data"):
        rank(built, group, "obs")
    with pytest.raises(BadOption, match="unknown criterion"):
        rank(built, group, "l3")


def test_widths_stay_multiples() -> None:
    built, group, moments = chain()
    ranking = rank(built, group, "obs", moments)
    assert [len(choose(group, ranking, ratio)) for ratio in (0.1, 0.5, 0.99)] == [0, 3, 5]
    assert [len(choose(group, ranking, ratio, multiple=4)) for ratio in (0.1, 0.5, 0.99)] == [0, 2, 2]
    assert choose(group, ranking, 0.9, multiple=8) == []


def test_a_former_name_of_a_criterion_is_still_taken() -> None:
    built, group, moments = chain()
    assert PruneOptions(criterion="taylor").criterion == "reconstruction"
    assert rank(built, group, "taylor", moments) == rank(built, group, "reconstruction", moments)
