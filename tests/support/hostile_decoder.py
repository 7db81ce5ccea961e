"""A decoder that does what a broken decoder may do; the sandbox runs it in a subprocess."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import numpy as np


def decode(path: str) -> tuple[np.ndarray, dict[str, int]]:
    """Hang, crash, print, raise or take too much memory, as the path says; otherwise a small array.

    Behind a colon may stand the name of a file that is made first.
    """
    path, _, mark = path.partition(":")
    if mark:
        Path(mark).touch()
    if path == "hang":
        time.sleep(600)
    if path == "stuck":
        ctypes.PyDLL(None).pause()  # never returns, and no other thread of Python runs meanwhile
    if path == "swell":
        return np.zeros(1 << 32, np.uint8), {}
    if path == "crash":
        os.abort()
    if path == "print":
        print("not an answer", flush=True)
    if path == "wrong":
        raise KeyError("some library's")
    return np.arange(6, dtype=np.uint8).reshape(2, 3), {"pid": os.getpid()}
