"""The cache of language models: its settings, its context, and that all ways to a score agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.small_models import refused, run, small
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.estimators import LanguageModel, load
from unrolled.inference import adaptation
from unrolled.inference.adaptation import CacheRequest, tally_windows
from unrolled.inference.open_model import open_language_model
from unrolled.inference.scoring import score, tally
from unrolled.models.engines.continuous_cache import CacheOptions
from unrolled.training import dynamic_evaluation

RELATIVE = 1e-5  # sums of float32 log-probabilities, taken in another order
TEXT = "the zebra ran to a zebra .\nthe quagga sat with the zebra and the quagga .\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(TEXT * 4)
    return file


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("unit", ["word", "char"])
def test_windows_batches_and_evaluate_agree(unit: str, engine: str, text: Path, tmp_path: Path):
    path = getattr(small(), unit)
    model, options = open_language_model(path, engine), CacheOptions(40, 10.0, 0.2)
    store = adaptation.encoded(model, tmp_path / "store", [text])
    cached = adaptation.with_cache(model, options)
    one = tally_windows(adaptation.windows(model, store), options)
    for rows, window in ((1, 7), (4, 128)):
        other = tally(cached.engine, evaluation_batches(store, rows, window, len(store)))
        assert other.nats == pytest.approx(one.nats, rel=RELATIVE)
        assert (other.tokens, other.right, other.unknown) == (one.tokens, one.right, one.unknown)
    ask = ("evaluate", path, text, "--json", "--engine", engine)
    flags = ("--cache", 40, "--cache-theta", 10, "--cache-weight", 0.2)
    metrics = json.loads(run(*ask, *flags).out)
    assert metrics["loss"] * metrics["tokens"] == pytest.approx(one.nats, rel=RELATIVE)
    static = tally_windows(adaptation.windows(model, store), None)
    assert json.loads(run(*ask).out)["loss"] * static.tokens == pytest.approx(static.nats, rel=RELATIVE)


def test_tuning_finds_the_best_pair_of_the_grid(text: Path, tmp_path: Path):
    model = open_language_model(small().char)
    store = adaptation.encoded(model, tmp_path / "store", [text])
    found = list(adaptation.windows(model, store))
    losses = {
        (theta, weight): tally_windows(found, CacheOptions(60, theta, weight)).nats
        for theta in adaptation.THETAS
        for weight in adaptation.WEIGHTS
    }
    chosen = adaptation.tune(CacheRequest(60), found)
    assert losses[chosen.theta, chosen.weight] == pytest.approx(min(losses.values()), rel=1e-6)
    assert adaptation.tune(CacheRequest(60, theta=7.0, weight=0.11), found) == CacheOptions(60, 7.0, 0.11)
    assert adaptation.tune(CacheRequest(60, weight=0.11), found).weight == 0.11


def test_score_knows_the_context_and_scores_every_line_alone(text: Path, tmp_path: Path):
    lines = "the zebra and the quagga .\nthe cat sat .\n"
    lists = "a\tthe cat sat .\nb\ta zebra ran\na\tthe quagga sat .\n"
    ask = ("score", small().char, "--format", "jsonl")
    with_cache = (*ask, "--cache", 200, "--context", text)
    plain, cached, reverse = (
        [json.loads(line)["log_probability"] for line in run(*words, stdin=given.encode()).lines]
        for words, given in (
            (ask, lines),
            (with_cache, lines),
            (with_cache, "".join(reversed(lines.splitlines(True)))),
        )
    )
    assert cached == reverse[::-1] and cached[0] > plain[0] + 1
    opened = load(small().char)
    assert isinstance(opened, LanguageModel)
    model = opened.with_cache(200, context=TEXT * 4)
    scored = model.score_samples(lines.splitlines())
    assert [one.log_probability for one in scored] == pytest.approx(cached, rel=RELATIVE)
    ranked = run(*with_cache, "--nbest", stdin=lists.encode())
    texts = [json.loads(line)["text"] for line in ranked.lines]
    own = {one.split("\t")[1] for one in lists.splitlines()}
    rates = {one: model.score_samples([one])[0].log_probability for one in own}
    assert set(texts) == own and texts[2] == "a zebra ran" and rates[texts[0]] > rates[texts[1]]
    tuned = run(*with_cache, "--tune", text, stdin=lines.encode())
    assert "note: chosen on the text of --tune: --cache-theta " in tuned.err
    better = [json.loads(line)["log_probability"] for line in tuned.lines]
    assert better[0] > cached[0]


def test_a_cache_without_context_starts_empty_at_each_text():
    model = open_language_model(small().word)
    cached = adaptation.with_cache(model, CacheOptions(50, 5.0, 0.2))
    one, other = (score(m.engine, model.reading, "the cat sat and the cat ran .") for m in (model, cached))
    np.testing.assert_allclose(one.log_probabilities[:1], other.log_probabilities[:1], rtol=1e-6)
    assert np.abs(one.log_probabilities[1:] - other.log_probabilities[1:]).max() > 0.05
    again = score(cached.engine, model.reading, "the cat sat and the cat ran .")
    np.testing.assert_array_equal(again.log_probabilities, other.log_probabilities)


def test_evaluate_tunes_and_tells_what_it_chose(text: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dynamic_evaluation, "OWN_TOKENS", 400)  # steps are slow in tests: types are checked
    monkeypatch.setattr(dynamic_evaluation, "OWN_LENGTH", 30)
    ask = ("evaluate", small().char, text, "--json")
    metrics: dict[str, dict[str, float]] = {}
    for name, flags in {
        "static": (),
        "cache": ("--cache", 200),
        "dynamic": ("--dynamic",),
        "both": ("--dynamic-decay", 0, "--cache", 200, "--tune", text),
    }.items():
        done = run(*ask, *flags)
        metrics[name] = json.loads(done.out)
        assert ("--dynamic-lr " in done.err and "--cache-weight " in done.err) == (name == "both")
    for name in ("cache", "dynamic", "both"):
        assert metrics[name].keys() == metrics["static"].keys()
        assert metrics[name]["loss"] < metrics["static"]["loss"]
        assert metrics[name]["tokens"] == metrics["static"]["tokens"]
    assert metrics["both"]["loss"] < min(metrics["cache"]["loss"], metrics["dynamic"]["loss"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("evaluate", "m", "x", "--tune", "y"), "--tune without --dynamic or --cache; try --cache 2000"),
        (("evaluate", "m", "x", "--cache-theta", "3"), "--cache-theta 3.0 without a cache; try --cache 2000"),
        (("evaluate", "m", "x", "--cache", "0"), "--cache 0; expected 1 to 100,000 tokens"),
        (
            ("evaluate", "m", "x", "--dynamic-decay", "-1"),
            "--dynamic-decay -1.0; expected a finite number from 0",
        ),
    ],
)
def test_refused_before_the_model_is_opened(options: tuple[str, ...], said: str):
    assert refused(run(*options)) == said


def test_score_refuses_a_context_without_a_cache(text: Path):
    told = refused(run("score", small().char, "--context", text, stdin=b"the cat\n"))
    assert told == "--context and --tune are for a cache; try --cache 2000"
