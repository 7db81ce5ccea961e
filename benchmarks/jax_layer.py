"""One recurrent layer in JAX: a compiled `lax.scan`, with the input product computed before the scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def layer(cell: str, n_x: int, n_a: int, x: np.ndarray, *, train: bool) -> Callable[[], object]:
    """Return a function that runs the lecture's equations forward. x: [T, batch, n_x].

    train: whether it also computes the gradients of all weights and of x.
    """
    import jax
    from jax import numpy as jnp

    gates = {"rnn": 1, "gru-simple": 2, "gru": 3, "lstm": 4}[cell]
    rng = np.random.default_rng(0)
    weights = [
        jnp.asarray(rng.uniform(-0.1, 0.1, shape).astype(np.float32))
        for shape in ((n_x, gates * n_a), (n_a, gates * n_a), (gates * n_a,))
    ]
    step = _STEPS[cell](jax, jnp)

    def run(weights: list[Any], x: Any) -> Any:
        W_x, W_a, b = weights
        zeros = jnp.zeros((x.shape[1], n_a))
        start = (zeros, zeros) if cell == "lstm" else zeros
        return jax.lax.scan(lambda state, z: step(state, z, W_a), start, x @ W_x + b)[1]  # [T, batch, n_a]

    call = jax.jit(jax.grad(lambda w, x: run(w, x).sum(), argnums=(0, 1)) if train else run)
    given = jnp.asarray(x)
    return lambda: jax.block_until_ready(call(weights, given))


def _lstm(jax: Any, jnp: Any) -> Callable[..., Any]:
    def step(state: Any, z: Any, W_a: Any) -> Any:
        a, c = state
        u, f, o, candidate = jnp.split(z + a @ W_a, 4, axis=-1)
        c = jax.nn.sigmoid(u) * jnp.tanh(candidate) + jax.nn.sigmoid(f) * c
        a = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (a, c), a

    return step


def _gru(jax: Any, jnp: Any) -> Callable[..., Any]:
    def step(c: Any, z: Any, W_a: Any) -> Any:
        n = c.shape[-1]
        r, u = jnp.split(jax.nn.sigmoid(z[:, : 2 * n] + c @ W_a[:, : 2 * n]), 2, axis=-1)
        c = u * jnp.tanh(z[:, 2 * n :] + (r * c) @ W_a[:, 2 * n :]) + (1 - u) * c
        return c, c

    return step


def _gru_simple(jax: Any, jnp: Any) -> Callable[..., Any]:
    def step(c: Any, z: Any, W_a: Any) -> Any:
        candidate, u = jnp.split(z + c @ W_a, 2, axis=-1)
        u = jax.nn.sigmoid(u)
        c = u * jnp.tanh(candidate) + (1 - u) * c
        return c, c

    return step


def _rnn(_jax: Any, jnp: Any) -> Callable[..., Any]:
    def step(a: Any, z: Any, W_a: Any) -> Any:
        a = jnp.tanh(z + a @ W_a)
        return a, a

    return step


_STEPS = {"rnn": _rnn, "gru-simple": _gru_simple, "gru": _gru, "lstm": _lstm}
