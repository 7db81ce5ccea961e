"""Name a part of a recording or a video as a media fragment (W3C, Media Fragments URI 1.0).

`a.wav#t=1.5,2.75` is the part of `a.wav` from 1.5 to 2.75 seconds. Such a name can be used like the path of a
file.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

_FRAGMENT = re.compile(r"(.+)#t=([0-9]+(?:\.[0-9]+)?)?(?:,([0-9]+(?:\.[0-9]+)?))?", re.DOTALL)


def part_of(path: Path, start: float, end: float) -> Path:
    """Return the name of the part from `start` to `end` (seconds).

    For 0 to infinity return the path itself.
    """
    if start == 0 and math.isinf(end):
        return path
    return Path(f"{path}#t={_shown(start)}" + ("" if math.isinf(end) else f",{_shown(end)}"))


def whole_of(path: Path) -> tuple[Path, float, float]:
    """Return the file of a name, and the start and the end of its part in seconds.

    A name without a fragment means the whole file: 0 and infinity. So does the name of an existing file, even
    if the name contains `#t=`.
    """
    found = _FRAGMENT.fullmatch(str(path))
    if found is None or "\0" in str(path) or path.exists():
        return path, 0.0, math.inf
    return Path(found[1]), float(found[2] or 0), float(found[3]) if found[3] else math.inf


def _shown(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
