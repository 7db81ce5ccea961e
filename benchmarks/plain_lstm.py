"""The baseline for character models: a simple model with torch.nn.LSTM.

The model is Embedding, nn.LSTM, Linear. It is trained with AdamW, linear warm-up and cosine decay to zero
over the wall time, gradient clipping, and a state carried from window to window. It trains on the first 90%
of the characters, and scores the last 10% in one pass with carried state. `--minutes` is only the training
time, without imports, reading and scoring. This is an advantage of this script.

    python benchmarks/plain_lstm.py FILE --minutes 3 [--seed 0] [--hidden 512] [--dropout 0.2] ...
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

State = tuple[Tensor, Tensor] | None


class Plain(nn.Module):
    """A model from characters to the logits of the next character, batch-first."""

    def __init__(self, types: int, embedding: int, hidden: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(types, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, types)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a, state = self.lstm(self.dropout(self.embedding(x)), state)
        return self.head(self.dropout(a)), state  # [batch, T, types]


@torch.no_grad()
def score(model: Plain, ids: Tensor, lanes: int) -> float:
    """Return the nats per character, over `lanes` parallel parts of the text.

    The state of each part starts from zeros. With one part, the result is exact.
    """
    model.eval()
    length = (len(ids) - 1) // lanes
    x, y = (ids[i : i + lanes * length].view(lanes, length) for i in (0, 1))
    state, nats = None, 0.0
    for at in range(0, length, 512):
        logits, state = model(x[:, at : at + 512], state)
        nats += cross_entropy(logits.flatten(0, 1), y[:, at : at + 512].flatten(), reduction="sum").item()
    model.train()
    return nats / (lanes * length)


def rate(share: float, warmup: float = 0.03) -> float:
    """Return the fraction of the highest learning rate at the fraction `share` of the budget.

    It is a linear warm-up, then a cosine decay to zero.
    """
    return min(1.0, share / warmup) * 0.5 * (1 + math.cos(math.pi * max(0.0, share - warmup) / (1 - warmup)))


def train(model: Plain, ids: Tensor, valid: Tensor, o: argparse.Namespace) -> list[dict[str, float]]:
    """Train until the budget is used. Return the curve: eight points and the end."""
    optimizer = torch.optim.AdamW(model.parameters(), o.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    lanes, length, at = ids, len(ids) // o.batch, len(ids)
    state, nats, steps, points = None, [], 0, []
    begun, budget = time.perf_counter(), 60 * o.minutes
    while (spent := time.perf_counter() - begun) < budget:
        if at + o.window >= length:  # after each pass, cut the text into lanes at another position
            lanes = ids.roll(-int(torch.randint(len(ids), ())))[: o.batch * length].view(o.batch, length)
            at, state = 0, None
        x, y = (lanes[:, at + i : at + i + o.window] for i in (0, 1))  # [batch, window]
        at += o.window
        for group in optimizer.param_groups:
            group["lr"] = o.lr * rate(spent / budget)
        logits, state = model(x, state)
        state = (state[0].detach(), state[1].detach())
        loss = cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        nats.append(loss.item())
        steps += 1
        if spent >= budget * (len(points) + 1) / 9:
            stopped = time.perf_counter()
            # Only the beginning; the exact loss is computed at the end.
            rough = score(model, valid[:32_769], 16)
            point = {"seconds": spent, "steps": steps, "train": sum(nats) / len(nats), "validation": rough}
            print("  ".join(f"{name} {value:.5g}" for name, value in point.items()), flush=True)
            points.append(point)
            nats.clear()
            begun += time.perf_counter() - stopped  # scoring does not count as training time
    return [*points, {"seconds": time.perf_counter() - begun, "steps": steps}]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file", type=Path)
    for name, default in {"minutes": 3.0, "lr": 3e-3, "dropout": 0.1}.items():
        p.add_argument(f"--{name}", type=float, default=default)
    for name, default in {"seed": 0, "hidden": 512, "embedding": 64, "batch": 32, "window": 64}.items():
        p.add_argument(f"--{name}", type=int, default=default)
    p.add_argument("--threads", type=int, help="default: the default of torch")
    o = p.parse_args()
    torch.manual_seed(o.seed)
    torch.set_num_threads(o.threads or torch.get_num_threads())
    text = o.file.read_bytes().decode("utf-8")  # without translation of line ends
    types = sorted(set(text))
    ids = torch.tensor([types.index(c) for c in text])
    cut = int(0.9 * len(ids))
    model = Plain(len(types), o.embedding, o.hidden, o.dropout)
    *curve, end = train(model, ids[:cut], ids[cut:], o)
    settings = {name: value for name, value in vars(o).items() if name != "file"}
    settings |= {"threads": torch.get_num_threads(), "parameters": sum(q.numel() for q in model.parameters())}
    print(json.dumps({"loss": score(model, ids[cut:], 1), **end, **settings, "curve": curve}))


if __name__ == "__main__":
    main()
