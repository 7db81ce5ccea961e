"""Checks for your own cells, readers, inputs and outputs.

A failed check raises AssertionError with the reason.
Example of a test:

from unrolled.testing import check_cell

def test_my_cell():
    check_cell(MY_CELL)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unrolled.analysis import doctor
from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Answer, Array, Example, Floats, Place
from unrolled.core.values.example_values import length
from unrolled.core.values.json_values import as_object
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import ExampleReader
from unrolled.models.cells import CELLS, NUMPY, Cell, step_with_zoneout
from unrolled.models.network_spec import Classes, Crf, Features
from unrolled.tasks.inputs import Input, InputKind
from unrolled.tasks.outputs import Output, OutputKind

SIZES = ((1, 1), (3, 5), (5, 3))  # pairs of n_x and n_a


def check_cell(cell: Cell) -> None:
    """Check a cell in float64 against its own equation.

    The checks:
    - the shapes and the initial values,
    - ids give the same result as their one-hot vectors,
    - the rows of a batch are independent,
    - on NumPy and torch: values, gradients, padding, and single steps, which must equal whole sequences.
    """
    rng = np.random.default_rng(0)
    for n_x, n_a in SIZES:
        w, shapes = cell.initialise(rng, n_x, n_a), cell.shapes(n_x, n_a)
        _expect(
            {name: value.shape for name, value in w.items()} == shapes,
            "`initialise` and `shapes` differ",
        )
        _expect(
            all(np.isfinite(value).all() for value in w.values()),
            "`initialise` returns numbers that are not finite",
        )
        _expect((cell.units(w), cell.inputs(w)) == (n_a, n_x), "`units` and `inputs` are not n_a and n_x")
        state = tuple(rng.standard_normal((4, n_a)) for _ in cell.state)
        ids = rng.integers(-1, n_x, 4)
        vectors = np.where((ids >= 0)[:, None], np.eye(n_x)[ids], 0.0)
        after = step_with_zoneout(cell, NUMPY, w, state, ids)
        _expect(all(array.shape == (4, n_a) for array in after), "`step` returns a state of a wrong shape")
        _expect(
            _close(after, step_with_zoneout(cell, NUMPY, w, state, vectors)),
            "ids and their one-hot vectors give different results",
        )
        alone = step_with_zoneout(cell, NUMPY, w, tuple(array[1:2] for array in state), ids[1:2])
        _expect(
            _close(tuple(array[1:2] for array in after), alone),
            "a row in a batch gives another result than the row alone",
        )
    known = CELLS.get(cell.name)
    CELLS[cell.name] = cell
    try:
        for row in doctor.check(cell):
            differs = (
                f"{row.where}: values differ by {row.forward:.1e}, gradients by {row.gradient or 0.0:.1e}"
            )
            _expect(row.passed, f"{differs}; at most {row.tolerance:.0e}")
    finally:
        CELLS.pop(cell.name)
        CELLS.update({} if known is None else {cell.name: known})


def check_reader(
    read: ExampleReader, paths: Sequence[Path], wanted: ReadRequest, bad: Path | None = None
) -> list[Example]:
    """Check a reader of labelled sequences on valid files of its format. Returns the examples.

    The checks:
    - each call returns the same examples,
    - the place of an example has a 1-based line,
    - prediction does not require y.

    bad: a file with one invalid record among valid records. The error must name the file and the line, and
    `skip_bad` and `keep_bad` must work as in `ReadRequest`.
    """
    found = list(read(paths, wanted))
    _expect(bool(found), "no examples")
    again = list(read(paths, wanted))
    _expect(
        [repr(one) for one in again] == [repr(one) for one in found],
        "a second call returns other examples",
    )
    for one in found:
        _expect(one.place.line >= 1, f"{one.place}: line numbers must start at 1")
        _expect(one.fault is None, f"{one.place}: {one.fault}")
        _expect(wanted.target is None or one.y is not None, f"{one.place}: no y")
    asked = [one.x for one in read(paths, ReadRequest(kind=wanted.kind, asked=False))]
    _expect(repr(asked) == repr([one.x for one in found]), "in prediction x is different")
    if bad is not None:
        _check_bad(read, bad, wanted)
    return found


def _check_bad(read: ExampleReader, path: Path, wanted: ReadRequest) -> None:
    """Check a reader on a file with one invalid record: it is rejected, skipped, or kept with its fault."""
    try:
        list(read([path], wanted))
    except DataError as error:
        _expect(error.file == path and error.line is not None, f"{error}: no file and line")
    else:
        _expect(False, f"{path}: the invalid record is not rejected")
    told: list[tuple[Place, str]] = []

    def skipped(place: Place, why: str) -> None:
        told.append((place, why))

    good = list(read([path], replace(wanted, skip_bad=1, skipped=skipped)))
    _expect(bool(good), "with `skip_bad` no valid record is left")
    _expect(len(told) == 1, f"with `skip_bad` {len(told)} records are reported; expected one")
    _expect(str(path) not in told[0][1], "the reason for a skipped record repeats the name of the file")
    kept = list(read([path], replace(wanted, keep_bad=True, asked=False)))
    faults = [one for one in kept if one.fault is not None]
    _expect(len(faults) <= 1, f"with `keep_bad` {len(faults)} examples have a fault; expected one")
    _expect(len(kept) == len(good) + 1, "with `keep_bad` the invalid record has no example")


def check_input(kind: InputKind, examples: Sequence[Example], config: DataConfig | None = None) -> Input:
    """Check an input kind on examples: shapes and types of encoded x, and the JSON form.

    Returns the fitted input.
    """
    given, about = kind.learn(iter(examples), config or DataConfig())
    _expect(bool(about) and "\n" not in about, "`learn` does not return a description of one line")
    again = kind.restore(as_object(_through_json(given.to_json())))
    for one in examples:
        x = given.encode(one.x, one.place)
        _expect(
            np.array_equal(x, again.encode(one.x, one.place)),
            f"{one.place}: the encoded x differs after `to_json` and `restore`",
        )
        if given.ids:
            _expect(
                np.issubdtype(x.dtype, np.integer) and x.ndim == 1 + given.multi_hot,
                f"{one.place}: not ids [T_x]",
            )
            _expect(
                bool((x < given.n_x).all() and (x >= -1).all()),
                f"{one.place}: ids outside -1 to {given.n_x - 1}",
            )
        else:
            _expect(
                x.ndim == 2 and x.shape[1] == given.n_x,
                f"{one.place}: {list(x.shape)}, expected [T_x, {given.n_x}]",
            )
            _expect(bool(np.isfinite(x).all()), f"{one.place}: numbers that are not finite")
        _expect(length(given.steps(one.x)) == len(x), f"{one.place}: `steps` and `encode` differ in length")
    _refuses_damage(kind.restore, given.to_json())
    return given


def check_output(
    kind: OutputKind,
    examples: Sequence[Example],
    config: DataConfig | None = None,
    model: ModelConfig | None = None,
    steps: Callable[[Example], int] = lambda one: len(one.y) if isinstance(one.y, tuple) else 1,
) -> Output:
    """Check an output kind on examples: encoded y, answers, metrics, and the JSON form.

    Returns the fitted output.
    steps: returns the number of steps of the x of an example.
    The answers of outputs with a decoder are not checked.
    """
    data, model = config or DataConfig(), model or ModelConfig()
    asked = kind.learn(iter(examples), data, model)
    again = kind.restore(as_object(_through_json(asked.to_json())))
    _expect(bool(asked.describe()) and "\n" not in asked.describe(), "`describe` is not one line")
    head = asked.head(Config("", data, model))
    n_y = None if isinstance(head, Features) else head.n_y
    _expect(n_y == asked.n_y, f"`head` has {n_y} outputs and `n_y` is {asked.n_y}")
    encoded = [asked.encode(one.y, steps(one), one.place) for one in examples]
    for one, y in zip(examples, encoded, strict=True):
        _expect(
            np.array_equal(y, again.encode(one.y, steps(one), one.place), equal_nan=True),
            f"{one.place}: the encoded y differs after `to_json` and `restore`",
        )
        if isinstance(head, Classes | Crf):
            _expect(bool((y < asked.n_y).all()), f"{one.place}: a class above {asked.n_y - 1}")
    _refuses_damage(kind.restore, asked.to_json())
    if kind.decoder:
        return asked
    weights = _crf(asked.n_y) if isinstance(head, Crf) else {}
    answers = list(_answers(asked, [steps(one) for one in examples]))
    for one, answer in zip(examples, answers, strict=True):
        told = asked.to_answer(answer, ["x"] * len(answer), 3, weights)
        _expect(bool(told.text), f"{one.place}: the answer has no text")
        _through_json(dict(told.record))
    calibrated = asked.calibrate(encoded, answers, weights)
    _expect(isinstance(calibrated, type(asked)), f"`calibrate` returns a {type(calibrated).__name__}")
    figures = _through_json(asked.figures(encoded, answers, weights))
    name = None if kind.scored is None else kind.scored[0]
    _expect(name is None or name in as_object(figures), f"`figures` has no '{name}', but `scored` names it")
    blank = asked.blank()
    _expect(type(blank) is Answer, "`blank` does not return an Answer")
    _through_json(dict(blank.record))
    return asked


def _answers(asked: Output, lengths: Sequence[int]) -> Iterator[Floats]:
    """Yield random log-probabilities [T or 1, n_y] in place of the output of a network."""
    rng = np.random.default_rng(0)
    for count in lengths:
        z = rng.standard_normal((1 if asked.targets == "one" else count, asked.n_y))
        yield z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def _crf(n: int) -> dict[str, Array]:
    """Return the parameters of a CRF that gives all paths the same score."""
    return {"crf.T": np.zeros((n, n)), "crf.begin": np.zeros(n), "crf.end": np.zeros(n)}


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _close(ours: Sequence[Array], theirs: Sequence[Array]) -> bool:
    return all(np.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(ours, theirs, strict=True))


def _through_json(value: object) -> object:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"not plain JSON: {error}") from error


def _refuses_damage(restore: Callable[[Mapping[str, object]], object], good: dict[str, object]) -> None:
    """Check that `restore` raises DataError if any field is missing and if there is an extra field."""
    damaged = [{key: value for key, value in good.items() if key != gone} for gone in good]
    for value in (*damaged, {**good, "one too many": 1}):
        try:
            restore(value)
        except DataError:
            continue
        raise AssertionError(f"`restore` accepts {sorted(value)}, but the fields are {sorted(good)}")
