"""Piano rolls: what a step is, the loss against the same by hand, learnt better than by how often keys sound."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from support.networks import spec_of
from support.small_models import run
from support.small_tunes import band, tune
from support.tolerances import FLOAT32
from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Note, Place, Tune
from unrolled.datasets.example_source import from_files
from unrolled.inference import predictor
from unrolled.inference.open_model import open_trained
from unrolled.nn.architectures import build
from unrolled.tasks.inputs.rolls import (
    ALIKE,
    LOWEST,
    RollInput,
    heard_before,
    learn_rolls,
    roll_input,
    roll_of,
    transposed,
)
from unrolled.tasks.outputs.next_roll import NextRolls, next_rolls, surprise

ROLL = RollInput(4, 3)


def test_keys_sound_from_beginning_to_end():
    roll = roll_of(Tune((Note(0, 240, 60, 64, 0), Note(120, 360, 64, 64, 1), Note(0, 9, 38, 64, 15)), 240), 4)
    assert roll.shape == (6, 88)
    assert roll[:, 60 - LOWEST].tolist() == [1, 1, 1, 1, 0, 0] and roll[:, 64 - LOWEST].tolist() == [
        0,
        0,
        1,
        1,
        1,
        1,
    ]
    assert roll.sum() == 8
    x = ROLL.encode(roll)
    assert x.shape == (6, ROLL.n_x) and (x[0, :88] == 0).all() and (x[1:, :88] == roll[:-1]).all()
    assert x[:, 88:].tolist() == [[0, 0, 0, 1, 0, 0, 0]] * 6  # not transposed, of three up or down
    assert RollInput(4).encode(roll).shape == (6, 88)
    with pytest.raises(DataError, match="not a piano roll"):
        ROLL.encode(np.full((3, 88), 0.5))
    learnt, words = learn_rolls(
        [Example(roll, None, Place(__import__("pathlib").Path("x"), 1))], DataConfig()
    )
    assert learnt == RollInput(4, 0) and words == "1 tunes, 6 steps with 1.33 keys each"


def test_transposed_rolls_keep_every_key():
    roll = roll_of(tune("march", 1), 4)
    x, y = ROLL.encode(roll), roll
    shifts = set()
    for chance in range(60):
        new_x, new_y = transposed(ROLL, x, y, np.random.default_rng(chance))
        assert new_y.sum() == y.sum() and (new_x[1:, :88] == new_y[:-1]).all()
        shift = int(np.flatnonzero(new_y.any(0))[0] - np.flatnonzero(y.any(0))[0])
        assert (new_x[:, 88:] == np.eye(7)[3 + shift]).all()  # told at every step
        shifts.add(shift)
    assert shifts == {-3, -2, -1, 0, 1, 2, 3}
    high = ROLL.encode(np.roll(roll, 87 - int(np.flatnonzero(roll.any(0))[-1]), axis=1))
    moved = [transposed(ROLL, high, high[:, :88], np.random.default_rng(chance))[0] for chance in range(60)]
    assert {int(x[0, 88:].argmax()) - 3 for x in moved} == {-3, -2, -1, 0}  # the highest key can only go down


def test_what_followed_when_the_last_steps_were_heard_before():
    """Against the definition, step by step; and nothing of it comes from the present or later."""
    chance = np.random.default_rng(0)
    phrase = (chance.random((10, 88)) < 0.05).astype(np.float32)
    other = (chance.random((3, 88)) < 0.05).astype(np.float32)
    roll = np.concatenate([phrase, other, phrase, phrase[:4], other[:1], phrase[2:]])
    found = heard_before(roll).reshape(len(roll), len(ALIKE), 88)
    for t in range(len(roll)):
        runs = {
            end: next(n for n in range(end + 1) if n == end or (roll[end - 1 - n] != roll[t - 1 - n]).any())
            for end in range(1, t)
        }  # how many steps before `end` are those before t
        for copy, least in zip(found[t], ALIKE, strict=True):
            after = [roll[end] for end, run in runs.items() if run >= least]
            assert np.allclose(copy, np.mean(after, axis=0) if after else 0)
    assert (found[21] == phrase[8]).all()  # eight steps of the phrase were heard again
    changed = roll.copy()
    changed[20:] = 1 - changed[20:]
    assert (heard_before(changed)[:21] == heard_before(roll)[:21]).all()
    given = RollInput(4, 3, repeats=True)
    x = given.encode(roll)
    assert x.shape == (len(roll), given.n_x) and (x[:, 88 : 88 * 5] == found.reshape(len(roll), -1)).all()
    for seed in range(9):
        moved, y = transposed(given, x, roll, np.random.default_rng(seed))
        assert (moved[:, : 88 * 5] == given.encode(y)[:, : 88 * 5]).all()
    assert heard_before(roll[:0]).shape == (0, 88 * len(ALIKE))


def test_the_loss_of_bits_is_that_of_each_by_hand():
    spec = spec_of(n_x=88, n_y=88, n_a=5, ids=False, output="bits")
    network, chance = build(spec, seed=1), np.random.default_rng(0)
    x = torch.tensor(chance.integers(0, 2, (2, 7, 88)), dtype=torch.float32)
    y = torch.tensor(chance.integers(0, 2, (2, 7, 88)), dtype=torch.float64)
    y[1, 4:] = torch.nan
    nats, count, _ = network.loss(x, y)
    with torch.no_grad():
        p = torch.sigmoid(network(x)[0].double())
    each = -(y * p.log() + (1 - y) * (1 - p).log()).sum(-1)
    assert count == 11 and nats.item() == pytest.approx(float(each[~each.isnan()].sum()), rel=1e-5)
    odds = np.log(p[0].numpy() / (1 - p[0].numpy()))
    assert np.allclose(surprise(y[0].numpy(), odds), each[0].numpy(), rtol=1e-5)


def test_averages_are_told_both_ways():
    y = [np.zeros((4, 88), np.float32), np.zeros((2, 88), np.float32)]
    odds = [np.full((4, 88), -3.0), np.full((2, 88), -1.0)]
    found = NextRolls(ROLL).figures(y, odds, {})
    low, high = 88 * np.log1p(np.exp(-3.0)), 88 * np.log1p(np.exp(-1.0))
    assert found["loss"] == pytest.approx((4 * low + 2 * high) / 6)
    assert found["by_piece"] == pytest.approx((low + high) / 2)
    assert found["without_first"] == pytest.approx((3 * low + high) / 4)


def test_what_is_learnt_comes_back_and_damage_is_refused():
    assert roll_input({"grid": 4, "transpose": 3}) == ROLL  # as the first model files have it
    assert next_rolls(json.loads(json.dumps(NextRolls(ROLL).to_json()))) == NextRolls(ROLL)
    for bad in (
        {"grid": 4},
        {"grid": 4, "transpose": 0, "more": 1},
        {"grid": 0, "transpose": 0},
        {"grid": "4", "transpose": 0},
        {"grid": 4, "transpose": 0, "repeats": 1},
        {"grid": 4, "transpose": 99},
    ):
        with pytest.raises(DataError, match="damaged"):
            roll_input(bad)


def test_rolls_of_files_are_learnt(tmp_path):
    model = tmp_path / "m"
    options = ("--grid", 2, "--hidden", 32, "--epochs", 80, "--dropout", 0, "--threads", 1, "--transpose", 1)
    done = run("train", "rolls:next", band().train, "--out", model, *options)
    assert done.code == 0, done.err
    metrics = json.loads(run("evaluate", model, band().test, "--json").out)
    slow, quick = open_trained(model), open_trained(model, "torch")
    rolls = [roll_of(example.x, 2) for example in from_files([band().test], slow.config).examples()]
    p = np.concatenate(rolls).mean(axis=0)
    p = p[(p > 0) & (p < 1)]
    by_counts = -float((p * np.log(p) + (1 - p) * np.log(1 - p)).sum())
    assert metrics["loss"] < 0.8 * by_counts
    made = tune("waltz", 300)
    assert (
        np.abs(predictor.forward(slow, made) - predictor.forward(quick, made)).max()
        <= 10 * FLOAT32["forward"]
    )
    told = run("predict", model, band().test / "waltz" / "00.mid").out.split("\t")
    assert len(told) == 5 and float(told[1]) > 0
