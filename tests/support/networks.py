"""Descriptions of networks from a flat list of fields, those of model files of format 1."""

from __future__ import annotations

from typing import Any

from unrolled.models.format_1 import Flat, network_of
from unrolled.models.network_spec import NetworkSpec


def spec_of(*parts: dict[str, Any], **given: Any) -> NetworkSpec:
    """The network of these fields; a later part, and `given`, replace the fields of an earlier one."""
    fields: dict[str, Any] = {}
    for part in (*parts, given):
        fields |= part
    return network_of(Flat(**fields))
