"""A part of a recording or a video, named as a media fragment: `a.wav#t=1.5,2.75` is what lies between 1.5 and 2.75
seconds (W3C, Media Fragments URI 1.0). So a part has a name wherever a file has one."""

from __future__ import annotations

import math
import re
from pathlib import Path

_FRAGMENT = re.compile(r"(.+)#t=([0-9]+(?:\.[0-9]+)?)?(?:,([0-9]+(?:\.[0-9]+)?))?", re.DOTALL)


def part_of(path: Path, start: float, end: float) -> Path:
    """The name of the part between two moments in seconds; the path itself where that is all of it."""
    if start == 0 and math.isinf(end):
        return path
    return Path(f"{path}#t={_shown(start)}" + ("" if math.isinf(end) else f",{_shown(end)}"))


def whole_of(path: Path) -> tuple[Path, float, float]:
    """The file that a name stands for, and where its part begins and ends in seconds: 0 and infinity of a whole one. A
    file whose own name looks like a part is a whole one."""
    found = _FRAGMENT.fullmatch(str(path))
    if found is None or "\0" in str(path) or path.exists():
        return path, 0.0, math.inf
    return Path(found[1]), float(found[2] or 0), float(found[3]) if found[3] else math.inf


def _shown(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
