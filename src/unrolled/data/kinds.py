"""The kinds of x and of y, and the properties that readers need. To add a kind, add one entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ContentName = Literal["text", "numbers", "audio", "frames", "images", "tune"]
TargetName = Literal["label", "number", "tags", "next", "text"]

# Usual column names, in search order.
_TEXT = ("text", "sentence", "review", "comment", "x")
_SOUND = ("audio", "sound", "wav", "path", "file", "filename", "clip", "x")
_MIDI = ("midi", "file", "path", "x")
_CLIP = ("clip", "video", "frames", "path", "file", "filename", "image", "x")
_IMAGE = ("image", "picture", "path", "file", "filename", "x")
_TRANSCRIPT = ("text", "transcript", "transcription", "sentence", "y")
_TARGET = ("label", "class", "category", "rating", "target", "tag", "tags", "genre", "y")
# Usual column names of classes. They are not measurements, so a forecast of a series does not use them.
_CLASSES = ("label", "class", "category", "tag", "tags", "genre")


@dataclass(frozen=True)
class Content:
    """A kind of x.

    noun: plural noun for messages.
    columns: usual names of its column. If empty, x is all columns of numbers.
    targets: usual names of the column y in prediction, where y is optional and is returned unchanged.
    words: x is a text or its tokens.
    numeric: x is numbers [T_x, n_x].
    named: x is the name of a file that is opened later.
    parsed: x is the name of a file that the reader parses.
    sound: x is a recording.
    parts: the columns `start` and `end` may select a part of the file.
    folders: a folder of files is one x.
    stretches: whether tags are written as intervals of time: never, always, or either form.
    """

    noun: str
    columns: tuple[str, ...] = ()
    targets: tuple[str, ...] = _TARGET
    words: bool = False
    numeric: bool = False
    named: bool = False
    parsed: bool = False
    sound: bool = False
    parts: bool = False
    folders: bool = False
    stretches: Literal["never", "always", "either"] = "never"


@dataclass(frozen=True)
class Target:
    """A kind of y.

    columns: usual names of its column.
    one_class: one class per sequence; the name of a folder may be the class.
    reals: numbers.
    each: one tag per step.
    ahead: the next values of x itself; y may name the columns to forecast.
    written: a text.
    """

    columns: tuple[str, ...] = _TARGET
    one_class: bool = False
    reals: bool = False
    each: bool = False
    ahead: bool = False
    written: bool = False

    @property
    def whole(self) -> bool:
        """Whether all steps of a sequence must have the same y."""
        return self.one_class or self.reals

    @property
    def one_column(self) -> bool:
        """Whether y is one column of a table."""
        return self.one_class or self.each or self.written


CONTENTS: dict[str, Content] = {
    "text": Content("texts", _TEXT, words=True),
    "numbers": Content("numbers", numeric=True),
    "audio": Content(
        "sounds",
        _SOUND,
        (*_TARGET, *_TRANSCRIPT),
        named=True,
        sound=True,
        parts=True,
        stretches="always",
    ),
    "frames": Content("clips", _CLIP, named=True, parts=True, folders=True, stretches="either"),
    "images": Content("images", _IMAGE, named=True),
    "tune": Content("MIDI files", _MIDI, parsed=True),
}
TARGETS: dict[str, Target] = {
    "label": Target(one_class=True),
    "number": Target(reals=True),
    "tags": Target(("tags", "tag", *_TARGET), each=True),
    "next": Target(_CLASSES, ahead=True),
    "text": Target(_TRANSCRIPT, written=True),
}
NOTHING = Target()  # for prediction
