"""The checks for kinds of other packages pass for those of this package, and each finds what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import other_cells, other_kinds
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import conll, table
from unrolled.models.cells import CELLS, every
from unrolled.models.network_spec import Classes
from unrolled.tasks.inputs import INPUTS
from unrolled.tasks.outputs import OUTPUTS
from unrolled.tasks.outputs.label import Label
from unrolled.testing import check_cell, check_input, check_output, check_reader

PLACE = Place(Path("t.csv"), 2)
TEXTS = [Example("so good", "yes", PLACE), Example("bad", "no", PLACE), Example("so so", "yes", PLACE)]
SERIES = [
    Example(np.array([[0.5, 1.0], [1.5, 2.0]]), (1.5,), PLACE),
    Example(np.array([[2.0, 1.0]]), (0.5,), PLACE),
]
TAGGED = [Example(("a", "b"), ("X", "Y"), PLACE), Example(("c",), ("Y",), PLACE)]
OTHERS = (other_cells.PEEPHOLE, other_cells.NORMALISED, other_cells.MINIMAL)


@pytest.mark.parametrize("cell", [*every(), *OTHERS], ids=lambda cell: f"{cell.name}-{cell.activation}")
def test_cells_pass(cell):
    before = dict(CELLS)
    check_cell(cell)
    assert dict(CELLS) == before


def leaky(ops, w, state, x_t):
    """A state that sees the other rows."""
    after = other_cells.minimal_step(ops, w, state, x_t)
    return tuple(array + 0.1 * array.sum(0, keepdims=True) for array in after)


def one_too_few(rng, n_x, n_a):
    return {
        name: value for name, value in other_cells.MINIMAL.initialise(rng, n_x, n_a).items() if name != "b_c"
    }


def kinked(ops, w, state, x_t):
    """Not what torch computes: NumPy alone adds something."""
    (after,) = other_cells.minimal_step(ops, w, state, x_t)
    return (after + 0.01 * isinstance(after, np.ndarray),)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"step": leaky}, "a row in a batch gives another result"),
        ({"initialise": one_too_few}, "`initialise` and `shapes` differ"),
        ({"step": kinked}, "values differ"),
    ],
)
def test_what_is_wrong_with_a_cell_is_found(changed: dict[str, Any], told: str):
    with pytest.raises(AssertionError, match=told):
        check_cell(replace(other_cells.MINIMAL, **changed))


def test_readers_pass_and_wrong_ones_are_found(tmp_path: Path):
    (tmp_path / "t.csv").write_text("text,label\nso good,yes\nbad,no\n")
    assert len(check_reader(table.read, [tmp_path / "t.csv"], ReadRequest(target="label"))) == 2
    (tmp_path / "t.conll").write_text("a X\nb Y\n\nc Y\n")
    assert len(check_reader(conll.read, [tmp_path / "t.conll"], ReadRequest(target="tags"))) == 2
    (tmp_path / "t.pipe").write_text("so good|yes\nbad|no\n")
    (tmp_path / "bad.pipe").write_text("so good|yes\nwrong\nbad|no\n")
    files = [tmp_path / "t.pipe"], ReadRequest(target="label"), tmp_path / "bad.pipe"
    assert len(check_reader(other_kinds.read, *files)) == 2
    (tmp_path / "bad.csv").write_text("text,label\nso good,yes\nwrong\nbad,no\n")
    files = [tmp_path / "t.csv"], ReadRequest(target="label"), tmp_path / "bad.csv"
    assert len(check_reader(table.read, *files)) == 2
    calls: list[int] = []

    def fickle(paths, wanted):
        calls.append(1)
        yield Example("x" * len(calls), "y", PLACE)

    def strict(paths, wanted):
        return other_kinds.read(paths, ReadRequest(target="label"))

    with pytest.raises(DataError, match="no class"):  # it does not skip
        check_reader(strict, [tmp_path / "t.pipe"], ReadRequest(target="label"), tmp_path / "bad.pipe")
    with pytest.raises(AssertionError, match="a second call returns other examples"):
        check_reader(fickle, [tmp_path / "t.csv"], ReadRequest(target="label"))


@pytest.mark.parametrize(("name", "examples"), [("tokens", TEXTS), ("numbers", SERIES), ("lengths", TEXTS)])
def test_inputs_pass(name: str, examples: list[Example]):
    kind = other_kinds.LENGTHS if name == "lengths" else INPUTS[name]
    check_input(kind, examples)


def test_what_is_wrong_with_an_input_is_found():
    class Short(other_kinds.Lengths):
        def encode(self, x, place=None):
            return super().encode(x, place)[:-1]

    def learn(examples, config):
        return Short(9), "words"

    with pytest.raises(AssertionError, match="the encoded x differs after `to_json`"):
        check_input(replace(other_kinds.LENGTHS, learn=learn), TEXTS)
    with pytest.raises(AssertionError, match="`steps` and `encode` differ in length"):
        check_input(replace(other_kinds.LENGTHS, learn=learn, restore=lambda value: Short(9)), TEXTS)

    def lenient(value):
        return other_kinds.Lengths(value.get("longest", 1))

    with pytest.raises(AssertionError, match="`restore` accepts"):
        check_input(replace(other_kinds.LENGTHS, restore=lenient), TEXTS)


@pytest.mark.parametrize(
    ("name", "examples"),
    [("label", TEXTS), ("number", SERIES), ("tags", TAGGED), ("sequence", TEXTS), ("loud", TEXTS)],
)
def test_outputs_pass(name: str, examples: list[Example]):
    check_output(other_kinds.LOUD if name == "loud" else OUTPUTS[name], examples)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"describe": lambda self: "two\nlines"}, "`describe` is not one line"),
        ({"head": lambda self, config: Classes(7, pooling="last")}, "`head` has 7 outputs and `n_y` is 2"),
        ({"encode": lambda self, y, steps, place=None: np.array(9)}, "a class above 1"),
        ({"calibrate": lambda self, y, answers, weights: None}, "`calibrate` returns a NoneType"),
        ({"blank": lambda self: None}, "`blank` does not return an Answer"),
        ({"figures": lambda self, y, answers, weights: {"accuracy": np.ones(2)}}, "not plain JSON"),
        ({"figures": lambda self, y, answers, weights: {"mae": 1.0}}, "`figures` has no 'accuracy'"),
    ],
)
def test_what_is_wrong_with_an_output_is_found(changed: dict[str, Any], told: str):
    broken = type("Broken", (Label,), changed)
    kind = replace(
        OUTPUTS["label"],
        learn=lambda examples, data, model: broken(OUTPUTS["label"].learn(examples, data, model).classes),
        restore=lambda value: broken(OUTPUTS["label"].restore(value).classes),
        scored=("accuracy", True),
    )
    with pytest.raises(AssertionError, match=told):
        check_output(kind, TEXTS)
