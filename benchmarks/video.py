"""Actions in generated clips (clips.py): a recurrent model against the same convolution on a bag of frames.

The first test has six actions; two pairs of them differ only in the order of their frames. The second test
has clips of two actions, and measures where the second action begins.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clips import PAIRS, write_actions, write_changes
from results import finish, parser, record, toolkit
from unrolled.core.config import build
from unrolled.core.types import Vary
from unrolled.data.features.video_augment import clip_augmenter
from unrolled.datasets.example_batches import ExampleEpoch, batches_by_length
from unrolled.datasets.example_dataset import prepare
from unrolled.datasets.example_source import ExampleSource, from_files
from unrolled.datasets.example_store import Examples
from unrolled.models.frontends import FRONTS
from unrolled.models.network_spec import Classes, CoreSpec, FrontSpec, NetworkSpec, Vectors
from unrolled.nn.frontends import front
from unrolled.tasks.fill import resolve_data

NEAR = 3  # frames, at the frame rate of the model


def bag_of_frames(
    train: Examples, n_y: int, n_x: int, epochs: int, seed: int, vary: Vary | None = None, size: int = 64
) -> Mapping[str, Tensor]:
    """Train the convolution of models/frontends/image_conv.py without a recurrent layer.

    The features are the mean and the maximum over all frames, followed by the output layer. Batches, AdamW
    and cosine decay are those of the recurrent model.
    """
    spec = _spec(n_x, n_y, size)
    rng = np.random.default_rng(seed)
    first = FRONTS["frames"].initialise(spec.front_sizes, rng)
    p = {f"front.{name}": torch.tensor(value, dtype=torch.float32) for name, value in first.items()}
    p["head.W_ya"] = torch.tensor(
        rng.uniform(-1, 1, (n_y, 2 * size)) * (2 * size) ** -0.5, dtype=torch.float32
    )
    p["head.b_y"] = torch.zeros(n_y)
    for value in p.values():
        value.requires_grad_()
    batch_size = int(min(32, max(4, len(train) // 25)))
    optimizer = torch.optim.AdamW(list(p.values()), lr=2e-3)
    whole = epochs * len(ExampleEpoch(train, batch_size, seed, 0, np.zeros(0, np.bool_)))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, whole)
    for number in range(epochs):
        for batch in ExampleEpoch(train, batch_size, seed, number, np.zeros(0, np.bool_), vary):
            loss = F.cross_entropy(_bag(spec, p, batch.x, batch.lengths), torch.from_numpy(batch.y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return p


def bag_answers(p: Mapping[str, Tensor], part: Examples, n_y: int, n_x: int, size: int = 64) -> list[int]:
    """Return the class of each sequence, in order."""
    found = [0] * len(part)
    for batch, numbers in batches_by_length(part, 32):
        with torch.no_grad():
            best = _bag(_spec(n_x, n_y, size), p, batch.x, batch.lengths).argmax(1)
        for number, one in zip(numbers.tolist(), best.tolist(), strict=True):
            found[number] = one
    return found


def _spec(n_x: int, n_y: int, size: int) -> NetworkSpec:
    return NetworkSpec(Vectors(n_x, FrontSpec("frames", size)), CoreSpec(size), Classes(n_y))


def _bag(spec: NetworkSpec, p: Mapping[str, Tensor], x: Any, lengths: Any) -> Tensor:
    ends = torch.from_numpy(lengths)
    a, _ = front(spec, p, torch.from_numpy(x).float(), ends, None)  # [batch, T, size]
    past = (torch.arange(a.shape[1]) >= ends.unsqueeze(1)).unsqueeze(2)
    mean = a.masked_fill(past, 0.0).sum(1) / ends.unsqueeze(1)
    largest = a.masked_fill(past, -torch.inf).amax(1)
    return F.linear(torch.cat([mean, largest], dim=1), p["head.W_ya"], p["head.b_y"])


def split(tags: Sequence[str]) -> tuple[int, str, str]:
    """Split tags into two actions with the fewest errors.

    Return the first step of the second action, and both names.
    """
    best = (-1, 0, "", "")
    for at in range(1, len(tags)):
        (one, many), (other, more) = (Counter(part).most_common(1)[0] for part in (tags[:at], tags[at:]))
        if one != other:
            best = max(best, (many + more, at, one, other))
    return best[1:]


def shares(true: Sequence[str], guessed: Sequence[str]) -> dict[str, float]:
    """Return the accuracy on all clips, and on the pairs that differ only in the order of frames."""
    in_pairs = {name for pair in PAIRS for name in pair}
    right = [a == b for a, b in zip(true, guessed, strict=True)]
    ordered = [one for one, name in zip(right, true, strict=True) if name in in_pairs]
    return {"accuracy": float(np.mean(right)), "order pairs": float(np.mean(ordered))}


def actions(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure recognize and the bag of frames on unseen clips."""
    train, test = folder / "train", folder / "test"
    if not test.exists():
        write_actions(train, options.clips, 1)
        write_actions(test, options.unseen, 2)
    model = folder / "actions"
    done = toolkit(
        "train", "recognize", train, "--minutes", str(options.minutes), "--seed", str(options.seed),
        "--out", model, "--force", *options.more,
    )  # fmt: skip
    said = toolkit("predict", model, test, "--format", "jsonl").out.splitlines()
    rows = [json.loads(line) for line in said]
    true = [row["id"].partition("/")[0] for row in rows]
    found = [{"model": "recognize", **shares(true, [row["label"] for row in rows]), "seconds": done.seconds}]
    config = resolve_data(build("recognize"))
    with tempfile.TemporaryDirectory() as work:
        ready = prepare(from_files([train], config), from_files([test], config), config, Path(work))
        assert ready.valid is not None
        classes = ready.output.to_json()["classes"]
        n_y, n_x = len(classes), ready.input.n_x
        vary = clip_augmenter(ready.input, flip=False, steady=False)
        p = bag_of_frames(ready.train, n_y, n_x, options.bag_epochs, options.seed, vary)
        guessed = [classes[one] for one in bag_answers(p, ready.valid, n_y, n_x)]
        true = [classes[int(ready.valid.asked(number))] for number in range(len(ready.valid))]
    return [*found, {"model": f"bag of frames, {options.bag_epochs} epochs", **shares(true, guessed)}]


def changes(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure frames:tags on clips of two actions: how far the predicted change is from the true one."""
    tables = folder / "two" / "clips.csv", folder / "unseen" / "clips.csv"
    if not tables[1].exists():
        write_changes(tables[0].parent, options.clips, 3)
        write_changes(tables[1].parent, options.unseen, 4)
    model = folder / "changes"
    done = toolkit(
        "train", "frames:tags", tables[0], "--minutes", str(options.minutes), "--seed", str(options.seed),
        "--out", model, "--force", *options.more,
    )  # fmt: skip
    said = toolkit("predict", model, tables[1], "--format", "jsonl").out.splitlines()
    truth = [example.y for example in _opened(from_files([tables[1]], resolve_data(build("frames:tags"))))]
    near, right = [], []
    for line, tags in zip(said, truth, strict=True):
        guessed, true = split(json.loads(line)["tags"]), split(tags)
        near.append(abs(guessed[0] - true[0]) <= NEAR)
        right.append(guessed[1:] == true[1:])
    return [
        {
            "model": "frames:tags",
            f"change within {NEAR}": float(np.mean(near)),
            "both actions": float(np.mean(right)),
            "seconds": done.seconds,
        }
    ]


def _opened(data: ExampleSource) -> list[Any]:
    from unrolled.datasets.example_dataset import load_files
    from unrolled.tasks.inputs import INPUTS

    given, _ = INPUTS["frames"].learn(data.examples(), resolve_data(build("frames:tags")).data)
    return list(load_files(data, given, INPUTS["frames"]))


def main() -> int:
    """Run both tests."""
    made = parser(__doc__)
    made.add_argument("--folder", type=Path, help="folder for clips and models; existing ones are reused")
    made.add_argument("--clips", type=int, default=1200, help="number of training clips")
    made.add_argument("--unseen", type=int, default=300)
    made.add_argument("--minutes", type=float, default=10)
    made.add_argument("--bag-epochs", type=int, default=20)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--only", choices=("actions", "changes"))
    made.add_argument("more", nargs="*", help="more options of train, after --")
    options = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="clips-") as temporary:
        folder = options.folder or Path(temporary)
        rows: list[dict[str, Any]] = []
        for part in (actions, changes):
            if options.only in (None, part.__name__):
                rows += part(options, folder)
    made_by = [Path(__file__).with_name("clips.py")]  # clips.py generates the clips
    about = {name: vars(options)[name] for name in ("clips", "unseen", "minutes", "seed", "more")}
    finish(record("video", made_by, **about, rows=rows), rows, options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
