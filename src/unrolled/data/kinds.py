"""The kinds of content of x and of y, and what differs between them for readers. A new kind is one more entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ContentName = Literal["text", "numbers", "audio", "frames", "images", "tune"]
TargetName = Literal["label", "number", "tags", "next", "text"]

# Usual names of columns, in the order in which they are looked for.
_TEXT = ("text", "sentence", "review", "comment", "x")
_SOUND = ("audio", "sound", "wav", "path", "file", "filename", "clip", "x")
_MIDI = ("midi", "file", "path", "x")
_CLIP = ("clip", "video", "frames", "path", "file", "filename", "image", "x")
_IMAGE = ("image", "picture", "path", "file", "filename", "x")
_TRANSCRIPT = ("text", "transcript", "transcription", "sentence", "y")
_TARGET = ("label", "class", "category", "rating", "target", "tag", "tags", "genre", "y")
# Names of y that hold no measurements: a series whose next values are asked for has no use for them.
_CLASSES = ("label", "class", "category", "tag", "tags", "genre")


@dataclass(frozen=True)
class Content:
    """What x is.

    noun: for messages.  columns: usual names of its column; none: all columns of numbers.  targets: usual names of a y
    that is passed on in prediction.
    words: a text or its tokens.  numeric: numbers [T_x, n_x].  named: the name of a file that is opened later.
    parsed: the name of a file that the reader parses.  sound: a recording.
    parts: columns `start` and `end` may cut a part of the file.  folders: a folder of files is one x.
    stretches: whether tags are given as stretches of time: never, always, or by either form.
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
    """What y is.

    columns: usual names of its column.  one_class: one name for the sequence, which a folder's name may be.
    reals: numbers.  each: a name for each step.  ahead: the series itself; y may name the columns to be forecast.
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
    "images": Content("pictures", _IMAGE, named=True),
    "tune": Content("MIDI files", _MIDI, parsed=True),
}
TARGETS: dict[str, Target] = {
    "label": Target(one_class=True),
    "number": Target(reals=True),
    "tags": Target(("tags", "tag", *_TARGET), each=True),
    "next": Target(_CLASSES, ahead=True),
    "text": Target(_TRANSCRIPT, written=True),
}
NOTHING = Target()  # in prediction
