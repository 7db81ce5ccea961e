"""The CRF's loss and gradient: against differences, all paths, autograd's own, and alone against in a batch."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from support.tolerances import FLOAT32, FLOAT64
from unrolled.core.errors import DataError
from unrolled.models.decoding import crf
from unrolled.nn.crf_loss import crf_nll

LENGTHS = torch.tensor([4, 1, 0, 3])


def problem(n: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64, lengths: torch.Tensor = LENGTHS):
    """Emissions, tags (-1 beyond the lengths), lengths, transitions, begin, end."""
    torch.manual_seed(seed)
    steps = int(lengths.max()) + 1
    scores = [torch.randn(shape, dtype=dtype) for shape in ((len(lengths), steps, n), (n, n), (n,), (n,))]
    tags = torch.randint(0, n, (len(lengths), steps))
    tags[torch.arange(steps) >= lengths[:, None]] = -1
    for part in scores:
        part.requires_grad_()
    return scores[0], tags, lengths, *scores[1:]


def by_autograd(emissions, tags, lengths, transitions, begin, end):
    """The forward algorithm sentence by sentence, differentiated by torch."""
    total = torch.zeros((), dtype=torch.float64)
    for e, y, length in zip(emissions.double(), tags, lengths.tolist(), strict=True):
        if not length:
            continue
        alpha, true = begin.double() + e[0], begin.double()[y[0]] + e[0, y[0]]
        for t in range(1, length):
            alpha = torch.logsumexp(alpha[:, None] + transitions.double(), 0) + e[t]
            true = true + transitions.double()[y[t - 1], y[t]] + e[t, y[t]]
        total = total + torch.logsumexp(alpha + end.double(), 0) - true - end.double()[y[length - 1]]
    return total


def leaves(given):
    return [given[0], *given[3:]]


def test_gradcheck():
    emissions, tags, lengths, *scores = problem()
    assert torch.autograd.gradcheck(lambda e, *w: crf_nll(e, tags, lengths, *w), (emissions, *scores))
    (slope,) = torch.autograd.grad(crf_nll(emissions, tags, lengths, *scores), emissions, create_graph=True)
    assert not slope.requires_grad, "a second derivative is refused and not wrong"


def test_the_loss_is_that_of_all_paths_and_of_the_decoder():
    given = problem(n=4, seed=1)
    e, tags, lengths, *scores = [part.detach().numpy() for part in given]
    chain = crf.chain(*scores)
    expected = decoder = 0.0
    for row, length in enumerate(lengths):
        e_i, y_i = e[row, :length], tags[row, :length]
        paths = itertools.product(range(4), repeat=int(length))
        likelihood = math.exp(crf.path_score(e_i, y_i, chain)) / math.fsum(
            math.exp(crf.path_score(e_i, path, chain)) for path in paths
        )
        expected -= math.log(likelihood)
        decoder += crf.log_partition(e_i, chain) - crf.path_score(e_i, y_i, chain)
    loss = crf_nll(*given)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert loss.item() == pytest.approx(decoder, rel=1e-12)
    with torch.no_grad():
        assert crf_nll(*given).item() == loss.item()


@pytest.mark.parametrize(("n", "spread"), [(1, 1.0), (2, 1.0), (17, 1.0), (17, 50.0), (9, 3000.0)])
def test_loss_and_gradients_are_autograds(n, spread):
    given = problem(n, seed=2, lengths=torch.tensor([11, 1, 6, 0, 12]))
    with torch.no_grad():
        for part in leaves(given):
            part *= spread
    ours, theirs = crf_nll(*given), by_autograd(*given)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    for mine, other in zip(
        *(torch.autograd.grad(loss, leaves(given)) for loss in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=FLOAT64["gradient"])


def test_padding_has_no_gradient_and_no_say():
    given = problem(n=5, seed=3, dtype=torch.float32)
    emissions, tags, lengths, *scores = given
    crf_nll(*given).backward()
    beyond = torch.arange(emissions.shape[1]) >= lengths[:, None]
    assert (emissions.grad[beyond] == 0).all()
    assert (emissions.grad[~beyond] != 0).all()
    assert all(part.grad.dtype == torch.float32 for part in leaves(given))
    other = emissions.detach().clone()
    other[beyond] = 1e6
    assert crf_nll(other, tags.masked_fill(tags < 0, 77), lengths, *scores).item() == crf_nll(*given).item()


def test_alone_is_in_a_batch():
    given = problem(n=6, seed=4, dtype=torch.float32, lengths=torch.tensor([9, 2, 5, 1]))
    emissions, tags, lengths, *scores = given
    whole = crf_nll(*given)
    (together,) = torch.autograd.grad(whole, emissions)
    total = 0.0
    for i, length in enumerate(lengths.tolist()):
        alone = emissions[i : i + 1, :length].detach().requires_grad_()
        loss = crf_nll(alone, tags[i : i + 1, :length], lengths[i : i + 1], *scores)
        (slope,) = torch.autograd.grad(loss, alone)
        torch.testing.assert_close(slope[0], together[i, :length], rtol=0, atol=FLOAT32["padding"])
        total += loss.item()
    assert total == pytest.approx(whole.item(), rel=1e-12)


def test_it_learns_tags_that_only_their_order_tells():
    # The emissions say nothing: only transitions can learn that 0, 1, 2 take turns.
    tags = (torch.arange(12)[None] + torch.tensor([[0], [1], [2]])) % 3
    emissions, lengths = torch.zeros(3, 12, 3), torch.tensor([12, 12, 12])
    scores = [torch.zeros(shape, requires_grad=True) for shape in ((3, 3), (3,), (3,))]
    first = crf_nll(emissions, tags, lengths, *scores).item()
    assert first == pytest.approx(36 * math.log(3))
    optimizer = torch.optim.SGD(scores, lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        crf_nll(emissions, tags, lengths, *scores).backward()
        optimizer.step()
    assert crf_nll(emissions, tags, lengths, *scores).item() < 0.15 * first
    chain = crf.chain(*(part.detach().numpy() for part in scores))
    e = np.zeros((6, 3))
    e[0, 1] = 5.0
    assert crf.viterbi(e, chain)[0].tolist() == [1, 2, 0, 1, 2, 0]


def test_numbers_gone_wrong_are_nan_for_the_loop_to_refuse():
    for wrong, at in itertools.product((math.nan, math.inf, -math.inf), (0, 3, 4, 5)):
        given = list(problem())
        with torch.no_grad():
            given[at][0] = wrong
        loss = crf_nll(*given)
        assert loss.dtype == torch.float64
        assert math.isnan(loss.item())
        loss.backward()


def test_a_step_without_a_tag_is_refused():
    emissions, tags, lengths, *scores = problem()
    for wrong in (-1, 3):
        tags[3, 2] = wrong
        with pytest.raises(DataError, match=rf"step 3 of item 4 has the tag {wrong}; expected one of 0 to 2"):
            crf_nll(emissions, tags, lengths, *scores)


def test_nothing_at_all_costs_nothing():
    _, _, _, *scores = problem()
    none = crf_nll(torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 0]), *scores)
    none.backward()
    assert none.item() == 0
    assert all((part.grad == 0).all() for part in scores)
