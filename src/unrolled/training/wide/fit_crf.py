"""Fit the wide part of a tagger with CRFsuite, and choose the weights of network and wide part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.errors import need
from unrolled.core.types import Array, Floats
from unrolled.models.wide.token_features import NONE, by_token
from unrolled.models.wide.token_linear import TokenLinear
from unrolled.nn.crf_loss import crf_nll
from unrolled.training.wide.matrices import Matrix, library

PENALTIES = {"c1": 0.1, "c2": 0.01}  # L1 makes most weights 0
MOST_ITERATIONS = 100
# Tokens times tags times (tags + features of a token), per iteration of L-BFGS and minute of the time limit.
PER_MINUTE = 3e9
MOST_WEIGHTS = 200_000
BEFORE = (0.6, 0.6)  # weights without a validation set
STRENGTH = 10.0  # the weights stay near BEFORE as if that many tokens asked for it


def fit_crf(
    features: Sequence[Array], tags: Sequence[Array], n_y: int, minutes: float | None
) -> TokenLinear | None:
    """Fit a linear-chain CRF. Return None if all its weights are 0.

    features: of each sentence, [T * WIDTH].  tags: of each sentence, [T]; a sentence with an unknown tag is left out.
    minutes: time limit of the whole training. Large data gets fewer iterations, so that the fit takes a small part.
    """
    with need("train", "python-crfsuite"):
        suite = import_module("pycrfsuite")
    cost = max(1, sum(map(len, tags))) * n_y * (n_y + 30)
    iterations = int(np.clip((minutes or 10) * PER_MINUTE / cost, 20, MOST_ITERATIONS))
    trainer = suite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params({**PENALTIES, "max_iterations": iterations, "feature.possible_transitions": True})
    for sentence, own in zip(features, tags, strict=True):
        if len(own) and (own >= 0).all():
            rows = by_token(sentence).tolist()
            trainer.append(
                [[str(key) for key in row if key != NONE] for row in rows], list(map(str, own.tolist()))
            )
    with temporary_folder() as folder:
        file = folder / "crf"
        trainer.train(str(file))
        return _read(suite.Tagger(), file, n_y) if file.exists() else None


def _read(tagger: Matrix, file: Path, n_y: int) -> TokenLinear | None:
    """Return the weights of a model of CRFsuite. tagger: an unopened tagger."""
    with tagger.open(str(file)):
        info = tagger.info()
    transitions = np.zeros((n_y, n_y), np.float32)
    for (first, second), weight in info.transitions.items():
        transitions[int(first), int(second)] = weight
    weights = sorted(info.state_features.items(), key=lambda one: -abs(one[1]))[:MOST_WEIGHTS]
    rows: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for (key, tag), weight in weights:
        rows[int(key)][int(tag)] = weight
    if not rows:
        return None
    keys = sorted(rows)
    pairs = [pair for key in keys for pair in sorted(rows[key].items())]
    return TokenLinear(
        np.array(keys, np.uint32),
        np.array([len(rows[key]) for key in keys], np.uint16),
        np.array([tag for tag, _ in pairs], np.uint16),
        np.array([weight for _, weight in pairs], np.float16),
        transitions,
    )


def crf_mixing_weights(
    linear: TokenLinear,
    features: Sequence[Array],
    tags: Sequence[Array],
    answers: Sequence[Floats],
    weights: Mapping[str, Array],
) -> tuple[float, float]:
    """Return the weights of the network and of the wide part, at least 0, with the smallest loss on the validation set.

    answers: [T, n_y] the scores of the network for each sentence.  weights: its tensors.
    """
    kept = [i for i, own in enumerate(tags) if len(own) and (own >= 0).all()]
    if not kept:
        return BEFORE
    lengths = torch.tensor([len(tags[i]) for i in kept])
    network = _padded([answers[i] for i in kept])
    wide = _padded([linear.scores([features[i]]) for i in kept])
    truth = _padded([tags[i].astype(np.float64)[:, None] for i in kept])[:, :, 0].long()  # [N, T]
    chains = [
        torch.from_numpy(np.asarray(weights[f"crf.{name}"], np.float64)) for name in ("T", "begin", "end")
    ]
    own = torch.from_numpy(linear.transitions.astype(np.float64))

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient."""
        a, b = torch.tensor(values[0], requires_grad=True), torch.tensor(values[1], requires_grad=True)
        nats = crf_nll(
            a * network + b * wide, truth, lengths, a * chains[0] + b * own, a * chains[1], a * chains[2]
        )
        total = nats + 0.5 * STRENGTH * ((a - BEFORE[0]) ** 2 + (b - BEFORE[1]) ** 2)
        slopes = torch.autograd.grad(total, [a, b])
        return float(total.detach()), np.array([float(slope) for slope in slopes])

    bounds = [(0, None), (0, None)]
    found = library("scipy.optimize").minimize(
        loss, np.array(BEFORE), jac=True, method="L-BFGS-B", bounds=bounds
    )
    return float(found.x[0]), float(found.x[1])


def _padded(rows: Sequence[Array]) -> Tensor:
    """Return rows [T_i, n] as one tensor [rows, T, n] in float64, padded with zeros."""
    return torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(np.asarray(row, np.float64)) for row in rows], batch_first=True
    )
