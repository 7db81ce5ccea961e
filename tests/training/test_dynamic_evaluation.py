"""Dynamic evaluation: it learns from what it has scored, never looks ahead, and returns to the trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from pathlib import Path

import numpy as np
import pytest

from support.small_models import small
from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.datasets.token_store import Store
from unrolled.inference import adaptation
from unrolled.inference.adaptation import CacheRequest, tally_windows
from unrolled.inference.open_model import Model, open_language_model
from unrolled.models.engines.continuous_cache import CacheOptions
from unrolled.training import dynamic_evaluation as dynamic
from unrolled.training.dynamic_evaluation import DynamicOptions
from unrolled.training.loop import Weights

FAST = DynamicOptions(0.002, 0.0)


@pytest.fixture(scope="module", autouse=True)
def short_statistics() -> Iterator[None]:
    """Let the model write few tokens: type checks at every call make a step slow in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic, "OWN_TOKENS", 400)
        patch.setattr(dynamic, "OWN_LENGTH", 30)
        yield


@pytest.fixture(scope="module")
def char() -> Model:
    return open_language_model(small().char)


@pytest.fixture(scope="module")
def rms(char: Model) -> Weights:
    return dynamic.statistics(char)


def stored(model: Model, folder: Path, text: str) -> Store:
    folder.mkdir()
    file = folder / "text.txt"
    file.write_text(text)
    return adaptation.encoded(model, folder / "store", [file])


def test_statistics_are_the_same_every_time_and_positive(char: Model, rms: Weights):
    again = dynamic.statistics(open_language_model(small().char))
    assert set(rms) == set(char.file.tensors)
    for name, part in rms.items():
        assert part.equal(again[name]) and bool((part >= 0).all()) and float(part.max()) > 0


def test_it_learns_and_never_looks_ahead(char: Model, rms: Weights, tmp_path: Path):
    text, found = "the zebra quit the maze . " * 14, []
    for last in "qz":
        store = stored(char, tmp_path / last, text + last)
        parts = list(dynamic.windows(char, store, FAST, rms))
        assert sum(len(part.y) for part in parts) == len(text) + 2
        found.append(parts)
    for one, other in zip(*(parts[:-1] for parts in found), strict=True):
        np.testing.assert_array_equal(one.log_probs, other.log_probs)
    probabilities = np.exp(np.concatenate([part.log_probs for part in found[0]]).astype(np.float64))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    static = tally_windows(adaptation.windows(char, store), None)
    adapted = tally_windows(dynamic.windows(char, store, FAST, rms), None)
    both = tally_windows(dynamic.windows(char, store, FAST, rms), CacheOptions(500, 20.0, 0.2))
    assert both.nats < adapted.nats < 0.95 * static.nats
    assert static.tokens == adapted.tokens == both.tokens


def test_the_first_window_is_static_and_a_strong_decay_keeps_the_weights(
    char: Model, rms: Weights, tmp_path: Path
):
    store = stored(char, tmp_path / "text", "the zebra quit the maze . " * 4)
    static = np.concatenate([part.log_probs for part in adaptation.windows(char, store)])
    free, held = (
        np.concatenate(
            [part.log_probs for part in dynamic.windows(char, store, DynamicOptions(0.002, decay), rms)]
        )
        for decay in (0.0, 1e30)
    )
    np.testing.assert_allclose(free[: dynamic.WINDOW], static[: dynamic.WINDOW], atol=1e-5)
    np.testing.assert_allclose(held, static, atol=1e-5)  # each step ends at the trained weights
    assert np.abs(free - static).max() > 0.1


def test_a_rate_that_is_too_large_is_an_error_that_names_a_smaller_one(
    char: Model, rms: Weights, tmp_path: Path
):
    store = stored(char, tmp_path / "text", "the zebra quit the maze . " * 4)
    with pytest.raises(NonFiniteError, match=r"has diverged; try --dynamic-lr 1e\+37"):
        list(dynamic.windows(char, store, DynamicOptions(1e38), rms))


def test_tuning_walks_to_the_best_rate_then_takes_the_best_decay():
    tried: list[DynamicOptions] = []

    def loss(options: DynamicOptions) -> float:
        tried.append(options)
        return inf if options.lr > 0.003 else abs(options.lr - 0.002) + abs(options.decay - 1e-3)

    assert dynamic.tune(loss) == DynamicOptions(0.002, 1e-3)
    assert max(options.lr for options in tried) == 0.004
    assert dynamic.tune(lambda options: options.lr) == DynamicOptions(dynamic.LR / 32, dynamic.DECAY)
    tried.clear()
    assert dynamic.tune(loss, 0.001, 0.5) == DynamicOptions(0.001, 0.5) and len(tried) == 1
    assert dynamic.tune(loss, lr=0.001) == DynamicOptions(0.001, 1e-3)
    assert {options.lr for options in tried} == {0.001}


@pytest.mark.parametrize("options", [(0.0, 0.0), (inf, 0.0), (0.1, -1.0)])
def test_values_out_of_range(options: tuple[float, float]):
    with pytest.raises(UsageError, match="--dynamic"):
        DynamicOptions(*options)


def test_the_cache_is_tuned_on_what_the_adapted_network_predicts(char: Model, rms: Weights, tmp_path: Path):
    store = stored(char, tmp_path / "text", "the zebra quit the maze . " * 8)
    parts = list(dynamic.windows(char, store, FAST, rms))
    chosen = adaptation.tune(CacheRequest(100), parts)
    best = tally_windows(parts, chosen).nats
    for theta, weight in ((0.0, chosen.weight), (chosen.theta, 0.02), (30.0, 0.4), (10.0, 0.1)):
        assert best <= tally_windows(parts, CacheOptions(100, theta, weight)).nats + 1e-4
