"""The error of an estimator that is used before it was fitted: scikit-learn's own too, where that is installed."""

from __future__ import annotations

from typing import Any

from unrolled.core.errors import UsageError


def _base() -> Any:
    """The class of scikit-learn, which has no types, or the built-in one that it derives from."""
    try:
        from sklearn.exceptions import NotFittedError as Base
    except ImportError:
        return AttributeError  # as scikit-learn's is one
    return Base


_BASE = _base()


class NotFittedError(UsageError, _BASE):
    """An estimator is used before `fit`."""
