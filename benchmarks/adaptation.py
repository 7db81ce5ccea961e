"""Language models that adapt to the text: static, dynamic evaluation, a continuous cache, and both.

Two books are measured by words and by characters: the King James Bible (lower case, punctuation split off; the
last 3,000 verses are the test part, the 3,000 before them the validation part) and War and Peace (files of
single lines, drawn at random: training, validation and test part). A file is one document. Each table has
one model and one test text. At most `--tokens` tokens of the text are read. With `--tune`, the table has two
more rows, whose settings were chosen on the validation part.

    python benchmarks/adaptation.py [FOLDER] --minutes 3 --tokens 40000 --tune
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kneser_ney
from results import data_folder, finish, parser, record, toolkit

VERSES = 3_000  # in the test part and in the validation part
SETTINGS = ("static", "dynamic", "cache", "both")


def flags(cache: str, tune: Path | None) -> dict[str, tuple[str, ...]]:
    """Return the options of each setting. tune: the text of the tuned settings; None: there are none."""
    alone, both = ("--cache", cache), ("--dynamic", "--cache", cache)
    found = dict(zip(SETTINGS, ((), ("--dynamic",), alone, both), strict=True))
    if tune is None:
        return found
    more = ("--tune", str(tune))
    return found | {"cache, tuned": (*alone, *more), "both, tuned": (*both, *more)}


def books(folder: Path, work: Path) -> dict[str, dict[str, Path]]:
    """Write the parts of both books into `work`. Return their files by book and part."""
    verses = (folder / "kjv-bible" / "kjv.txt").read_text(encoding="utf-8").lower().splitlines()
    lines = [" ".join(kneser_ney.split(verse)) + "\n" for verse in verses]
    kjv = {"train": lines[: -2 * VERSES], "valid": lines[-2 * VERSES : -VERSES], "test": lines[-VERSES:]}
    war = {
        part: (folder / "war-and-peace" / f"wap.{part}.txt").read_text(encoding="utf-8").splitlines(True)
        for part in kjv
    }
    work.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Path]] = {}
    for name, parts in (("King James Bible", kjv), ("War and Peace", war)):
        for part, text in parts.items():
            path = work / f"{name.replace(' ', '-').lower()}.{part}"
            path.write_text("".join(text), encoding="utf-8")
            found.setdefault(name, {})[part] = path
    return found


def beginning(path: Path, unit: str, tokens: int) -> Path:
    """Write the first lines of a text, at most about `tokens` words or characters, into a file."""
    kept: list[str] = []
    left = tokens
    for line in path.read_text(encoding="utf-8").splitlines(True):
        left -= len(line.split()) if unit == "word" else len(line)
        if left < 0:
            break
        kept.append(line)
    out = path.with_name(f"{path.name}.{unit}")
    out.write_text("".join(kept), encoding="utf-8")
    return out


def rows(
    name: str, parts: dict[str, Path], unit: str, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Train a model, unless it exists, and yield one row for each setting."""
    model = options.work / f"{parts['test'].stem}.{unit}.model"
    if not model.exists():
        toolkit(
            "train", "language", parts["train"], "--valid", parts["valid"], "--unit", unit, "--documents",
            "file", "--minutes", f"{options.minutes:g}", "--seed", "0", "--out", model,
            *shlex.split(options.extra),
        )  # fmt: skip
    text = beginning(parts["test"], unit, options.tokens)
    asked = options.settings.split(",")
    for label, given in flags(options.cache, parts["valid"] if options.tune else None).items():
        if label in SETTINGS and label not in asked:
            continue
        done = toolkit("evaluate", model, text, "--json", *given)
        found = json.loads(done.out)
        row = {
            "text": name,
            "unit": unit,
            "setting": label,
            "loss": found["loss"],
            "perplexity": found["perplexity"],
            "tokens": round(found["tokens"]),
            "unknown": found["unknown"],
            "seconds": round(done.seconds, 1),
        }
        print(json.dumps(row), file=sys.stderr, flush=True)
        yield row


def main() -> int:
    """Train the models, print the table and the record. The exit code is 1 if "both" is not the best."""
    options = _options()
    folder = data_folder(options.folder, "lm_word")
    folder = folder if (folder / "kjv-bible").is_dir() else folder / "lm_word"
    found = books(folder, options.work)
    table = [
        row
        for name in found
        for unit in options.units.split(",")
        for row in rows(name, found[name], unit, options)
    ]
    data = [path for parts in found.values() for path in parts.values()]
    settings = {
        "minutes": options.minutes,
        "tokens": options.tokens,
        "cache": options.cache,
        "extra": options.extra,
    }
    finish(record("adaptation", data, settings=settings, rows=table), table, options.json)
    return 1 if misses(table) else 0


def misses(table: list[dict[str, Any]]) -> list[str]:
    """Print and return what does not hold, if all settings were measured.

    Dynamic evaluation and the cache must be better than static, both together better than each.
    """
    told: list[str] = []
    losses: dict[tuple[str, str], dict[str, float]] = {}
    for row in table:
        losses.setdefault((row["text"], row["unit"]), {})[row["setting"]] = row["loss"]
    for (text, unit), loss in losses.items():
        if not set(SETTINGS) <= loss.keys():
            continue
        single = loss["dynamic"], loss["cache"]
        if not max(single) < loss["static"] or not loss["both"] < min(single):
            told.append(f"error: {text}, {unit}: not in the expected order")
    print(*told, sep="\n", file=sys.stderr)
    return told


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="has kjv-bible and war-and-peace")
    p.add_argument("--work", type=Path, default=Path("runs/adaptation"), metavar="DIR")
    p.add_argument("--minutes", type=float, default=3, metavar="M", help="time for each training")
    p.add_argument("--units", default="word,char", help="one or both")
    p.add_argument("--settings", default=",".join(SETTINGS), metavar="NAME,NAME...", help="rows to measure")
    p.add_argument("--tokens", type=int, default=40_000, metavar="N", help="of each test text")
    p.add_argument("--cache", default="2000", metavar="N", help="tokens of the cache")
    p.add_argument("--tune", action="store_true", help="also measure settings chosen on the validation text")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
