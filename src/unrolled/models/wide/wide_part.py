"""The wide part of a model: a linear model beside the network, and how the answers of both are added.

    scores = network * (answer of the network) + wide * (scores of the linear model)

H. Cheng et al., "Wide & Deep Learning for Recommender Systems", arXiv 1606.07792v1. There, both parts are trained
together. Here, each is trained alone, and the two weights are chosen on the validation set. docs/log.md has the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array, Floats
from unrolled.core.values.json_values import as_number, as_object
from unrolled.models.model_file import ModelFile
from unrolled.models.wide import dense_linear, sparse_linear, token_linear, window_linear
from unrolled.models.wide.dense_linear import DenseLinear
from unrolled.models.wide.sparse_linear import SparseLinear
from unrolled.models.wide.token_linear import TokenLinear
from unrolled.models.wide.window_linear import WindowLinear

PREFIX = "wide."  # of the names of its tensors in a model file
Linear = SparseLinear | DenseLinear | TokenLinear | WindowLinear
READERS: Mapping[str, Callable[[Mapping[str, Array], int], Linear]] = {
    "sparse": sparse_linear.from_tensors,
    "dense": dense_linear.from_tensors,
    "token": token_linear.from_tensors,
    "window": window_linear.from_tensors,
}


@dataclass(frozen=True, eq=False)
class WidePart:
    """A linear model and the weights of the sum.

    network: the weight of the network's answer.  wide: the weight of the linear model's scores.
    log_probs: whether answers are log-probabilities, so that the sum is normalised again.
    """

    linear: Linear
    network: float
    wide: float
    log_probs: bool

    def add(self, answers: Floats, features: Sequence[Array]) -> NDArray[np.float32]:
        """Return the answers of the whole model, [rows, n_y].

        answers: the answers of the network, [rows, n_y]; of a tagger, one row per token of one sentence.
        features: the features of each sequence.
        """
        total = self.network * answers.astype(np.float64) + self.wide * self.linear.scores(features)
        return (normalised(total) if self.log_probs else total).astype(np.float32)


def weights_with(part: WidePart | None, tensors: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return the tensors of a network; those of a CRF include the transitions of the wide part."""
    if part is None or not isinstance(part.linear, TokenLinear):
        return tensors
    summed = {f"crf.{name}": part.network * tensors[f"crf.{name}"] for name in ("T", "begin", "end")}
    summed["crf.T"] = summed["crf.T"] + part.wide * part.linear.transitions
    return {**tensors, **summed}


def normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log softmax of scores [rows, n_y] over the outputs."""
    shifted = scores - scores.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def to_file(part: WidePart) -> tuple[dict[str, object], dict[str, Array]]:
    """Return the JSON object and the tensors of a model file that `from_file` reads."""
    document: dict[str, object] = {
        "kind": part.linear.kind,
        "network": part.network,
        "wide": part.wide,
    }
    tensors = part.linear.tensors()
    return document, {PREFIX + name: array for name, array in tensors.items()}


def network_tensors(file: ModelFile) -> dict[str, Array]:
    """Return the tensors of a model file without those of its wide part."""
    wide = "wide" in file.learnt
    return {name: array for name, array in file.tensors.items() if not (wide and name.startswith(PREFIX))}


def from_file(document: object, tensors: Mapping[str, Array], n_y: int, log_probs: bool) -> WidePart:
    """Return the wide part of a model file.

    document, tensors: the result of `to_file`; other tensors are ignored.  n_y: number of outputs of the network.

    Raises DataError if it is damaged.
    """
    own = {name.removeprefix(PREFIX): array for name, array in tensors.items() if name.startswith(PREFIX)}
    try:
        fields = as_object(document)
        read = READERS[str(fields["kind"])]
        network, wide = as_number(fields["network"]), as_number(fields["wide"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("the wide part is damaged", expected="kind, network, wide") from error
    if len(fields) != 3 or not np.isfinite([network, wide]).all():
        raise DataError("the wide part is damaged", expected="kind, network, wide")
    return WidePart(read(own, n_y), network, wide, log_probs)
