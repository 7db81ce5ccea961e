"""Small pictures of lines of digits, and a table of them."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw


def write_lines(folder: Path, count: int, seed: int) -> Path:
    """Pictures of a few digits, dark on light or light on dark, and a table of them."""
    folder.mkdir(parents=True)
    rows = ["image,text"]
    for number in range(count):
        chance = random.Random(seed * 1000 + number)
        said = "".join(chance.choices("0147", k=chance.randint(1, 4)))
        paper, ink = (240, 20) if number % 2 else (10, 220)
        picture = Image.new("L", (10 + 7 * len(said), 14), paper)
        ImageDraw.Draw(picture).text((chance.randint(1, 5), chance.randint(0, 2)), said, fill=ink)
        picture.save(folder / f"{number}.png")
        rows.append(f"{number}.png,{said}")
    (folder / "lines.csv").write_text("\n".join(rows) + "\n")
    return folder / "lines.csv"
