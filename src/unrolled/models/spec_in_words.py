"""Describe a network in words, for messages and reports."""

from __future__ import annotations

from unrolled.models.network_spec import Bits, Classes, DecoderSpec, Embedding, NetworkSpec, OneHot, Vectors


def in_words(spec: NetworkSpec) -> str:
    """Describe a network in words, such as `1 x 128 lstm, both directions, embedding 64`."""
    core = spec.core
    found = [f"{core.layers} x {core.n_a} {core.cell}", *(["both directions"] if core.bidirectional else [])]
    match spec.input:
        case OneHot():
            found.append("one-hot input")
        case Embedding(size=size, vectors=vectors):
            found.append(f"embedding {size}")
            found += [f"{vectors.rows:,} pretrained vectors of {vectors.width}"] if vectors else []
        case Vectors(n_x=n_x, front=front):
            found.append(f"{n_x} inputs")
            found += [f"convolution with {front.size} outputs"] if front else []
    match spec.head:
        case Bits(neighbours=neighbours) if neighbours:
            found.append(f"{neighbours} hidden units for neighbouring piano keys")
        case Classes(layer="tied") | DecoderSpec(layer="tied"):
            found.append("tied weights")
        case _:
            pass
    return ", ".join(found)
