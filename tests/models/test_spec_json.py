"""Descriptions of networks: the way through JSON, damaged ones, and records that do not fit together."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from unrolled.core.errors import DataError, UsageError
from unrolled.models.network_spec import (
    AttentionSpec,
    Bits,
    Classes,
    CoreSpec,
    Crf,
    Ctc,
    DecoderSpec,
    Embedding,
    FrontSpec,
    NetworkSpec,
    OneHot,
    Reals,
    Vectors,
)
from unrolled.models.spec_json import HEADS, INPUTS, from_json, to_json

CORE = CoreSpec(6, "gru", layers=2, bidirectional=True, zoneout=0.25)
SPECS = {
    "one-hot tokens": NetworkSpec(OneHot(9), CORE, Classes(9)),
    "tied": NetworkSpec(Embedding(9, 4), CORE, Classes(9, "tied")),
    "affixes": NetworkSpec(Embedding(9, 4, several=True), CORE, Crf(5)),
    "adaptive": NetworkSpec(Embedding(9, 4), CORE, Classes(200, "adaptive", pooling="mean")),
    "numbers": NetworkSpec(Vectors(3), CORE, Reals(2, pooling="attention")),
    "audio": NetworkSpec(Vectors(40, FrontSpec("time", 8)), CORE, Ctc(30)),
    "rolls": NetworkSpec(Vectors(88), CORE, Bits(88, neighbours=3)),
    "plain decoder": NetworkSpec(OneHot(9), CORE, DecoderSpec(7, layers=1)),
    "attention": NetworkSpec(
        Embedding(7, 6),
        CORE,
        DecoderSpec(7, 2, 6, "tied", shared=True, attention=AttentionSpec("additive", feeding=True)),
    ),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_description_is_the_same_after_json(spec: NetworkSpec):
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec


def test_every_kind_of_input_and_head_is_tried():
    assert {type(spec.input) for spec in SPECS.values()} == set(INPUTS.values())
    assert {type(spec.head) for spec in SPECS.values()} == set(HEADS.values())


def places(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every value in nested records, of records too."""
    found = [path] if path else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += places(value, (*path, key))
    return found


def changed(content: dict[str, Any], path: tuple[str, ...], change: Any) -> dict[str, Any]:
    """A copy in which `change` is applied to the record that has the last name of path."""
    again = copy.deepcopy(content)
    record = again
    for key in path[:-1]:
        record = record[key]
    change(record, path[-1])
    return again


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_damaged_value_is_reported(spec: NetworkSpec):
    content = to_json(spec)
    for path in places(content):
        for wrong in ([], "telepathy", -1, 2**70, {"kind": "telepathy"}, 1.5):
            damaged = changed(content, path, lambda record, key, wrong=wrong: record.update({key: wrong}))
            with pytest.raises(DataError, match=r"m\.model: the (description of the )?network"):
                from_json(damaged, "m.model")
        missing = changed(content, path, lambda record, key: record.pop(key))
        with pytest.raises(DataError):
            from_json(missing)
        more = changed(content, path, lambda record, key: record.update({"depth": 3}))
        with pytest.raises(DataError, match="unknown 'depth'"):
            from_json(more)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CoreSpec(6, "grru"), "unknown cell 'grru'"),
        (lambda: CoreSpec(6, "lstm", "relu"), "no activation 'relu'"),
        (lambda: CoreSpec(0), "n_a is 0; expected at least 1"),
        (lambda: CoreSpec(6, layers=1001), "1,001 layers; expected 1 to 1,000"),
        (lambda: OneHot(2**31), "n x; expected 1 to 2,147,483,647"),
        (lambda: Embedding(9, 0), "embedding is 0"),
        (lambda: FrontSpec("times", 6), "unknown front 'times'"),
        (lambda: Classes(5, "hierarchical"), "unknown output layer"),
        (lambda: Classes(5, pooling="sum"), "unknown pooling"),
        (lambda: Classes(11, "adaptive"), "for many outputs, not for 11"),
        (lambda: Ctc(1), "with the blank is 1; expected at least 2"),
        (lambda: AttentionSpec("telepathy"), "unknown attention"),
        (lambda: DecoderSpec(5, 0), "decoder_layers is 0"),
        (lambda: DecoderSpec(5, 1, attention=AttentionSpec("additive", True)), "needs an embedding"),
        (lambda: NetworkSpec(OneHot(9), CORE, Classes(9, "tied")), "tied weights need an embedding"),
        (
            lambda: NetworkSpec(Embedding(9, 4), CORE, Classes(8, "tied")),
            "the same number of inputs and outputs",
        ),
        (lambda: NetworkSpec(Vectors(5), CORE, Bits(6, 2)), "neighbours need numbers"),
        (lambda: NetworkSpec(OneHot(9), CORE, Bits(6, 2)), "neighbours need numbers"),
        (lambda: NetworkSpec(Vectors(5, FrontSpec("time", 3)), CORE, DecoderSpec(5, 1)), "has no front"),
        (lambda: NetworkSpec(OneHot(9), CORE, DecoderSpec(5, 1, 4, "tied")), "an embedding of size 6"),
        (lambda: NetworkSpec(Embedding(9, 4), CORE, DecoderSpec(5, 1, 4, shared=True)), "one vocabulary"),
    ],
)
def test_records_that_cannot_be_are_rejected(make: Any, told: str):
    with pytest.raises(UsageError, match=told):
        make()
