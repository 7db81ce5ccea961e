"""The baseline for translation: a simple encoder-decoder with torch.nn.

The model is nn.Embedding, a bidirectional nn.LSTM, an nn.LSTM that starts from its last state, multiplicative
attention over padded batches, and Linear. It is trained with AdamW, linear warm-up and cosine decay to zero
over the time, gradient clipping and dropout. The answers are greedy. Words are tokenised as in `unrolled`.

`--minutes` is only the training time, without imports, reading and answers. With `--threads 1` it is CPU
time, so that other work on the machine has no effect.

    python benchmarks/plain_translate.py TRAIN.x TRAIN.y DEV.x DEV.y TEST.x TEST.y --minutes 20 --lr 0.002
    --out F.json
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from unrolled.data.text.vocabulary import EOS
from unrolled.tasks.inputs.tokens import Reading, learn_reading

Pair = tuple[Tensor, Tensor]
ROWS = 64


class Plain(nn.Module):
    """A model from ids to the logits of y, batch-first.

    The id after the last one is for padding and the start of y.
    """

    def __init__(self, n_x: int, n_y: int, size: int, embedding: int, dropout: float):
        super().__init__()
        self.n_x, self.n_y = n_x, n_y
        self.source, self.target = nn.Embedding(n_x + 1, embedding), nn.Embedding(n_y + 1, embedding)
        self.encoder = nn.LSTM(embedding, size, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(embedding, size, batch_first=True)
        self.bridge = nn.Linear(2 * size, size)
        self.keys, self.join = nn.Linear(2 * size, size, bias=False), nn.Linear(3 * size, size)
        self.head, self.dropout = nn.Linear(size, n_y), nn.Dropout(dropout)

    def read(self, x: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Return the values, a mask of the padding, and the first state of the decoder."""
        values, last = self.encoder(self.dropout(self.source(x)))
        a, c = (self.bridge(torch.cat([part[0], part[1]], dim=1)).unsqueeze(0) for part in last)
        return self.dropout(values), x == self.n_x, (a, c)

    def write(
        self, before: Tensor, values: Tensor, past: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the logits [batch, T_y, n_y] of the ids that follow `before`, and the state."""
        a, state = self.decoder(self.dropout(self.target(before)), state)
        scores = (a @ self.keys(values).transpose(1, 2)).masked_fill(past.unsqueeze(1), -1e9)
        context = F.softmax(scores, dim=-1) @ values
        return self.head(self.dropout(torch.tanh(self.join(torch.cat([a, context], dim=-1))))), state

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean nats per token."""
        before = torch.cat([torch.full_like(y[:, :1], self.n_y), y[:, :-1]], dim=1)
        logits, _ = self.write(before, *self.read(x))
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=self.n_y)


def batches(model: Plain, pairs: list[Pair]) -> list[Pair]:
    """Return padded batches of pairs with similar lengths."""
    ordered = sorted(pairs, key=lambda pair: len(pair[0]))
    groups = [ordered[i : i + ROWS] for i in range(0, len(ordered), ROWS)]
    return [
        (
            pad_sequence([x for x, _ in group], True, model.n_x),
            pad_sequence([y for _, y in group], True, model.n_y),
        )
        for group in groups
    ]


def clock() -> float:
    """Return the time in seconds; with one thread, the CPU time."""
    return time.process_time() if torch.get_num_threads() == 1 else time.monotonic()


def rate(share: float) -> float:
    """Return the factor of the learning rate at the fraction `share` of the budget: warm-up, then cosine."""
    return min(1.0, share / 0.03) * 0.5 * (1 + math.cos(math.pi * share))


def train(model: Plain, pairs: list[Pair], minutes: float, lr: float) -> float:
    """Train until the budget is used. Return the target tokens per second."""
    optimizer, chance = (
        torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.99), fused=True),
        random.Random(0),
    )
    begun, tokens, waiting = clock(), 0, list[Pair]()
    while (share := (clock() - begun) / (60 * minutes)) < 1:
        if not waiting:
            waiting = batches(model, pairs)
            chance.shuffle(waiting)
        x, y = waiting.pop()
        optimizer.param_groups[0]["lr"] = lr * rate(share)
        optimizer.zero_grad(set_to_none=True)
        model.loss(x, y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += int((y != model.n_y).sum())
    return tokens / (clock() - begun)


@torch.no_grad()
def answers(model: Plain, x: list[Tensor], limit: int = 200) -> list[list[int]]:
    """Return the greedy answers, one after the other."""
    said: list[list[int]] = []
    for one in x:
        values, past, state = model.read(one.unsqueeze(0))
        ids, last = list[int](), model.n_y
        while last != EOS and len(ids) < limit:
            logits, state = model.write(torch.tensor([[last]]), values, past, state)
            last = int(logits[0, 0].argmax())
            ids.append(last)
        said.append([number for number in ids if number != EOS])
    return said


def encoded(reading: Reading, lines: list[str], end: bool) -> list[Tensor]:
    return [torch.tensor([*reading.encode(line).tolist(), *([EOS] if end else [])]) for line in lines]


def asked(description: str | None) -> argparse.Namespace:
    """Parse the command line, and set threads and seed of torch."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("files", nargs=6, type=Path)
    for name, default in (("minutes", 20.0), ("lr", 2e-3), ("dropout", 0.3)):
        made.add_argument(f"--{name}", type=float, default=default)
    made.add_argument("--hidden", type=int, default=128)
    made.add_argument("--threads", type=int, default=0)
    made.add_argument("--out", type=Path)
    o = made.parse_args()
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    return o


def tell(out: Path | None, model: nn.Module, begun: float, said: list[str], **found: float) -> None:
    """Write the results, the answers and the time since `begun` as JSON."""
    speed = len(said) / (time.monotonic() - begun)
    parameters = sum(p.numel() for p in model.parameters())
    found |= {"sentences_s": speed, "parameters": parameters}
    text = json.dumps({**found, "said": said}, ensure_ascii=False)
    print(text) if out is None else out.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    o = asked(__doc__)
    texts = [path.read_text(encoding="utf-8").splitlines() for path in o.files]
    readings = [learn_reading(texts[end], "subword", False, 10_000)[0] for end in (0, 1)]
    x, y = ([encoded(readings[end], texts[part + end], bool(end)) for part in (0, 2, 4)] for end in (0, 1))
    model = Plain(len(readings[0].vocabulary), len(readings[1].vocabulary), o.hidden, 128, o.dropout)
    speed = train(model, list(zip(x[0], y[0], strict=True)), o.minutes, o.lr)
    model.eval()  # no dropout in the measurement
    with torch.no_grad():
        held = batches(model, list(zip(x[1], y[1], strict=True)))
        dev = sum(float(model.loss(*batch)) * len(batch[0]) for batch in held) / len(x[1])
    begun = time.monotonic()
    said = [readings[1].text(ids) for ids in answers(model, x[2])]
    tell(o.out, model, begun, said, dev_loss=dev, tokens_s=speed)


if __name__ == "__main__":
    main()
