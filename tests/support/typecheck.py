"""How annotations are checked in tests: by beartype, an int standing for a float as PEP 484 has it."""

from __future__ import annotations

from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Any) -> Any:
    """The function with its annotations checked; one that returns Self is not: beartype needs its class for that."""
    returned = str(getattr(function, "__annotations__", {}).get("return", ""))
    return function if returned in ("Self", "typing.Self") else _check(function)
