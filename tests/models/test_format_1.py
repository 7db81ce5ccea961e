"""Descriptions of networks in model files of format 1."""

from __future__ import annotations

from typing import Any

import pytest

from unrolled.core.errors import DataError
from unrolled.models.format_1 import LATER, network_of_format_1
from unrolled.models.network_spec import Classes, CoreSpec, Embedding, NetworkSpec, OneHot

FIRST: dict[str, Any] = {
    "n_x": 9,
    "n_y": 9,
    "n_a": 6,
    "cell": "lstm",
    "activation": "tanh",
    "layers": 1,
    "bidirectional": False,
    "ids": True,
    "embedding": 4,
    "tie": False,
    "softmax": "exact",
    "architecture": "many-to-many",
}
VECTORS = {"ids": False, "embedding": 0}
PAIRED = {"architecture": "encoder-decoder", "decoder_layers": 1, "target_embedding": 4}


def test_the_first_files_had_fewer_fields():
    assert len(LATER) == 13
    assert network_of_format_1(FIRST) == NetworkSpec(Embedding(9, 4), CoreSpec(6), Classes(9))
    assert network_of_format_1({**FIRST, "embedding": 0}).input == OneHot(9)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_a": "6"}, "has '6' as 'n_a'; expected int"),
        ({"n_a": True}, "has True as 'n_a'"),
        ({"depth": 3}, "has an unknown 'depth'"),
        ({"cell": ["lstm"]}, "as 'cell'; expected str"),
        ({"zoneout": 1}, "has 1 as 'zoneout'; expected float"),
        ({"cell": "grru"}, "wrong: unknown cell 'grru'"),
        ({"softmax": "hierarchical"}, "the softmax is 'hierarchical'"),
        ({"architecture": "encoder"}, "unknown architecture"),
        ({"output": "thoughts"}, "unknown output 'thoughts'"),
        ({"ids": False}, "'embedding' makes no sense"),
        ({"embedding": 0, "multi_hot": True}, "several ids per step need an embedding"),
        ({**VECTORS, "front_size": 4}, "front_size is 4 without a front"),
        ({"front": "time", "front_size": 4}, "'front' makes no sense"),
        ({"crf": True, "architecture": "many-to-one"}, "'architecture' makes no sense with 'crf'"),
        ({"crf": True, "output": "bits"}, "a CRF needs classes"),
        ({"output": "ctc", "softmax": "adaptive"}, "'softmax' makes no sense with 'ctc'"),
        ({"tie": True, "softmax": "adaptive"}, "the softmax is 'adaptive'"),
        ({"attention": "additive"}, "'attention' makes no sense with 'classes'"),
        ({**PAIRED, "output": "bits"}, "needs classes as output"),
        ({**PAIRED, "feeding": True}, "needs classes as output"),
        ({**VECTORS, **PAIRED, "front": "time", "front_size": 4}, "has no front"),
    ],
)
def test_damaged_and_senseless_descriptions_are_reported(change: dict[str, Any], told: str):
    with pytest.raises(DataError, match=f"m.model: the description of the network .*{told}"):
        network_of_format_1(FIRST | change, "m.model")
    lacking = {key: value for key, value in FIRST.items() if key != "n_y"}
    with pytest.raises(DataError, match="lacks 'n_y'"):
        network_of_format_1(lacking)
