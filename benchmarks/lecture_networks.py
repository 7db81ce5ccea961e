"""Small networks for benchmarks/lecture.py, made of the layers of `unrolled.nn`, and the sequences that they learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled import nn

LAYERS = {"rnn": nn.RNN, "gru-simple": nn.GRUSimple, "gru": nn.GRU, "lstm": nn.LSTM}
WORDS = 20  # words of the made sequences; WORDS itself is the id of the padding
N_E, N_A = 16, 32  # numbers of an embedding, units of a recurrent layer
SINGULAR = ["cat", "dog", "bird", "horse", "girl"]
PLURAL = [word + "s" for word in SINGULAR]
OTHERS = ["and", "then", "saw", "a", "big", "old", "house", "near", "the", "green"]
FILLERS = [*OTHERS, *SINGULAR, *PLURAL]  # the words between subject and verb; its nouns mislead
Data = tuple[Tensor, Tensor, Tensor]  # x [N, T_x] ids, y [N, T_y] (-1: no answer), lengths [N]


class Recurrent(torch.nn.Module):
    """Embedding, one recurrent layer, and an answer of two classes at every step."""

    def __init__(self, cell: str, words: int = WORDS + 1, n_a: int = N_A) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(words, N_E)
        self.layer = LAYERS[cell](n_x=N_E, n_a=n_a)
        self.head = torch.nn.Linear(n_a, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the answers [batch, T_x, 2] to ids [batch, T_x]."""
        a, _ = self.layer(self.embedding(x), lengths=lengths)
        return self.head(a)


class Connected(torch.nn.Module):
    """A fully connected network: all steps at once, padded with zeros to `steps`, and an answer for each step."""

    def __init__(self, steps: int, n_a: int = 256) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(WORDS + 1, N_E, padding_idx=WORDS)
        self.hidden = torch.nn.Linear(steps * N_E, n_a)
        self.head = torch.nn.Linear(n_a, steps * 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the answers [batch, steps, 2] to ids [batch, steps]."""
        a = torch.relu(self.hidden(self.embedding(x).flatten(1)))
        return self.head(a).unflatten(1, (x.shape[1], 2))


@dataclass(frozen=True)
class Plan:
    """How a network is trained: steps of AdamW, sequences for each step, highest learning rate, seed."""

    steps: int
    batch: int = 32
    rate: float = 0.005
    seed: int = 0


def train(make: Callable[[], torch.nn.Module], draw: Callable[[int], Data], plan: Plan) -> torch.nn.Module:
    """Return a trained network. draw(step): the sequences of one step. The learning rate falls as a cosine."""
    torch.manual_seed(plan.seed)
    network = make()
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.steps)
    for step in range(plan.steps):
        x, y, lengths = draw(step)
        loss = F.cross_entropy(network(x, lengths).flatten(0, 1), y.flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


def batches(data: Data, plan: Plan) -> Callable[[int], Data]:
    """Return a function for `train` that draws sequences of a fixed set."""
    rng = torch.Generator().manual_seed(plan.seed)

    def draw(_: int) -> Data:
        chosen = torch.randint(len(data[0]), (plan.batch,), generator=rng)
        return data[0][chosen], data[1][chosen], data[2][chosen]

    return draw


@torch.inference_mode()
def right(network: torch.nn.Module, data: Data) -> Tensor:
    """Return [N, T_x] whether each answer is right; NaN where there is no answer to give."""
    x, y, lengths = data
    found = (network(x, lengths).argmax(-1) == y).float()
    return found.masked_fill(y < 0, float("nan"))


def parameters(network: torch.nn.Module) -> int:
    """Return the number of weights of a network."""
    return sum(p.numel() for p in network.parameters())


def neighbours(count: int, shortest: int, longest: int, steps: int, seed: int) -> Data:
    """Return random sequences: y^<t> is 1 if the words t and t - 1 are of the same half of the vocabulary.

    The word before the first one counts as a word of the first half. x is padded to `steps`.
    """
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(WORDS, (count, steps), generator=rng)
    half = (x >= WORDS // 2).long()
    before = F.pad(half[:, :-1], (1, 0))
    lengths = torch.randint(shortest, longest + 1, (count,), generator=rng)
    past = torch.arange(steps) >= lengths[:, None]
    return x.masked_fill(past, WORDS), (half == before).long().masked_fill(past, -1), lengths


def verbs(count: int, distances: tuple[int, int], rng: torch.Generator, spelled: bool = False) -> Data:
    """Return sentences "the cats k words ,": y is 1 at the comma if the subject is plural, and -1 elsewhere.

    distances: the smallest and the largest k, the number of words between the subject and the comma.
    spelled: the steps are characters instead of words.
    """
    steps, plural = list[list[int]](), torch.randint(2, (count,), generator=rng).tolist()
    for many in plural:
        k = int(torch.randint(distances[0], distances[1] + 1, (1,), generator=rng))
        subject = SINGULAR[int(torch.randint(len(SINGULAR), (1,), generator=rng))] + "s" * many
        fill = [FILLERS[i] for i in torch.randint(len(FILLERS), (k,), generator=rng).tolist()]
        steps.append(_ids(["the", subject, *fill, ","], spelled))
    lengths = torch.tensor([len(ids) for ids in steps])
    x, y = (torch.full((count, int(lengths.max())), value) for value in (0, -1))
    for row, ids in enumerate(steps):
        x[row, : len(ids)] = torch.tensor(ids)
        y[row, len(ids) - 1] = plural[row]
    return x, y, lengths


VOCABULARY = dict.fromkeys(["the", ",", *FILLERS])
NUMBER = {word: number for number, word in enumerate(VOCABULARY)}


def _ids(words: list[str], spelled: bool) -> list[int]:
    if not spelled:
        return [NUMBER[word] for word in words]
    text = " ".join(words)
    return [ord(letter) - ord("a") + 2 if letter.isalpha() else int(letter == ",") for letter in text]


def train_verbs(cell: str, distances: tuple[int, int], plan: Plan, spelled: bool = False) -> Recurrent:
    """Return a network that chooses between "was" and "were" after `distances` words; see `verbs`."""
    rng = torch.Generator().manual_seed(1000 + plan.seed)
    made = train(
        lambda: Recurrent(cell, len(NUMBER) + 28), lambda _: verbs(plan.batch, distances, rng, spelled), plan
    )
    return cast(Recurrent, made)


def verbs_right(network: Recurrent, distance: int, count: int = 300, spelled: bool = False) -> float:
    """Return the fraction of right verbs after `distance` words, on new sentences."""
    data = verbs(count, (distance, distance), torch.Generator().manual_seed(5), spelled)
    return float(right(network, data).nanmean())
