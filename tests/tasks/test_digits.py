"""Numbers as text: with as many digits as their precision asks for."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from unrolled.tasks.digits import shown

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)


@pytest.mark.parametrize(
    ("value", "precision", "text"),
    [
        (38_012_371.25, 20.0, "38012371.2"),
        (1_234.5678, 1e6, "1234.57"),
        (0.5, 0.0, "0.5"),
        (0.0, 1.0, "0"),
        (2.0, math.inf, "2"),
        (1e300, 1e-300, "1.0000000000000001e+300"),
    ],
)
def test_numbers_by_hand(value: float, precision: float, text: str):
    assert shown(value, precision) == text


@given(FINITE, st.floats(1e-9, 1e9))
def test_what_is_shown_is_off_by_far_less_than_the_precision(value: float, precision: float):
    assume(abs(value) < precision * 1e13)  # a double has no more digits
    off = abs(float(shown(value, precision)) - value)
    assert off <= max(precision / 100, abs(value) * 1e-15)
