"""`python -m unrolled` is the command line."""

import sys
from importlib import import_module
from pathlib import Path

import unrolled

# `python -m` puts the current folder first on the search path. It may be a folder of untrusted data, and
# nothing in it may be executed: a module `queue` there would be imported in place of the standard library's module.
here = Path.cwd()
if sys.path[:1] == [str(here)] and here != Path(unrolled.__path__[0]).parent:
    del sys.path[0]

raise SystemExit(import_module("unrolled.cli").main())
