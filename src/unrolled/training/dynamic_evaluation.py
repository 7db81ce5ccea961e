"""Dynamic evaluation: the model trains on each part of a text after it has scored that part.

The method is by Krause, Kahembwe, Murray and Renals 2017, arXiv 1709.07432v2. This is the variant with plain
gradient steps and a decay towards the trained weights. Each token is scored before the model learns from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from unrolled.core.types import Array
from unrolled.data.text.vocabulary import UNK
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.datasets.token_store import Store
from unrolled.models.network_spec import NetworkSpec
from unrolled.nn.architectures import build
from unrolled.tasks.outputs.next_token import Tally
from unrolled.training.loop import carry, detach, snapshot

WINDOW = 32  # tokens between two gradient steps
DECAY = 0.002  # each step moves the weights by this fraction of their distance back to the trained weights
CLIP = 1.0  # maximum norm of the gradient


def tally_dynamically(spec: NetworkSpec, tensors: Mapping[str, Array], store: Store, lr: float) -> Tally:
    """Score a data set while the weights are trained with learning rate `lr`.

    The model file is not changed.
    """
    network = build(spec, tensors)
    trained = snapshot(network)
    network.eval()
    nats, tokens, unknown, state = 0.0, 0, 0, None
    for batch in evaluation_batches(store, 1, WINDOW, 0):
        x, y, lengths = (torch.from_numpy(part) for part in (batch.x, batch.y, batch.lengths))
        loss, count, state = network.loss(x, y, lengths, carry(state, batch.carry))
        network.zero_grad(set_to_none=True)
        (loss / max(1, count)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if weight.grad is not None:
                    weight.add_(weight.grad, alpha=-lr).lerp_(trained[name], DECAY)
        state = detach(state)
        nats, tokens = nats + float(loss.detach()), tokens + count
        unknown += int((batch.y == UNK).sum())
    return Tally(nats, tokens, None, unknown)
