"""A model is one file, and the file is checked. README.md says:

* "The model is one checked file."
* "It is a safetensors file, and no code in it is ever executed. Every flipped bit is found. Files of release 0.1 will
  open in every later release."
"""

from __future__ import annotations

import json
import pickle  # to make a file that must not be opened
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import unrolled
from support.paths import GOLDEN
from support.small_models import nothing_new, refused, run, small

GOLD = sorted(GOLDEN.glob("*.model"))
# All but these read lines of text: a language model, and a model of series (tested in tests/models/wide).
OTHER = ("format1-next", "format3-series")


@pytest.mark.parametrize("path", GOLD, ids=lambda path: path.stem)
def test_a_model_is_a_safetensors_file(path: Path):
    tensors = safetensors.numpy.load(path.read_bytes())
    assert tensors and all(np.isfinite(one).all() for one in tensors.values())


@pytest.mark.parametrize(
    "path", [path for path in GOLD if path.stem not in OTHER], ids=lambda path: path.stem
)
def test_a_file_of_the_first_release_opens_and_answers(path: Path):
    assert unrolled.load(path).__sklearn_is_fitted__()
    done = run("predict", path, stdin=b"a b c\n")
    assert done.code == 0 and len(done.lines) == 1, done.err


def test_every_flipped_bit_is_found_and_a_tensor_is_named(tmp_path: Path):
    content = (GOLDEN / "format1.model").read_bytes()
    tensors, copy = set(safetensors.numpy.load(content)), tmp_path / "copy"
    named: set[str] = set()
    for number, at in enumerate(range(0, len(content), 61)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << number % 8
        copy.write_bytes(flipped)
        told = refused(run("score", copy, stdin=b"the cat\n"))
        assert told.startswith(f"{copy}: ")
        named |= {name for name in tensors if f"'{name}'" in told}
    assert len(named) >= len(tensors) // 2


def test_a_pickle_is_never_opened(tmp_path: Path):
    path, trace = tmp_path / "model", tmp_path / "executed"

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (trace,)

    path.write_bytes(pickle.dumps(Harmful()))
    assert refused(run("predict", path, stdin=b"a\n")).startswith(f"{path}: ")
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # what the file would have done
    assert trace.exists()


def test_the_model_alone_is_enough(tmp_path: Path):
    copy = tmp_path / "elsewhere" / "book"
    copy.parent.mkdir()
    shutil.copy(small().word, copy)  # without the run folder
    lines = b"the cat sat .\nmy dog ran .\n"
    with nothing_new(copy.parent):
        for verb in ("score", "predict"):
            assert run(verb, copy, stdin=lines) == run(verb, small().word, stdin=lines)
        assert run("sample", copy) == run("sample", small().word)
        figures = run("evaluate", copy, small().few, "--json")
    assert json.loads(figures.out) == json.loads(run("evaluate", small().word, small().few, "--json").out)
