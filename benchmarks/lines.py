"""Recognition of text lines: images of digits and lower-case letters, in the fonts of the machine.

The images have random sizes, noise and rotation. The script writes images and tables, trains images:sequence
on some fonts, and measures it on other fonts.
"""

from __future__ import annotations

import argparse
import json
import random
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from results import finish, parser, record, toolkit

LETTERS = string.digits + string.ascii_lowercase
PLACES = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts/Supplemental",
)
HELD_OUT = 5  # every fifth font is only for the test
NAMES = {"test": "of this machine, held out", "others": "of other families"}
TABLE = "lines.csv"


def fonts(places: Sequence[str | Path] = PLACES) -> list[Path]:
    """Return the fonts in these folders that have all letters. Default: the folders of this machine."""
    files = (path for place in places for path in Path(place).rglob("*") if path.suffix in (".ttf", ".otf"))
    return [path for path in sorted(files) if _has_all(path)]


def _has_all(path: Path) -> bool:
    font = ImageFont.truetype(str(path), 20)
    drawn = {bytes(font.getmask(letter)) for letter in LETTERS}
    return len(drawn) == len(LETTERS)


def text(chance: random.Random) -> str:
    """Return one to four random words of one to seven letters and digits."""
    words = ("".join(chance.choices(LETTERS, k=chance.randint(1, 7))) for _ in range(chance.randint(1, 4)))
    return " ".join(words)


def draw(said: str, font: Path, chance: random.Random) -> Image.Image:
    """Return a grey image of a line of text."""
    face = ImageFont.truetype(str(font), chance.randint(18, 40))
    left, top, right, bottom = face.getbbox(said)
    edge = [chance.randint(2, 8) for _ in range(4)]
    size = int(right - left) + edge[0] + edge[1], int(bottom - top) + edge[2] + edge[3]
    ink, paper = chance.randint(0, 90), chance.randint(160, 255)
    if chance.random() < 0.3:
        ink, paper = paper, ink
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).text((edge[0] - left, edge[2] - top), said, fill=ink, font=face)
    tilted = picture.rotate(chance.uniform(-1.5, 1.5), Image.Resampling.BILINEAR, fillcolor=paper)
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0, chance.uniform(0, 14), (size[1], size[0]))
    return Image.fromarray(np.clip(np.asarray(tilted, float) + noise, 0, 255).astype(np.uint8))


def write(folder: Path, count: int, seed: int, faces: Sequence[Path]) -> Path:
    """Write images and a table of them, `image,text`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["image,text"]
    for number in range(count):
        chance = random.Random(seed * 1_000_003 + number)
        said = text(chance)
        draw(said, chance.choice(faces), chance).save(folder / f"{number:05d}.png")
        rows.append(f"{number:05d}.png,{said}")
    table = folder / TABLE
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def main() -> int:
    """Write, train, measure."""
    options = _options()
    found = fonts()
    faces = {
        "train": [path for number, path in enumerate(found) if number % HELD_OUT != 2],
        "test": [path for number, path in enumerate(found) if number % HELD_OUT == 2],
    }
    if options.others:
        faces["others"] = fonts([options.others])
    with tempfile.TemporaryDirectory(prefix="lines-") as temporary:
        folder = options.folder or Path(temporary)
        for seed, (name, some) in enumerate(faces.items(), 1):
            if not (folder / name / TABLE).exists():
                write(folder / name, options.lines if name == "train" else options.unseen, seed, some)
        model = folder / "model"
        done = toolkit(
            "train", "images:sequence", folder / "train" / TABLE, "--minutes", str(options.minutes),
            "--seed", str(options.seed), "--out", model, "--force", *options.more,
        )  # fmt: skip
        rows: list[dict[str, Any]] = []
        for name in [name for name in faces if name != "train"]:
            metrics = json.loads(toolkit("evaluate", model, folder / name / TABLE, "--json").out)
            rows.append({"fonts": NAMES[name], "count": len(faces[name]), "cer": metrics["cer"]})
    about = {name: vars(options)[name] for name in ("lines", "unseen", "minutes", "seed", "more")}
    about |= {"seconds": done.seconds, "trained on": len(faces["train"])}
    finish(record("lines", [Path(__file__)], **about, rows=rows), rows, options.json)
    return 0


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--folder", type=Path, help="folder for images and the model; existing ones are reused")
    made.add_argument("--others", type=Path, help="a folder of fonts of other families, for a second test")
    made.add_argument("--lines", type=int, default=6000, help="number of training lines")
    made.add_argument("--unseen", type=int, default=500)
    made.add_argument("--minutes", type=float, default=15)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("more", nargs="*", help="more options of train, after --")
    return made.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
