"""The x and y of examples are used as the type that a kind needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unrolled.core.types import Tune
from unrolled.core.values.example_values import (
    as_path,
    as_sequence,
    as_tags,
    as_text,
    as_tune,
    as_words,
    elements,
    length,
    shape,
)

TUNE = Tune((), 480)


def test_sequences_of_every_kind_have_a_length():
    assert [length(x) for x in ("abc", ("a", "b"), np.zeros((4, 2)), TUNE)] == [3, 2, 4, 0]
    assert shape(np.zeros((4, 2))) == shape([[0, 0]] * 4) == (4, 2)


def test_elements_come_one_after_the_other():
    assert list(elements(("a", None))) == ["a", None]
    assert list(elements(np.arange(2.0))) == [0.0, 1.0]
    assert list(elements(None)) == []


def test_values_come_back_as_they_are():
    assert as_tune(TUNE) is TUNE
    assert as_path(Path("a.wav")) == Path("a.wav")
    assert as_text("a b") == "a b"
    assert as_text(("a", "b")) == as_tags(("a", "b")) == as_sequence(("a", "b")) == ("a", "b")
    assert as_words(("a", "b")) == ["a", "b"]
    assert as_sequence(np.array([1.0, 2.0])) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("use", "x"), [(length, 3), (elements, 3), (as_tune, "a"), (as_path, "a"), (as_text, 3)]
)
def test_another_type_is_an_error(use: Callable[[object], object], x: object):
    with pytest.raises(TypeError, match=r"expected .*, found"):
        use(x)
