"""Find characters which show that a text is damaged or misleading."""

from __future__ import annotations

import re
import unicodedata
from html.entities import html5

from unrolled.analysis.check.findings import Findings
from unrolled.core.types import Place

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
# Zero-width characters, soft hyphen, marks of writing direction. No joiners: Persian and emoji need them.
INVISIBLE = frozenset("\u00ad\u200b\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_CYRILLIC = re.compile("[\u0400-\u052f]")
# Greek letters that look like Latin ones. Other Greek letters are normal in units and formulas.
GREEK = dict(
    zip(
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
        "ABEZHIKMNOPTYXo",
        strict=True,
    )
)
CYRILLIC = dict(
    zip(
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0405"
        "\u0406\u0408\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458",
        "ABEKMHOPCTXSIJaeopcyxsij",
        strict=True,
    )
)


def is_control(character: str) -> bool:
    """Return whether this is a control character other than tab and line ends."""
    return unicodedata.category(character) == "Cc" and character not in "\t\r\n"


def is_entity(text: str) -> bool:
    """Return whether a match of ENTITY is a valid HTML entity."""
    return text[1] == "#" or text[1:] in html5


def mixed_word(text: str) -> str | None:
    """Return the first word of Latin letters and Cyrillic letters, or Greek letters that look Latin."""
    if text.isascii():
        return None
    for word in _WORD.findall(text):
        if _LATIN.search(word) and (_CYRILLIC.search(word) or not GREEK.keys().isdisjoint(word)):
            return word
    return None


def look_at_text(text: str, place: Place, findings: Findings) -> None:
    """Add a finding for each kind of odd character in a text, at most one per kind."""
    if "\ufffd" in text:
        findings.odd("replacement character (text was decoded wrongly before)", place)
    if "<UNK>" in text or "<EOS>" in text:
        findings.odd("a literal <UNK> or <EOS> (kept as an ordinary token)", place)
    if not text.isprintable():
        control = next(filter(is_control, text), None)
        if control is not None:
            findings.odd("control character", place, f"U+{ord(control):04X}")
        hidden = next((c for c in text if c in INVISIBLE), None)
        if hidden is not None:
            findings.odd("invisible character", place, f"U+{ord(hidden):04X}")
    if "&" in text:
        entity = next((found for found in ENTITY.findall(text) if is_entity(found)), None)
        if entity is not None:
            findings.odd("HTML entity (not decoded)", place, entity)
    mixed = mixed_word(text)
    if mixed is not None:
        names = "+".join(_script(c) for c in mixed[:40])
        findings.odd("word of two scripts", place, f"{mixed[:40]!r} ({_runs(names)})")


def _script(character: str) -> str:
    return unicodedata.name(character, "?").split()[0].capitalize()


def _runs(names: str) -> str:
    """Return the distinct names of scripts: `Latin+Latin+Cyrillic` becomes `Latin, Cyrillic`."""
    return ", ".join(dict.fromkeys(names.split("+")))
