"""No text uses a word of forbidden_words.txt: docstrings, comments, messages, pages, the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.paths import PACKAGE, ROOT

LIST = Path(__file__).with_name("forbidden_words.txt")
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(PACKAGE.rglob("*.py"))]
}


def forbidden() -> dict[str, str]:
    """Each phrase, and what to write instead."""
    lines = (line.partition(" = ") for line in LIST.read_text(encoding="utf-8").splitlines())
    return {phrase: instead for phrase, equals, instead in lines if equals and not phrase.startswith("#")}


def pattern(phrase: str) -> re.Pattern[str]:
    """Finds a phrase as whole words. Between two of them may be a line end, and the mark of a comment."""
    words = r"\s+(?:#:?\s*)?".join(map(re.escape, phrase.split()))
    ends = r"(?!\w)" if phrase[-1].isalnum() else ""
    return re.compile(rf"(?<!\w){words}{ends}", re.IGNORECASE)


def test_a_phrase_is_found_over_a_line_end_and_only_as_whole_words():
    assert pattern("side by side").search("    # They run side\n    # by Side.")
    assert not pattern("ear").search("an earlier year")
    assert pattern("told (").search("each of them told (as here)")


@pytest.mark.parametrize("phrase", forbidden())
def test_no_text_uses(phrase: str):
    finds = pattern(phrase)
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        for name, text in TEXTS.items()
        for match in finds.finditer(text)
    ]
    assert found == [], f"instead of '{phrase}': {forbidden()[phrase]}"
