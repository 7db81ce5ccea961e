"""File formats of word vectors, one module per format. `FORMATS` is the registry, with one line per format."""

from __future__ import annotations

from pathlib import Path

from unrolled.data.vectors import model_folder, npy, text
from unrolled.data.vectors.vector_format import VectorFormat

# The first format that matches a path is used. Every other file is read as text.
FORMATS: dict[str, VectorFormat] = {
    "folder": VectorFormat(model_folder.matches, model_folder.files, model_folder.read),
    "npy": VectorFormat(npy.matches, npy.files, npy.read),
    "text": VectorFormat(lambda path: True, text.files, text.read),
}


def format_of(path: Path) -> VectorFormat:
    """Return the format of a file or folder of word vectors."""
    return next(one for one in FORMATS.values() if one.matches(path))
