"""The error for an estimator that is used before `fit`.

It derives from scikit-learn's error if that is installed.
"""

from __future__ import annotations

from typing import Any

from unrolled.core.errors import UsageError


def _base() -> Any:
    """Return scikit-learn's NotFittedError (untyped), or AttributeError if scikit-learn is not installed."""
    try:
        from sklearn.exceptions import NotFittedError as Base
    except ImportError:
        return AttributeError  # a base class of scikit-learn's error
    return Base


_BASE = _base()


class NotFittedError(UsageError, _BASE):
    """The estimator is used before `fit`."""
