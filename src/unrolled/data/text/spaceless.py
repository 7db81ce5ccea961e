"""Detect texts in scripts without spaces between words.

The scripts are Chinese, Japanese, Thai, Lao, Khmer, Burmese and Tibetan.
If such a text is split at spaces, most tokens are whole clauses that occur only once. Characters are the
better unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LETTERS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
_LETTER = re.compile(f"[{_LETTERS}]")
_SPACED = re.compile(rf"[{_LETTERS}]\s+(?=[{_LETTERS}])")
_ANY_LETTER = re.compile(r"[^\W\d_]")
FEW = 0.1  # maximum spaces per letter; texts that are already split into words have at least three times more


def without_spaces(texts: Iterable[str]) -> bool:
    """Whether most letters of the texts belong to such scripts, with few spaces between these letters."""
    own = spaces = every = 0
    for text in texts:
        if text.isascii():
            every += len(_ANY_LETTER.findall(text))
            continue
        own += len(_LETTER.findall(text))
        spaces += len(_SPACED.findall(text))
        every += len(_ANY_LETTER.findall(text))
    return own > every / 2 and spaces < FEW * own
