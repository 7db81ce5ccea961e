"""Values of JSON are read as the type that they must have, and as no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from unrolled.core.values.json_values import as_list, as_list_of, as_number, as_object, as_plain


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (as_object, {"a": 1}),
        (as_list, [1, "a"]),
        (as_number, 3),
        (as_number, 0.5),
        (lambda value: as_plain(str, value), "a"),
        (lambda value: as_plain(int, value), 3),
        (lambda value: as_plain(bool, value), True),
        (lambda value: as_list_of(int, value), [1, 2]),
    ],
)
def test_a_value_of_the_right_type_comes_back_as_it_is(read: Callable[[object], object], value: object):
    assert read(value) == value
    assert type(read(value)) is type(value)


@pytest.mark.parametrize(
    ("read", "value", "told"),
    [
        (as_object, [1], "expected an object, found list"),
        (as_list, "ab", "expected a list, found str"),
        (as_number, True, "expected a number, found bool"),
        (as_number, None, "expected a number, found NoneType"),
        (lambda value: as_plain(int, value), True, "expected int, found bool"),
        (lambda value: as_plain(int, value), 3.0, "expected int, found float"),
        (lambda value: as_list_of(str, value), ["a", 1], "expected str, found int"),
    ],
)
def test_another_type_is_an_error_that_names_both(read: Callable[[object], object], value: object, told: str):
    with pytest.raises(TypeError, match=told):
        read(value)
