"""Find texts without spaces between words (Chinese, Japanese, Thai) if the chosen unit splits at spaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from unrolled.analysis.check.findings import Findings
from unrolled.core.config import Config
from unrolled.core.types import Example
from unrolled.data.text.spaceless import without_spaces
from unrolled.data.text.tokenize import split
from unrolled.tasks.inputs import input_of

SPLIT_AT_SPACES = ("word", "white")


def look_for_spaces(config: Config, writes: bool, examples: Iterable[Example], findings: Findings) -> None:
    """Add a finding if the texts x of `examples` have no spaces between words.

    writes: y is a text too, and is examined in the same way.
    """
    data = config.data
    reads = input_of(config.task).content.words
    units = {
        "x": data.source_unit or data.unit if reads else None,
        "y": data.target_unit or data.unit if writes else None,
    }
    asked = [side for side, unit in units.items() if unit in SPLIT_AT_SPACES]
    some = list(examples) if asked else []
    for side in asked:
        texts = [text for text in (getattr(one, side) for one in some) if isinstance(text, str)]
        if not without_spaces(texts):
            continue
        counts = Counter(token for text in texts for token in split(text, "word"))
        once = sum(count == 1 for count in counts.values())
        detail = f'{once:,} of {len(counts):,} "words" occur once; try --unit char'
        findings.odd(f"no spaces between the words of {side}", some[0].place, detail)
