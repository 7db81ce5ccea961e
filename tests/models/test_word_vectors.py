"""Networks with pretrained vectors: the engines agree, the file has them as float16, training does not change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support.tolerances import TOLERANCES
from unrolled.core.errors import DataError, UsageError
from unrolled.models import model_file
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import Classes, CoreSpec, Crf, Embedding, NetworkSpec, WordVectors
from unrolled.models.spec_json import from_json, to_json
from unrolled.models.tensor_shapes import VECTORS, parameters, shapes
from unrolled.nn.architectures import build
from unrolled.nn.embedding_and_head import Dropouts, embed
from unrolled.nn.torch_engine import TorchEngine

ROWS, WIDTH = 7, 3
CLOSE = TOLERANCES["float32"]["forward"]
INPUT = Embedding(9, 4, several=True, vectors=WordVectors(ROWS, WIDTH))
SPECS = {
    "label": NetworkSpec(INPUT, CoreSpec(5, bidirectional=True), Classes(3, pooling="max")),
    "tags": NetworkSpec(INPUT, CoreSpec(5, layers=2), Crf(3)),
    "a cell without groups": NetworkSpec(INPUT, CoreSpec(5, "rnn", "relu"), Classes(3)),
}
# [2, 4, ids]: a word, a feature or none, and the row of a vector or none
X = np.array([[[2, 5, 0], [0, -1, 6], [3, 7, -1], [8, 4, 1]], [[2, 5, 0], [0, -1, -1], [-1] * 3, [-1] * 3]])
LENGTHS = np.array([4, 2])

specs = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def tensors_of(spec: NetworkSpec) -> dict[str, np.ndarray]:
    values = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float16)
    return {**initialise(spec, 0), VECTORS: values}


@specs
def test_both_engines_agree(spec: NetworkSpec):
    tensors = tensors_of(spec)
    answers = [engine(spec, tensors).run(X, LENGTHS)[0] for engine in (NumpyEngine, TorchEngine)]
    np.testing.assert_allclose(answers[0], answers[1], atol=CLOSE, rtol=0)
    alone, _ = NumpyEngine(spec, tensors).run(X[1:, :2], LENGTHS[1:])
    np.testing.assert_array_equal(alone[0], answers[0][1, : alone.shape[1]])


@specs
def test_the_vector_follows_the_learnt_embedding(spec: NetworkSpec):
    tensors = tensors_of(spec)
    with torch.no_grad():
        found = embed(spec, build(spec, tensors).weights(), torch.from_numpy(X)).numpy()
    E, V = tensors["embedding.E"], tensors[VECTORS].astype(np.float32)
    assert found[0, 0] == pytest.approx(np.concatenate([E[2] + E[5], V[0]]))
    assert found[0, 1] == pytest.approx(np.concatenate([E[0], V[6]]))
    assert found[0, 2] == pytest.approx(np.concatenate([E[3] + E[7], np.zeros(WIDTH)]))


def test_input_dropout_leaves_the_vectors_whole():
    spec = SPECS["label"]
    weights, whole = build(spec, tensors_of(spec)).weights(), torch.from_numpy(X)
    with torch.no_grad():
        plain = embed(spec, weights, whole)
        dropped = embed(spec, weights, whole, Dropouts(input=0.5))
    assert torch.equal(plain[..., 4:], dropped[..., 4:])
    assert not torch.equal(plain[..., :4], dropped[..., :4])


def test_vectors_are_no_parameters():
    spec = SPECS["label"]
    network = build(spec, tensors_of(spec))
    assert VECTORS not in dict(network.named_parameters()) and VECTORS in network.weights()
    assert parameters(spec) == sum(p.numel() for p in network.parameters())


@specs
def test_a_step_is_a_run_of_one_step(spec: NetworkSpec):
    if not spec.reads_forward:
        pytest.skip("reads in both directions")
    engine = NumpyEngine(spec, tensors_of(spec))
    whole, _ = engine.run(X[:1])
    state = engine.start(1)
    for t in range(4):
        values, ids, state = engine.step(state, X[:1, t])
        np.testing.assert_allclose(values[0, np.argsort(ids[0])], whole[0, t], atol=CLOSE, rtol=0)


@specs
def test_the_description_survives_a_file(tmp_path: Path, spec: NetworkSpec):
    assert from_json(to_json(spec)) == spec
    tensors = tensors_of(spec)
    saved = model_file.ModelFile("tag", to_json(spec), {}, {}, {}, tensors)
    model_file.save(tmp_path / "m", saved)
    opened = model_file.load(tmp_path / "m")
    model_file.expect_tensors(opened.tensors, shapes(spec), tmp_path / "m")
    assert opened.tensors[VECTORS].dtype == np.float16
    for name, value in tensors.items():
        np.testing.assert_array_equal(opened.tensors[name], value)


def test_vectors_of_another_type_are_refused(tmp_path: Path):
    spec = SPECS["tags"]
    tensors = {**tensors_of(spec), VECTORS: np.zeros((ROWS, WIDTH), np.float32)}
    with pytest.raises(DataError, match=r"tensor 'embedding.V' is float32; expected float16"):
        model_file.expect_tensors(tensors, shapes(spec), tmp_path)


def test_without_vectors_the_description_is_as_before():
    plain = NetworkSpec(replace(INPUT, vectors=None), CoreSpec(5), Crf(3))
    assert to_json(plain)["input"] == {"kind": "embedding", "n_x": 9, "size": 4, "several": True}
    assert from_json(to_json(plain)) == plain


@pytest.mark.parametrize("wrong", [{"rows": 0, "width": 3}, {"rows": 3}, {"rows": 3, "width": "3"}, 5])
def test_a_wrong_description_is_refused(wrong: object):
    content = to_json(SPECS["tags"])
    given = content["input"]
    assert isinstance(given, dict)
    with pytest.raises(DataError):
        from_json({**content, "input": {**given, "vectors": wrong}})


def test_vectors_need_several_ids_per_step():
    with pytest.raises(UsageError, match="several ids"):
        Embedding(9, 4, vectors=WordVectors(3, 3))
