"""Dynamic evaluation: the model trains on each part of a text after it has scored that part.

Source: Krause, Kahembwe, Murray and Renals 2017, arXiv 1709.07432v2, with RMS statistics and decay.

    step:  W <- W - lr g / (rms + mean rms)
    decay: W <- W + decay (rms / mean rms) (trained W - W), with a factor of at most 1

g is the mean gradient of the tokens of one window. rms has one value per weight: the root of the mean square
of g over many windows. Deviation from the paper: these windows are not training data, which a model file does
not contain. They are texts that the model itself writes. Their mean squares are the diagonal of the Fisher
information, which measures how much each weight matters to the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.types import delayed
from unrolled.data.text.vocabulary import EOS
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.datasets.token_store import Store
from unrolled.inference.adaptation import Window
from unrolled.inference.open_model import Model
from unrolled.models.decoding.sampling import SamplingOptions, sample_rows
from unrolled.models.layer_equations import outputs
from unrolled.nn import losses
from unrolled.nn.architectures import Network, build
from unrolled.nn.embedding_and_head import TORCH_LAYERS
from unrolled.nn.torch_engine import TorchEngine
from unrolled.training.loop import Weights, carry, detach, snapshot

WINDOW = 16  # tokens between two gradient steps
LR, DECAY = 5e-4, 1e-4  # without a text to tune on
DECAYS = (0.0, 1e-4, 1e-3)
STEPS = 5  # the learning rate is at most this many factors of 2 away from the default
OWN_TOKENS = 8_192  # of the texts that the model writes for the statistics
OWN_ROWS, OWN_LENGTH = 16, 512  # texts that are written at the same time, and their maximum length in tokens


@dataclass(frozen=True)
class DynamicOptions:
    """lr: the learning rate. decay: how fast the weights return to the trained weights; 0: never.

    Raises UsageError for values out of range.
    """

    lr: float = LR
    decay: float = DECAY

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise UsageError(f"--dynamic-lr {self.lr}", expected="a finite number above 0")
        if not 0 <= self.decay < math.inf:
            raise UsageError(f"--dynamic-decay {self.decay}", expected="a finite number from 0")


def _without_dropout(model: Model) -> Network:
    """Return a network with a copy of the model's weights, in the mode in which torch applies no dropout."""
    network = build(model.spec, model.file.tensors)
    network.eval()
    return network


def statistics(model: Model) -> Weights:
    """Return the rms of the gradient of each weight, over windows of texts that the model writes."""
    network = _without_dropout(model)
    squares = {name: torch.zeros_like(weight) for name, weight in network.named_parameters()}
    count = 0
    for ids in _own_texts(TorchEngine(model.spec, model.file.tensors)):
        y, state = torch.from_numpy(ids)[None], None
        x = torch.from_numpy(delayed(ids[:-1]))[None]
        for x_part, y_part in zip(x.split(WINDOW, 1), y.split(WINDOW, 1), strict=True):
            nats, tokens, state = network.loss(x_part, y_part, None, state)
            state, count = detach(state), count + 1
            for name, gradient in _gradients(network, nats / tokens).items():
                squares[name].addcmul_(gradient, gradient)
    return {name: (square / count).sqrt_() for name, square in squares.items()}


def _own_texts(engine: TorchEngine) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Yield texts of the model as ids, with <EOS> where one ended, until there are OWN_TOKENS tokens."""
    rng, tokens = np.random.default_rng(0), 0
    while tokens < OWN_TOKENS:
        limits, start = [OWN_LENGTH] * OWN_ROWS, engine.start(OWN_ROWS)
        for drawn in sample_rows(engine, start, rng.spawn(OWN_ROWS), limits, SamplingOptions(stop=EOS)):
            ids = (*drawn.ids, EOS) if drawn.closed else drawn.ids
            tokens += len(ids)
            yield np.array(ids, np.int64)


def _gradients(network: Network, loss: torch.Tensor) -> Weights:
    network.zero_grad(set_to_none=True)
    loss.backward()
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def windows(model: Model, store: Store, options: DynamicOptions, rms: Weights) -> Iterator[Window]:
    """Yield the windows of a text, in order. Each is read before the weights change. rms: see `statistics`.

    The model is not changed. A new document does not reset the weights.
    Raises NonFiniteError if the learning rate is so large that the loss is not finite.
    """
    network = _without_dropout(model)
    trained, p, state = snapshot(network), network.weights(), None
    mean = sum(float(part.sum()) for part in rms.values()) / sum(part.numel() for part in rms.values())
    scales = {name: options.lr / (part + mean) for name, part in rms.items()}
    returns = {name: (options.decay / mean * part).clamp_max_(1.0) for name, part in rms.items()}
    for batch in evaluation_batches(store, 1, WINDOW, 0):
        x, y = torch.from_numpy(batch.x), torch.from_numpy(batch.y)
        a, state = network.hidden(x, carry(state, batch.carry), None, final=False)
        with torch.no_grad():
            log_probs = outputs(TORCH_LAYERS, model.spec, p, a)[0]
        if not bool(log_probs.isfinite().all()):
            what = f"dynamic evaluation with the learning rate {options.lr:g} has diverged"
            raise NonFiniteError(what, hint=f"--dynamic-lr {options.lr / 10:g}")
        yield Window(batch.x[0], batch.y[0], a.detach()[0].numpy(), log_probs.numpy(), not batch.carry[0])
        state = detach(state)
        nats, tokens = losses.loss(model.spec, p, a, y, None)
        gradients = _gradients(network, nats / max(1, tokens))
        with torch.no_grad():
            for name, gradient in gradients.items():
                p[name].addcmul_(scales[name], gradient, value=-1)
                if options.decay:
                    p[name].addcmul_(returns[name], trained[name] - p[name])


def tune(
    loss: Callable[[DynamicOptions], float], lr: float | None = None, decay: float | None = None
) -> DynamicOptions:
    """Return the options with the lowest loss: first the learning rate, then the decay.

    lr, decay: values that are not changed. loss: the loss of a text with these options; infinite if it
    diverged. The learning rate is doubled or halved as long as this helps.
    """
    best = DynamicOptions(LR if lr is None else lr, DECAY if decay is None else decay)
    lowest = loss(best)
    if lr is None:
        for factor in (2.0, 0.5):
            for _ in range(STEPS):
                tried = replace(best, lr=best.lr * factor)
                if not (found := loss(tried)) < lowest:
                    break
                best, lowest = tried, found
            if best.lr > LR:  # doubling helped, so halving does not
                break
    for value in DECAYS if decay is None else ():
        tried = replace(best, decay=value)
        if tried != best and (found := loss(tried)) < lowest:
            best, lowest = tried, found
    return best
