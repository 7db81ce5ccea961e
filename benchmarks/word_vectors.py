"""The gain of pretrained word vectors: `unrolled train` with and without `--vectors`, on four public sets.

* `trec`, `banking77`: short texts to 6 and 77 classes, with their own test sets; the metric is accuracy.
* `wikigold`: names; the last fifth of the sentences is the test set. `wnut`: WNUT-17, with its own sets. The
  metric of both is span F1.

The test set is read once per model. A tenth of the training set is held out for validation, or the development
set of WNUT-17 is used.

    python benchmarks/word_vectors.py [FOLDER] --vectors glove.6B.50d.txt --minutes 10 --sets trec,banking77
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from results import data_folder, finish, parser, record, toolkit

ACCURACY, SPANS = "accuracy", "span_f1"
SETS = {
    "trec": ("classify", "labels/trec/train.csv", None, "labels/trec/test.csv", ACCURACY),
    "banking77": ("classify", "labels/banking77/train.csv", None, "labels/banking77/test.csv", ACCURACY),
    "wikigold": ("tag", "tagging/wikigold/wikigold.conll", None, None, SPANS),
    "wnut": (
        "tag",
        "tagging/wnut17/wnut17train.conll",
        "tagging/wnut17/emerging.dev.conll",
        "tagging/wnut17/emerging.test.annotated",
        SPANS,
    ),
}


def last_fifth(path: Path, work: Path) -> tuple[Path, Path]:
    """Split a CoNLL file: the last fifth of its sentences is the test set. Return the two files."""
    blocks = [block for block in path.read_text(encoding="utf-8").split("\n\n") if block.strip()]
    cut = len(blocks) * 4 // 5
    parts = work / f"{path.stem}.train.conll", work / f"{path.stem}.test.conll"
    for part, own in zip(parts, (blocks[:cut], blocks[cut:]), strict=True):
        part.write_text("\n\n".join(own) + "\n", encoding="utf-8")
    return parts


def row(
    name: str, folder: Path, seed: int, vectors: Path | None, options: argparse.Namespace
) -> dict[str, Any]:
    """Train a model with or without vectors, and measure it on the test set."""
    task, first, second, third, metric = SETS[name]
    train, valid = folder / first, second and folder / second
    if third is None:
        train, test = last_fifth(train, options.work)
    else:
        test = folder / third
    model = options.work / f"{name}.{seed}.{'plain' if vectors is None else 'vectors'}"
    done = toolkit(
        "train", task, train, *(("--valid", valid) if valid else ()), "--seed", str(seed), "--threads", "1",
        *(("--minutes", f"{options.minutes:g}") if options.minutes else ()), "--out", model, "--force",
        *(("--vectors", vectors) if vectors is not None else ()), *shlex.split(options.extra),
    )  # fmt: skip
    found = json.loads(toolkit("evaluate", model, test, "--json").out)
    return {
        "set": name,
        "vectors": "none" if vectors is None else vectors.name,
        "seed": seed,
        metric: found[metric],
        "unknown": found["unknown"],
        "train seconds": round(done.seconds, 1),
        "megabytes": round(model.stat().st_size / 1e6, 2),
    }


def main() -> int:
    """Train and measure all models, and print the table."""
    options = _options()
    folder = data_folder(options.folder, "labels")
    options.work.mkdir(parents=True, exist_ok=True)
    names = options.sets.split(",")
    used = [folder / path for name in names for path in SETS[name][1:4] if path]
    rows: list[dict[str, Any]] = []
    for name in names:
        for seed in map(int, options.seeds.split(",")):
            for vectors in (options.vectors,) if options.only else (None, options.vectors):
                rows.append(row(name, folder, seed, vectors, options))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    settings = {"minutes": options.minutes, "extra": options.extra}
    finish(record("word_vectors", [*used, options.vectors], settings=settings, rows=rows), rows, options.json)
    return 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="with labels/ and tagging/")
    p.add_argument("--vectors", type=Path, required=True, metavar="FILE", help="pretrained word vectors")
    p.add_argument("--only", action="store_true", help="only with vectors")
    p.add_argument("--work", type=Path, default=Path("runs/word_vectors"), metavar="DIR")
    p.add_argument("--sets", default=",".join(SETS), help="default: all four")
    p.add_argument(
        "--minutes", type=float, default=10, metavar="M", help="time for each training; 0: no limit"
    )
    p.add_argument("--seeds", default="0", metavar="S,S...")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
