"""Speed of one training step of a word language model: `unrolled` against PyTorch.

    python benchmarks/lm.py --rounds 7
    python benchmarks/lm.py --sizes 2x200 --batch 20 --steps 35 --threads 1
    python benchmarks/lm.py --dropout 0.5

Both have the same weights, the same batch and the same optimizer (fused AdamW, gradient clipping). The
network has an embedding of 10,000 words, LSTM layers of equal size, and an untied output layer with exact
softmax. Before the measurement, the losses of the first steps are compared. Dropout is applied to the inputs
of each layer and of the output layer. Each side has its own random masks, so the losses are compared without
dropout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from results import parser
from turns import Contender, Job, add_turns, compete, ratio, serve

WORDS = 10_000
RATE, CLIP = 1e-3, 1.0
SAME = 1e-4  # maximum relative difference of the losses of three steps


class Plain(nn.Module):
    """nn.Embedding, nn.LSTM and nn.Linear, with dropout between them."""

    def __init__(self, layers: int, units: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, units)
        self.lstm = nn.LSTM(units, units, layers, batch_first=True, dropout=dropout)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(units, WORDS)

    def forward(self, x: Tensor) -> Tensor:
        a = self.lstm(self.drop(self.embedding(x)))[0]  # [batch, T, units]
        return self.head(self.drop(a))  # [batch, T, words]


def plain(job: Job) -> nn.Module:
    """Return the same network as `network`, with torch modules."""
    from unrolled.models.cells import NUMPY, find

    layers, units = job["size"]
    model, given = Plain(layers, units, job["dropout"]), network(job).weights()
    own = {
        "embedding.weight": given["embedding.E"],
        "head.weight": given["head.W_ya"],
        "head.bias": given["head.b_y"],
    }
    for layer in range(layers):
        prefix = f"core.{layer}.forward."
        leaves = {name.removeprefix(prefix): p for name, p in given.items() if name.startswith(prefix)}
        packed = find("lstm", "tanh").to_torch(
            NUMPY, {name: p.detach().numpy() for name, p in leaves.items()}
        )
        own |= {f"lstm.{name}_l{layer}": torch.from_numpy(value) for name, value in packed.items()}
    model.load_state_dict(own)
    # Torch has a second bias, which would double the steps of the bias.
    for name, p in model.named_parameters():
        p.requires_grad_("bias_hh" not in name)
    return model


def network(job: Job) -> Any:
    """Return the network of unrolled."""
    from unrolled.models.network_spec import Classes, CoreSpec, Embedding, NetworkSpec
    from unrolled.nn.architectures import build

    layers, units = job["size"]
    spec = NetworkSpec(Embedding(WORDS, units), CoreSpec(units, layers=layers), Classes(WORDS))
    return build(spec, seed=0)


def batch(job: Job) -> tuple[Tensor, Tensor]:
    """Return x and y, [batch, T] words of a Zipfian text."""
    generator = torch.Generator().manual_seed(0)
    chances = 1.0 / torch.arange(1, WORDS + 1)
    shape = (job["batch"], job["steps"] + 1)
    ids = torch.multinomial(chances, shape[0] * shape[1], True, generator=generator).view(shape)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def stepping(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    """Return a function that runs a training step and returns the loss before the step."""
    optimizer = torch.optim.AdamW(model.parameters(), RATE, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        found = loss()
        found.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP, foreach=True)
        optimizer.step()
        return float(found.detach())

    return step


def torch_step(job: Job) -> Callable[[], float]:
    """The training step as a user of torch writes it."""
    model, (x, y) = plain(job), batch(job)
    return stepping(model, lambda: cross_entropy(model(x).flatten(0, 1), y.flatten()))


def torch_tuned(job: Job) -> Callable[[], float]:
    """The same with freed memory kept."""
    from unrolled import tune

    tune()
    return torch_step(job)


def our_step(job: Job) -> Callable[[], float]:
    """The training step of the training loop of unrolled."""
    from unrolled import tune
    from unrolled.nn.scan import Dropouts

    tune()
    model, (x, y) = network(job), batch(job)
    dropouts = Dropouts(layer=job["dropout"], input=job["dropout"])

    def loss() -> Tensor:
        nats, count, _ = model.loss(x, y, dropouts=dropouts)
        return nats / count

    return stepping(model, loss)


CONTENDERS: dict[str, Contender] = {
    "torch": torch_step,
    "torch mallopt": torch_tuned,
    "unrolled": our_step,
}


def row(job: Job, seconds: dict[str, float | None]) -> dict[str, Any]:
    """Return one row of the table: milliseconds, tokens per second, and the speed-up over torch."""
    own = seconds["unrolled"]
    assert own is not None
    line: dict[str, Any] = {"size": "x".join(map(str, job["size"])), "batch": job["batch"], "T": job["steps"]}
    line |= {f"{name} ms": None if s is None else 1e3 * s for name, s in seconds.items()}
    line["tokens/s"] = round(job["batch"] * job["steps"] / own)
    return line | {f"x {name}": ratio(seconds[name], own) for name in ("torch", "torch mallopt")}


def same_losses(job: Job) -> None:
    """Check that three steps of both have the same losses. Otherwise the networks are different."""
    job = job | {"dropout": 0.0}
    theirs, mine = torch_step(job), our_step(job)
    for _ in range(3):
        one, two = theirs(), mine()
        if abs(one - two) > SAME * one:
            raise SystemExit(f"error: the losses differ: {one} of torch, {two} of unrolled")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", nargs="+", default=["2x200", "2x650"], metavar="LAYERSxUNITS")
    options.add_argument("--batch", type=int, default=20, help="sequences per batch (%(default)s)")
    options.add_argument("--steps", type=int, default=35, help="words per sequence (%(default)s)")
    options.add_argument("--dropout", type=float, default=0.0, help="fraction (%(default)s)")
    add_turns(options, seconds=2.0, threads=2, whose="")
    asked = options.parse_args()
    if asked.contender:
        serve(CONTENDERS[asked.contender])
        return
    jobs: list[Job] = [
        {
            "size": [int(n) for n in size.split("x")],
            "batch": asked.batch,
            "steps": asked.steps,
            "dropout": asked.dropout,
        }
        for size in asked.sizes
    ]
    for job in jobs:
        same_losses(job)
    compete("lm", CONTENDERS, jobs, row, asked)


if __name__ == "__main__":
    sys.exit(main())
