"""Readers: one format each, from files to documents with file and line. They stream; nothing is read whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..types import Document
from . import text

READERS: dict[str, Callable[[Sequence[Path], str], Iterator[Document]]] = {"text": text.read}
