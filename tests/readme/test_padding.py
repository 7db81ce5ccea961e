"""A sequence has the same answer alone and in any batch. README.md says:

* "Padding never changes a prediction."
* "The outputs for a sequence differ by at most 1e-6 between a run alone and a run in any padded batch, also in
  bidirectional and deep models. With the NumPy engine they are bit-identical."
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from support.paths import GOLDEN
from support.small_models import run
from unrolled import nn

LENGTHS = (9, 1, 4, 7)
LINES = {
    "classify": ["a fine film", "bad", "a fine and bad film of a film", "film"],
    "tag": ["Ada went to Oslo", "Ada", "went to Oslo and Ada", "Oslo"],
    "translate": ["a b c", "d a", "d", "c c b a d a b"],
}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRUSimple, nn.GRU, nn.LSTM])
def test_layers_answer_a_sequence_alone_and_in_a_batch_alike(
    kind: type[nn.LSTM], layers: int, bidirectional: bool
):
    torch.manual_seed(0)
    layer = kind(n_x=5, n_a=6, num_layers=layers, bidirectional=bidirectional)
    x = torch.randn(len(LENGTHS), max(LENGTHS), 5)
    y, _ = layer(x, lengths=torch.tensor(LENGTHS))
    x[0, LENGTHS[1] :] = 1e3  # a row of full length is not padded: it changes
    for row, length in enumerate(LENGTHS[1:], 1):
        alone, _ = layer(x[row : row + 1, :length])
        assert (y[row, :length] - alone[0]).abs().max() <= 1e-6
        assert not y[row, length:].any()


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRUSimple, nn.GRU, nn.LSTM])
def test_what_stands_in_the_padding_changes_no_bit(kind: type[nn.LSTM]):
    torch.manual_seed(0)
    layer, lengths = kind(n_x=5, n_a=6, num_layers=2, bidirectional=True), torch.tensor(LENGTHS)
    x = torch.randn(len(LENGTHS), max(LENGTHS), 5)
    y, _ = layer(x, lengths=lengths)
    for row, length in enumerate(LENGTHS):
        x[row, length:] = 1e3
    assert torch.equal(layer(x, lengths=lengths)[0], y)


@pytest.mark.parametrize("task", LINES)
def test_the_numpy_engine_gives_the_same_bits_in_any_company(task: str, tmp_path: Path):
    model = GOLDEN / f"format1-{task}.model"
    alone = [answers(model, [line], tmp_path, "numpy") for line in LINES[task]]
    together = answers(model, LINES[task], tmp_path, "numpy")
    backward = answers(model, LINES[task][::-1], tmp_path, "numpy")
    assert together == [one for (one,) in alone] == backward[::-1]


@pytest.mark.parametrize("task", LINES)
def test_the_torch_engine_agrees_to_a_millionth_in_any_company(task: str, tmp_path: Path):
    model = GOLDEN / f"format1-{task}.model"
    together = answers(model, LINES[task], tmp_path, "torch")
    for line, found in zip(LINES[task], together, strict=True):
        (alone,) = answers(model, [line], tmp_path, "torch")
        one, other = json.loads(alone), json.loads(found)
        assert [part for part in flat(one) if isinstance(part, str)] == [
            part for part in flat(other) if isinstance(part, str)
        ]
        numbers = [[part for part in flat(record) if isinstance(part, float)] for record in (one, other)]
        np.testing.assert_allclose(*numbers, rtol=1e-6, atol=1e-6)


def answers(model: Path, lines: list[str], folder: Path, engine: str) -> list[str]:
    """The records of `predict` to the lines of a file, as they are written."""
    path = folder / "lines.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    done = run("predict", model, path, "--format", "jsonl", "--engine", engine)
    assert done.code == 0, done.err
    return done.lines


def flat(value: object) -> list[object]:
    """The texts and numbers in a JSON value."""
    match value:
        case dict():
            return [part for key in sorted(value) for part in flat(value[key])]
        case list():
            return [part for one in value for part in flat(one)]
        case _:
            return [value]
