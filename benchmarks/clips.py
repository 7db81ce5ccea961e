"""Generate video clips of moving figures and doors, as .mp4 and .avi files.

There are six actions: a figure sits down, stands up, waves or jumps; a door opens or closes. `stand` is `sit`
in reverse and `close` is `open` in reverse: the frames are the same, only their order differs. Size,
position, speed, colours, background, noise, pauses, frame size and frame rate are random.
"""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

ACTIONS = ("sit", "stand", "open", "close", "wave", "jump")
PAIRS = (("sit", "stand"), ("open", "close"))  # the same frames in reverse order
PATHS = {"sit": (0.0, 1.0), "stand": (1.0, 0.0), "open": (0.0, 1.0), "close": (1.0, 0.0)}
FOLLOWING = {  # what may come after an action within one clip
    "sit": ("stand",),
    "stand": ("sit", "wave", "jump"),
    "wave": ("sit", "jump"),
    "jump": ("sit", "wave"),
    "open": ("close",),
    "close": ("open",),
}

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """The constant properties of a clip. side: size of a frame. x, y: position of the feet. size: height."""

    side: int
    rate: int
    x: float
    y: float
    size: float
    line: int
    colour: Colour
    second: Colour
    background: Picture
    noise: float
    mirrored: bool
    swings: float


def look(chance: random.Random) -> Look:
    """Return a random look."""
    side = chance.choice((64, 80, 96))
    size = side * chance.uniform(0.42, 0.68)
    dark = chance.random() < 0.5
    return Look(
        side=side,
        rate=chance.choice((12, 15, 20, 24, 25, 30)),
        x=chance.uniform(0.36, 0.64) * side,
        y=chance.uniform(0.8, 0.93) * side,
        size=size,
        line=max(2, round(size * chance.uniform(0.06, 0.1))),
        colour=_colour(chance, dark),
        second=_colour(chance, dark),
        background=_background(chance, side, dark),
        noise=chance.uniform(0, 10),
        mirrored=chance.random() < 0.5,
        swings=chance.uniform(1.5, 3.5),
    )


def _colour(chance: random.Random, dark: bool) -> Colour:
    low, high = (0, 90) if dark else (165, 255)
    return chance.randint(low, high), chance.randint(low, high), chance.randint(low, high)


def _background(chance: random.Random, side: int, dark: bool) -> Picture:
    """Return a background [side, side, 3]: a colour gradient, sometimes with stripes or blots.

    It has a high contrast to the figure.
    """
    low, high = (150, 235) if dark else (20, 105)
    ends = np.array([[chance.randint(low, high) for _ in range(3)] for _ in range(2)], float)
    slope = np.linspace(0, 1, side)[:, None] * np.ones(side)
    slope = slope if chance.random() < 0.5 else slope.T
    found = ends[0] + slope[..., None] * (ends[1] - ends[0])
    kind = chance.choice(("plain", "stripes", "blots"))
    if kind == "stripes":
        found += chance.uniform(4, 14) * np.sin(np.arange(side) * chance.uniform(0.2, 1.2))[None, :, None]
    picture = Image.fromarray(np.clip(found, 0, 255).astype(np.uint8))
    if kind == "blots":
        draw = ImageDraw.Draw(picture)
        for _ in range(chance.randint(2, 6)):
            x, y, r = chance.uniform(0, side), chance.uniform(0, side), chance.uniform(2, side / 8)
            draw.ellipse(
                (x - r, y - r, x + r, y + r), fill=tuple(chance.randint(low, high) for _ in range(3))
            )
    return np.asarray(picture, np.uint8)


def draw(action: str, share: float, how: Look) -> Image.Image:
    """Draw the frame at the fraction `share` (0 to 1) of an action."""
    picture = Image.fromarray(how.background)
    pen = ImageDraw.Draw(picture)
    if action in ("open", "close"):
        _door(pen, _eased(action, share), how)
    else:
        _figure(pen, action, share, how)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if how.mirrored else picture


def _eased(action: str, share: float) -> float:
    begin, end = PATHS[action]
    return begin + (end - begin) * (0.5 - 0.5 * math.cos(math.pi * share))


def _figure(pen: ImageDraw.ImageDraw, action: str, share: float, how: Look) -> None:
    """Draw head, body, a leg with a knee, and an arm with an elbow. Sitting moves the hips back and down."""
    h, x, y = how.size, how.x, how.y
    bent = _eased(action, share) if action in ("sit", "stand") else 0.0
    lift = 0.0
    arm = 0.12 * h, 0.34 * h  # where the hand is, from the shoulder
    if action == "jump":
        phase = (share * how.swings) % 1.0
        lift = 0.16 * h * max(0.0, math.sin(math.pi * phase))
        bent = 0.25 * max(0.0, 1 - 4 * min(phase, 1 - phase))
    if action == "wave":
        turn = math.sin(2 * math.pi * share * how.swings)
        arm = (0.16 + 0.14 * turn) * h, -(0.3 - 0.05 * abs(turn)) * h
    foot = x + 0.06 * h, y - lift
    hip = x - 0.2 * h * bent, y - lift - (0.45 - 0.2 * bent) * h
    knee = x + (0.06 + 0.14 * bent) * h, y - lift - 0.24 * h
    neck = hip[0] + 0.02 * h, hip[1] - 0.33 * h
    hand = neck[0] + arm[0], neck[1] + arm[1]
    for begin, end in ((foot, knee), (knee, hip), (hip, neck), (neck, hand)):
        pen.line((*begin, *end), fill=how.colour, width=how.line)
    r = 0.09 * h
    pen.ellipse((neck[0] - r, neck[1] - 2 * r, neck[0] + r, neck[1]), fill=how.second)


def _door(pen: ImageDraw.ImageDraw, opened: float, how: Look) -> None:
    """Draw a door frame, and a door that turns around its left side."""
    h, x, y = how.size, how.x, how.y
    width = 0.5 * h
    left, right, top = x - width / 2, x + width / 2, y - h
    shade = tuple(255 - part for part in how.colour)
    pen.rectangle((left, top, right, y), fill=shade, outline=how.second, width=how.line)
    angle = opened * 0.45 * math.pi
    end, deeper = left + width * math.cos(angle), 0.12 * h * math.sin(angle)
    pen.polygon(((left, top), (end, top + deeper), (end, y + deeper * 0.6), (left, y)), fill=how.colour)


def pictures(actions: tuple[str, ...], how: Look, chance: random.Random) -> tuple[list[Picture], list[str]]:
    """Return the frames of some actions in sequence, [side, side, 3] each, and the action of each frame.

    A single action has a pause before and after it. There is no pause between two actions, so that the second
    action begins at its first tag.
    """
    noise = np.random.default_rng(chance.getrandbits(32))
    found: list[Picture] = []
    tags: list[str] = []
    for action in actions:
        moving = max(4, round(chance.uniform(0.8, 2.0) * how.rate))
        shares = [step / (moving - 1) for step in range(moving)]
        if len(actions) == 1:
            before, after = (round(chance.uniform(0, 0.4) * how.rate) for _ in range(2))
            shares = [0.0] * before + shares + [1.0] * after
        for share in shares:
            clean = np.asarray(draw(action, share, how), float)
            found.append(np.clip(clean + noise.normal(0, how.noise, clean.shape), 0, 255).astype(np.uint8))
            tags.append(action)
    return found, tags


def write(path: Path, frames: list[Picture], rate: int) -> None:
    """Write a video file; the extension decides the codec: H.264 in .mp4, MPEG-4 in .avi."""
    codec = {".mp4": "libx264", ".avi": "mpeg4"}[path.suffix]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 800_000
        stream.codec_context.thread_count = 1
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_actions(folder: Path, count: int, seed: int, actions: tuple[str, ...] = ACTIONS) -> Path:
    """Write one folder per action, with `count` clips in total."""
    for number in range(count):
        chance = random.Random(seed * 1_000_003 + number)
        action = actions[number % len(actions)]
        how = look(chance)
        frames, _ = pictures((action,), how, chance)
        path = folder / action / f"{number:05d}{('.mp4', '.avi')[number // len(actions) % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, frames, how.rate)
    return folder


def write_changes(folder: Path, count: int, seed: int) -> Path:
    """Write clips of two actions, and a table of them, `clip,tags`, with one action per frame."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["clip,tags"]
    for number in range(count):
        chance = random.Random(seed * 1_000_003 + number)
        first = ACTIONS[number % len(ACTIONS)]
        how = look(chance)
        frames, tags = pictures((first, chance.choice(FOLLOWING[first])), how, chance)
        name = f"{number:05d}{('.mp4', '.avi')[number % 2]}"
        write(folder / name, frames, how.rate)
        rows.append(f"{name},{' '.join(tags)}")
    table = folder / "clips.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description="Write clips of six actions, with one folder per action.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--changes", action="store_true", help="two actions per clip, and a table of tags")
    options = parser.parse_args()
    (write_changes if options.changes else write_actions)(options.folder, options.count, options.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
