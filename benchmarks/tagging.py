"""Tagging of parts of speech (EWT) and names (WNUT-17): the toolkit against CRFsuite and simple baselines.

No pretrained vectors are used. The development part chooses the epoch, and the test part is read once per
model. EWT is the UD English corpus; its metric is the fraction of gold tokens with the right UPOS. The
metrics of WNUT-17 are the F1 of entities and the F1 of their distinct surface forms
(`tasks/metrics/spans.py`), as in the shared task.

    python benchmarks/tagging.py [FOLDER] --minutes 20 --sets ewt,wnut --seeds 0
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results import data_folder, finish, parser, record, toolkit
from unrolled.analysis.baselines import Baseline
from unrolled.analysis.baselines.majority import majority_tag
from unrolled.analysis.baselines.tags import crf, word_tag
from unrolled.core.config import build
from unrolled.core.types import Example
from unrolled.datasets.example_source import from_files
from unrolled.tasks.metrics import spans

SETS = {
    "ewt": (
        "ud_english_ewt/train.conllu.gz",
        "ud_english_ewt/dev.conllu.gz",
        "ud_english_ewt/test.conllu.gz",
    ),
    "wnut": ("wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", "wnut17/emerging.test.annotated"),
}


def read(path: Path) -> list[Example]:
    """Read the sentences of a file."""
    return list(from_files([path], build("tag")).examples())


def figures(test: Sequence[Example], tags: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the metrics of predicted tags."""
    gold = [tuple(str(tag) for tag in one.y or ()) for one in test]
    right = sum(a == b for g, p in zip(gold, tags, strict=True) for a, b in zip(g, p, strict=True))
    found = {"accuracy": right / sum(map(len, gold))}
    if spans.detect_scheme(gold) != "none":
        words = [tuple(str(word) for word in one.x) for one in test]
        found |= {
            "span F1": spans.tally(gold, tags).overall.f1,
            "surface F1": spans.surface_f1(words, gold, tags),
        }
    return found


def toolkit_row(
    name: str, paths: tuple[Path, Path, Path], seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Run `unrolled train tag` with its defaults, and measure its answers to the test sentences."""
    model = options.work / f"{name}.{seed}"
    train, valid, test = paths
    trained = toolkit(
        "train", "tag", train, "--valid", valid, "--minutes", f"{options.minutes:g}", "--seed", str(seed),
        "--out", model, "--force", *shlex.split(options.extra),
    )  # fmt: skip
    answered = toolkit("predict", model, test, "--format", "jsonl")
    tags = [json.loads(line)["tags"] for line in answered.out.splitlines()]
    return {
        "set": name,
        "model": "unrolled",
        "seed": seed,
        **figures(read(test), tags),
        "train seconds": round(trained.seconds, 1),
        "megabytes": round(model.stat().st_size / 1e6, 2),
    }


def baseline_row(name: str, run: Any, train: list[Example], test: list[Example]) -> dict[str, Any]:
    """Measure a baseline that is trained only on the training part."""
    done: Baseline = run(train, test)
    tags = [list(map(str, row)) for row in done.predictions]
    return {
        "set": name,
        "model": done.name,
        **figures(test, tags),
        "train seconds": round(done.seconds, 1),
        "note": done.note,
    }


def main() -> int:
    """Run the baselines, train the models, and print the table."""
    options = _options()
    folder = data_folder(options.folder, "tagging")
    options.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    used: list[Path] = []
    for name in options.sets.split(","):
        paths = tuple(folder / part for part in SETS[name])
        used += paths
        train, test = read(paths[0]), read(paths[2])
        runs = [majority_tag, word_tag] + ([crf] if options.crf else [])
        for run in runs:
            rows.append(baseline_row(name, run, train, test))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        for seed in (int(one) for one in options.seeds.split(",") if one):
            rows.append(toolkit_row(name, (paths[0], paths[1], paths[2]), seed, options))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    settings = {"minutes": options.minutes, "extra": options.extra}
    finish(record("tagging", used, settings=settings, rows=rows), rows, options.json)
    return 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="with ud_english_ewt/ and wnut17/")
    p.add_argument("--work", type=Path, default=Path("runs/tagging"), metavar="DIR")
    p.add_argument("--sets", default="ewt,wnut", help="one or both")
    p.add_argument("--minutes", type=float, default=20, metavar="M", help="time for each training")
    p.add_argument("--seeds", default="0", metavar="S,S...", help="empty: only the baselines")
    p.add_argument("--no-crf", dest="crf", action="store_false", help="without CRFsuite, which is slow")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
