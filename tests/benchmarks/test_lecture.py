"""benchmarks/lecture.py: every figure at a tiny size, and small cases that are computed by hand."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch

import lecture
from lecture_gradients import reach
from lecture_networks import WORDS, Recurrent, neighbours, verbs
from lecture_plots import Axis, lines
from lecture_texts import distance


@pytest.mark.parametrize("figure", lecture.FIGURES)
def test_a_figure_at_a_tiny_size(figure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    threads = torch.get_num_threads()
    try:
        assert lecture.main(lecture.options_of([figure, "--tiny", "--folder", str(tmp_path)])) == 0
    finally:
        torch.set_num_threads(threads)
    assert '"figure": "' + figure in capsys.readouterr().out
    pictures = sorted(tmp_path.glob("*.svg"))
    assert pictures
    for picture in pictures:
        root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
        assert root[0].get("fill") == "#ffffff"  # readable on dark pages too
        assert "nan" not in picture.read_text(encoding="utf-8")


def test_the_made_sequences_have_the_right_answers():
    x, y, lengths = neighbours(50, 1, 6, 8, seed=0)
    for row, length in enumerate(lengths.tolist()):
        halves = [0, *(int(word >= WORDS // 2) for word in x[row, :length])]
        assert y[row, :length].tolist() == [int(a == b) for a, b in itertools.pairwise(halves)]
        assert (x[row, length:] == WORDS).all() and (y[row, length:] == -1).all()
    for spelled in (False, True):
        x, y, lengths = verbs(20, (3, 3), torch.Generator().manual_seed(0), spelled)
        assert ((y >= 0).sum(1) == 1).all()
        assert all(y[row, length - 1] >= 0 for row, length in enumerate(lengths.tolist()))


def test_the_gradient_of_an_rnn_is_the_product_of_its_matrices():
    """With x = 0, b = 0 and a^<0> = 0 every a^<t> is 0, tanh' is 1, and d a^<T> / d a^<T-k> is W_aa^k."""
    torch.manual_seed(0)
    network = Recurrent("rnn", n_a=4)
    torch.nn.init.zeros_(network.embedding.weight)
    W_aa = network.layer.state_dict()["layers.0.forward_cell.W_a"][:, :4].clone()
    sizes = reach(network, torch.zeros(2, 5, dtype=torch.int64))["a"]
    expected = [float(torch.linalg.matrix_norm(torch.linalg.matrix_power(W_aa, k))) / 2 for k in range(6)]
    assert sizes == pytest.approx(expected, rel=1e-5)


def test_distance_and_axis():
    assert distance({"a": 1.0}, {"b": 1.0}) == 1
    assert distance({"a": 0.5, "b": 0.5}, {"a": 1.0}) == 0.5
    axis = Axis("size", (0.01, 1.0), log=True)
    assert [axis.place(value, 0, 100) for value in (1e-9, 0.01, 0.1, 1.0, 5.0)] == pytest.approx(
        [0, 0, 50, 100, 100]
    )
    assert "<script" not in lines({"<script": [(0.1, 0.1)]}, axis, axis)
