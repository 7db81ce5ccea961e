"""The lecture, transcribed into plain NumPy on single vectors in float64, for no speed at all.

Written from the lecture's equations alone; it shares no line with the package and imports nothing of it. The LSTM is
drawn, not written, in the lecture's notes: its equations are those of Gers, Schmidhuber and Cummins (2000) in the
lecture's letters. Weights: a dict of W_<gate> [n_a, n_a + n_x] and b_<gate> [n_a].
"""

from __future__ import annotations

import math

import numpy as np


def sigma(z):
    return np.array([1.0 / (1.0 + math.exp(-v)) for v in z])


def g_tanh(z):
    return np.array([math.tanh(v) for v in z])


def g_relu(z):
    return np.array([max(0.0, v) for v in z])


def stacked(upper, lower):
    return np.array([*upper, *lower])


def rnn(w, state, x, g1=g_tanh):
    (a_prev,) = state
    n_a = len(a_prev)
    W_aa, W_ax = w["W_a"][:, :n_a], w["W_a"][:, n_a:]
    a = g1(W_aa.dot(a_prev) + W_ax.dot(x) + w["b_a"])
    return a, (a,)


def rnn_relu(w, state, x):
    return rnn(w, state, x, g_relu)


def gru_simple(w, state, x):
    (c_prev,) = state
    both = stacked(c_prev, x)
    candidate = g_tanh(w["W_c"].dot(both) + w["b_c"])
    update = sigma(w["W_u"].dot(both) + w["b_u"])
    c = np.array([u * new + (1 - u) * old for u, new, old in zip(update, candidate, c_prev, strict=True)])
    return c, (c,)


def gru(w, state, x):
    (c_prev,) = state
    relevance = sigma(w["W_r"].dot(stacked(c_prev, x)) + w["b_r"])
    update = sigma(w["W_u"].dot(stacked(c_prev, x)) + w["b_u"])
    relevant = np.array([r * old for r, old in zip(relevance, c_prev, strict=True)])
    candidate = g_tanh(w["W_c"].dot(stacked(relevant, x)) + w["b_c"])
    c = np.array([u * new + (1 - u) * old for u, new, old in zip(update, candidate, c_prev, strict=True)])
    return c, (c,)


def lstm(w, state, x):
    a_prev, c_prev = state
    both = stacked(a_prev, x)
    candidate = g_tanh(w["W_c"].dot(both) + w["b_c"])
    update, forget, output = (sigma(w[f"W_{k}"].dot(both) + w[f"b_{k}"]) for k in "ufo")
    c = np.array([update[i] * candidate[i] + forget[i] * c_prev[i] for i in range(len(c_prev))])
    a = np.array([output[i] * math.tanh(c[i]) for i in range(len(c))])
    return a, (a, c)


# By "NAME-ACTIVATION" of the cell. A cell that is added here is checked by the tests of cells, scan and engines.
STEPS = {
    "rnn-tanh": rnn,
    "rnn-relu": rnn_relu,
    "gru-simple-tanh": gru_simple,
    "gru-tanh": gru,
    "lstm-tanh": lstm,
}
ARRAYS = {"lstm-tanh": 2}  # arrays of the state, if there is more than one


def variants():
    """The name and the activation of each cell."""
    return [tuple(key.rsplit("-", 1)) for key in STEPS]


def one_hot(index, n):
    """The vector of zeros for -1."""
    return np.array([1.0 if k == index else 0.0 for k in range(n)])


def layer(name, w, xs, state, backward=False):
    """One sequence through one layer: a list of x -> (list of a in the order of the sequence, last state)."""
    out = []
    for x in reversed(xs) if backward else xs:
        a, state = STEPS[name](w, state, x)
        out.append(a)
    return (out[::-1] if backward else out), state


def network(name, core, xs, states=None):
    """core[layer][direction] of weights; states in the same order. -> (list of a of the top layer, states)."""
    after = []
    for i, directions in enumerate(core):
        sides = []
        for k, w in enumerate(directions):
            n_a = len(next(v for leaf, v in w.items() if leaf.startswith("b_")))
            zeros = tuple(np.zeros(n_a) for _ in range(ARRAYS.get(name, 1)))
            start = zeros if states is None else states[i * len(directions) + k]
            out, last = layer(name, w, xs, start, backward=k == 1)
            sides.append(out)
            after.append(last)
        xs = [np.concatenate(parts) for parts in zip(*sides, strict=True)]
    return xs, after


def log_softmax(z):
    top = max(z)
    total = math.log(math.fsum(math.exp(v - top) for v in z))
    return np.array([v - top - total for v in z])


def language_model(name, tensors, layers, directions, ids):
    """log y_hat at each step for ids of one sequence: one-hot vectors, embedded where there is an E, and a head."""
    E = tensors.get("embedding.E")
    n_x = len(E) if E is not None else None
    core = []
    for i in range(layers):
        core.append([])
        for d in directions:
            start = f"core.{i}.{d}."
            core[i].append(
                {k[len(start) :]: v.astype(np.float64) for k, v in tensors.items() if k.startswith(start)}
            )
    if E is None:
        W, b = (next(v for k, v in core[0][0].items() if k.startswith(s)) for s in ("W_", "b_"))
        n_x = W.shape[1] - len(b)
    xs = [one_hot(i, n_x) for i in ids]
    if E is not None:
        xs = [E.T.astype(np.float64).dot(x) for x in xs]
    features, _ = network(name, core, xs)
    return np.array([log_softmax(_head(tensors, a)) for a in features])


def _head(tensors, a):
    b_y = tensors["head.b_y"].astype(np.float64)
    if "head.W_ya" in tensors:
        return tensors["head.W_ya"].astype(np.float64).dot(a) + b_y
    if "head.P" in tensors:
        a = tensors["head.P"].astype(np.float64).dot(a)
    return tensors["embedding.E"].astype(np.float64).dot(a) + b_y
