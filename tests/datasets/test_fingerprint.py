"""The fingerprint of data: what is read changes it; what lies beside it in a folder does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.small_tunes import write_tunes
from support.tones import sound, write
from unrolled.core.config import build
from unrolled.datasets.example_source import from_files
from unrolled.tasks.fill import resolve_data

LITTER = (
    "Thumbs.db",
    "desktop.ini",
    "notes.txt~",
    "4.txt.swp",
    "lost.tmp",
    "#1.txt#",
    ".DS_Store",
    "sub/.git/x",
)


def texts(folder: Path) -> Path:
    for label in ("good", "bad"):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            (folder / label / f"{number}.txt").write_text(f"{label} {number}")
    return folder / "good" / "1.txt"


def recordings(folder: Path) -> Path:
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        written = write(folder / label / "1.wav", sound(label, 0))
    return written


def tunes(folder: Path) -> Path:
    write_tunes(folder, 3)
    return sorted(folder.rglob("*.mid"))[0]


@pytest.mark.parametrize(
    ("task", "make", "unread"),
    [
        ("classify", texts, ("plot.png",)),
        ("audio:label", recordings, ("a/cover.jpg", "README.md", "b/answers.txt")),
        ("compose", tunes, ("README.md", "cover.jpg")),
    ],
)
def test_only_files_that_are_read_change_the_fingerprint(
    tmp_path: Path, task: str, make, unread: tuple[str, ...]
):
    folder = tmp_path / "data"
    folder.mkdir()
    one = make(folder)
    config = resolve_data(build(task))
    before = from_files([folder], config).sha256
    for name in (*LITTER, *unread):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
        assert from_files([folder], config).sha256 == before, name
    one.write_bytes(one.read_bytes()[:-1] + b"!" if task == "classify" else one.read_bytes() + b"\0")
    assert from_files([folder], config).sha256 != before
    one.unlink()
    assert from_files([folder], config).sha256 != before
