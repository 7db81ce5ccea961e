"""The training loop: the fast path against the equation, schedules, clipping, averages, stopping, carried state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.networks import spec_of
from support.training_runs import batch_of, place, write_text
from unrolled.core.config import TrainConfig
from unrolled.core.config import build as configure
from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.progress import Silent
from unrolled.core.types import Batch
from unrolled.datasets.text_dataset import from_files, prepare
from unrolled.models import native
from unrolled.nn.architectures import Network, build
from unrolled.nn.embedding_and_head import NO_DROPOUTS
from unrolled.nn.losses import PLAIN as EXACT
from unrolled.nn.losses import Criterion
from unrolled.tasks.fill import resolve_data
from unrolled.training import fit, loop
from unrolled.training.language_job import assemble, request
from unrolled.training.loop import Plan, TrainerPosition, TrainerState, TrainingData, begin, carry, step

SPEC = spec_of(n_x=7, n_y=7, n_a=8, embedding=5)
CONFIG = TrainConfig(lr=0.01, optimizer="adamw", average=0.0, dropout=0.0)
PLAN = Plan(
    steps=12, epochs=None, validations=4, validation_tokens=10, threads=1, kernel="torch", seconds=0.0
)


class Watch:
    """A callback that remembers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.valid: list[float] = []
        self.rates: list[float] = []
        self.steps: list[int] = []
        self.metrics: list[dict[str, float]] = []

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        self.losses.append(loss)
        self.rates.append(progress.optimizers[0].groups[0].lr)

    def validated(self, progress: TrainerState, metrics: object, share: float) -> None:
        assert isinstance(metrics, dict)
        self.valid.append(metrics.get("loss", metrics["train_loss"]))
        self.steps.append(progress.at.step)
        self.metrics.append(metrics)


def batches(seed: int = 0, count: int = 6) -> list[Batch]:
    ids = np.random.default_rng(seed).integers(0, 7, (count, 3, 9))
    return [batch_of(ids[i].tolist(), carry=i > 0, before=int(ids[i - 1, 0, -1])) for i in range(count)]


def problem(validation: Callable[[int], list[Batch]] | None = None) -> TrainingData:
    return TrainingData(lambda epoch: batches(epoch), validation, place)


def trained(
    config: TrainConfig = CONFIG, plan: Plan = PLAN, what: TrainingData | None = None
) -> tuple[TrainerState, Watch]:
    progress, watch = begin(build(SPEC, seed=0), config), Watch()
    loop.train(what or problem(lambda limit: batches(99, 2)), progress, plan, config, watch)
    return progress, watch


# --- the fast path


def first_losses(folder: Path, text: Path, options: dict[str, object], count: int = 10) -> list[float]:
    """The losses of the first steps of a real training."""
    config = resolve_data(configure("language", options))
    prepared = prepare(from_files([text], config.data.documents or "file"), None, config.data, folder)
    job = assemble(config, prepared)
    config, what, network = job.config, job.problem, build(job.spec, seed=job.config.training.seed)
    progress, losses = begin(network, config.training), list[float]()
    epoch = what.epoch(0)
    for number in range(count):
        loop.set_rate(progress, config.training, number / count)
        torch.manual_seed(loop.step_seed(config.training.seed, number))
        losses.append(step(what, progress, epoch[number], NO_DROPOUTS, config.training))
    return losses


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-simple", "rnn"])
@pytest.mark.parametrize("unit", ["char", "word"])
def test_ten_losses_equal_those_of_the_equation(cell, unit, tmp_path, monkeypatch):
    text = write_text(tmp_path / "t.txt", 300)
    options: dict[str, object] = {"unit": unit, "cell": cell, "hidden": 24, "layers": 2, "batch_size": 4}
    options |= {"window": 12, "vocab_size": 50, "optimizer": "adamw", "lr": 0.01, "dropout": 0.0}
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    true = first_losses(tmp_path / "data", text, options)
    assert min(true[5:]) < true[0] - 0.02, "ten steps have learnt something"
    for kernel in ("torch", *native.libraries()):
        monkeypatch.setenv("UNROLLED_KERNEL", kernel)
        np.testing.assert_allclose(first_losses(tmp_path / "data", text, options), true, rtol=2e-5)


# --- schedules


@given(st.sampled_from(sorted(loop.SCHEDULES)), st.floats(0, 1), st.floats(0, 0.99999))
def test_a_schedule_stays_between_zero_and_one(name, warmup, share):
    assert 0 <= loop.SCHEDULES[name](share, warmup) <= 1 + 1e-9


def test_schedules_rise_and_fall_where_they_should():
    cosine, onecycle = loop.SCHEDULES["cosine"], loop.SCHEDULES["onecycle"]
    assert cosine(0.0, 0.1) == pytest.approx(0.05)
    assert cosine(0.1, 0.1) == pytest.approx(1.0)
    assert cosine(0.55, 0.1) == pytest.approx(0.5)
    assert cosine(1.0, 0.1) == pytest.approx(0.0, abs=1e-12)
    assert onecycle(0.0, 0.0) == pytest.approx(0.04)
    assert onecycle(0.3, 0.0) == pytest.approx(1.0)
    assert onecycle(0.65, 0.0) == pytest.approx(0.5)
    assert onecycle(1.0, 0.0) == pytest.approx(0.0, abs=1e-12)
    for name in ("constant", "plateau"):
        assert loop.SCHEDULES[name](0.01, 0.1) < 0.2
        assert loop.SCHEDULES[name](0.5, 0.1) == loop.SCHEDULES[name](1.0, 0.0) == 1.0


def test_the_rate_of_every_step_is_its_schedule():
    _, watch = trained(replace(CONFIG, warmup=0.25))
    expected = [0.01 * loop.SCHEDULES["cosine"](number / 12, 0.25) for number in range(12)]
    np.testing.assert_allclose(watch.rates, expected, rtol=1e-12)


# --- one step


def test_clipping_bounds_the_gradient_and_nothing_else():
    for clip, bounded in ((0.01, True), (1e6, False), (0.0, False)):
        config = replace(CONFIG, clip=clip)
        progress = begin(build(SPEC, seed=0), config)
        step(problem(), progress, batches()[0], NO_DROPOUTS, config)
        norm = math.sqrt(
            sum(float((p.grad**2).sum()) for p in progress.network.parameters() if p.grad is not None)
        )
        assert norm == pytest.approx(0.01, rel=1e-3) if bounded else norm > 0.05


def test_the_gradient_is_that_of_the_mean_loss():
    progress, batch = begin(build(SPEC, seed=0), replace(CONFIG, clip=0.0)), batches()[0]
    step(problem(), progress, batch, NO_DROPOUTS, replace(CONFIG, clip=0.0))
    network = build(SPEC, seed=0)
    nats, count, _ = network.loss(torch.from_numpy(batch.x), torch.from_numpy(batch.y))
    (nats / count).backward()
    assert count == batch.y.size
    expected = dict(network.named_parameters())
    for name, p in progress.network.named_parameters():
        torch.testing.assert_close(p.grad, expected[name].grad, rtol=1e-4, atol=1e-7)


def test_label_smoothing_is_its_formula():
    network, batch = build(SPEC, seed=0), batches()[0]
    x, y = torch.from_numpy(batch.x), torch.from_numpy(batch.y)
    log_probs, _ = network(x)  # [batch, T, n_y]
    exact = -log_probs.gather(-1, y.unsqueeze(-1)).sum()
    expected = 0.9 * exact - 0.1 * log_probs.mean(-1).sum()
    smoothed = replace(problem(), criterion=Criterion(label_smoothing=0.1))
    loss = step(smoothed, begin(network, CONFIG), batch, NO_DROPOUTS, CONFIG)
    assert loss == pytest.approx(float(expected.detach()) / y.numel(), rel=1e-5)


def test_a_diverged_loss_stops_before_the_step():
    for change in (math.nan, math.inf, 1e30, 5e3):  # the last one: a loss a thousand times the first one
        progress = begin(build(SPEC, seed=0), CONFIG)
        step(problem(), progress, batches()[0], NO_DROPOUTS, CONFIG)
        with torch.no_grad():
            dict(progress.network.named_parameters())["head.b_y"][2] = change
        before = {name: p.detach().clone() for name, p in progress.network.named_parameters()}
        with pytest.raises(NonFiniteError) as caught:
            step(problem(), progress, batches()[1], NO_DROPOUTS, CONFIG)
        assert (caught.value.file, caught.value.line) == (Path("poem.txt"), 1)
        assert "poem.txt:2, poem.txt:3" in str(caught.value)
        assert caught.value.exit_code == 4
        for name, p in progress.network.named_parameters():
            assert torch.equal(p.nan_to_num(), before[name].nan_to_num())


# --- state carried from batch to batch


def test_windows_with_carried_state_have_the_loss_of_one_long_sequence():
    network = build(replace(SPEC, core=replace(SPEC.core, layers=2)), seed=1).double()
    ids = torch.from_numpy(np.random.default_rng(5).integers(0, 7, (3, 60)))
    x = torch.cat([torch.full((3, 1), -1), ids[:, :-1]], dim=1)
    with torch.no_grad():
        whole, count, _ = network.loss(x, ids)
        total, state = 0.0, None
        for low in range(0, 60, 12):
            keep = np.full(3, low > 0)
            nats, _, state = network.loss(
                x[:, low : low + 12], ids[:, low : low + 12], None, carry(state, keep)
            )
            total += float(nats)
    assert count == 180
    assert total == pytest.approx(float(whole), rel=1e-12)


def test_carry_keeps_some_rows_and_starts_the_others_from_zeros():
    state = (torch.ones(3, 2), torch.full((3, 2), 2.0))
    carried = carry(state, np.array([True, False, True]))
    assert carried is not None
    a, c = carried
    assert a.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert c.tolist() == [[2, 2], [0, 0], [2, 2]]
    assert carry(state, np.zeros(3, dtype=bool)) is None
    assert carry(None, np.ones(3, dtype=bool)) is None


def test_state_is_carried_by_the_loop_and_dropped_between_epochs():
    seen: list[float] = []

    class Spy(Network):
        def loss(self, x, y, lengths=None, state=None, dropouts=NO_DROPOUTS, criterion=EXACT):
            seen.append(0.0 if state is None else float(state[0].abs().sum()))
            assert state is None or not state[0].requires_grad, "back-propagation is cut between batches"
            return super().loss(x, y, lengths, state, dropouts, criterion)

    base = build(SPEC, seed=0)
    network = Spy(SPEC, {name: p.detach() for name, p in base.named_parameters()})
    loop.train(problem(), begin(network, CONFIG), PLAN, CONFIG, Watch())
    assert [value > 0 for value in seen] == [False, True, True, True, True, True] * 2
    seen.clear()
    progress = begin(network, CONFIG)
    loop.train(replace(problem(), carries=False), progress, PLAN, CONFIG, Watch())
    assert seen == [0.0] * 12 and progress.state is None


# --- what is kept, and when it ends


def test_the_average_is_the_running_mean_by_name():
    config = replace(CONFIG, average=0.9)
    progress = begin(build(SPEC, seed=0), config)
    expected = {name: p.detach().double() for name, p in progress.network.named_parameters()}
    # A file gives names in an order of its own.
    progress.average = dict(sorted(progress.average.items(), reverse=True))
    for number, batch in enumerate(batches()):
        loop.set_rate(progress, config, 0.3)
        step(problem(), progress, batch, NO_DROPOUTS, config)
        decay = min(0.9, (1 + number) / (10 + number))
        for name, p in progress.network.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * p.detach()
        progress.at.step += 1
    for name, value in progress.average.items():
        torch.testing.assert_close(value, expected[name].float(), rtol=1e-5, atol=1e-6)


def test_validation_and_best_use_the_average_and_give_the_weights_back():
    config = replace(CONFIG, average=0.99)
    progress, watch = trained(config)
    own = loop.snapshot(progress.network)
    assert progress.at.best_loss == min(watch.valid)
    loop.load_weights(progress.network, progress.best)
    progress.average = {}
    assert loop.validate(problem(lambda limit: batches(99, 2)), progress, 1)["loss"] == progress.at.best_loss
    assert any(not torch.equal(own[name], progress.best[name]) for name in own)


@pytest.mark.parametrize("lr", [0.01, 0.5])  # the loss falls, or it does not
@pytest.mark.parametrize("scores", [(5, 6, 6, 4), (6, 5, 5, 4), (5, 5, 5, 5), (1, 2, 3, 4), (4, 3, 2, 4)])
def test_the_score_chooses_the_weights_and_the_loss_decides_between_equal_scores(lr, scores):
    turns = iter(scores)
    what = replace(problem(lambda limit: batches(99, 2)), measure=lambda weights, limit: (next(turns), {}))
    progress, watch = trained(replace(CONFIG, lr=lr), PLAN, what)
    assert len(watch.valid) == len(scores)
    best = max(range(4), key=lambda number: (scores[number], -watch.valid[number]))
    assert progress.at.best_score == scores[best] and progress.at.best_loss == watch.valid[best]
    assert progress.at.best_step == watch.steps[best]


def test_patience_counts_validations_without_a_better_score():
    turns = iter((1, 2, 2, 2, 2, 9))
    what = replace(problem(lambda limit: batches(99, 1)), measure=lambda weights, limit: (next(turns), {}))
    config, plan = replace(CONFIG, patience=3, lr=0.0), replace(PLAN, steps=600, validations=200)
    progress, watch = trained(config, plan, what)
    assert progress.at.ended == "3 validations in a row without a better result"
    assert len(watch.valid) == 5 and progress.at.best_step == watch.steps[1]


def test_a_validation_measures_the_averaged_weights_and_its_metrics_are_shown():
    seen: list[tuple[dict[str, np.ndarray], int]] = []

    def measure(weights, limit):
        seen.append(({name: value.copy() for name, value in weights.items()}, limit))
        return -float(len(seen)), {"mae": float(len(seen))}  # the first validation is the best

    config = replace(CONFIG, average=0.9)
    what = replace(problem(lambda limit: batches(99, 2)), measure=measure)
    progress, watch = trained(config, PLAN, what)
    assert [limit for _, limit in seen] == [PLAN.validation_tokens] * len(watch.valid)
    assert progress.at.best_step == watch.steps[0] < progress.at.step
    assert (progress.at.score, progress.at.best_score) == (-float(len(seen)), -1.0)
    assert [metrics["mae"] for metrics in watch.metrics] == list(range(1, len(seen) + 1))
    for name, value in progress.average.items():
        np.testing.assert_array_equal(seen[-1][0][name], value.numpy())
        np.testing.assert_array_equal(seen[0][0][name], progress.best[name].numpy())
    silent = replace(
        what, validation=lambda limit: [replace(b, y=np.full_like(b.y, -1)) for b in batches(9, 1)]
    )
    progress, watch = trained(config, PLAN, silent)
    assert all("mae" not in metrics for metrics in watch.metrics), "nothing is asked"


def test_patience_stops_early():
    # Without learning, the losses are those of the texts, the third of which is the easiest.
    losses = [
        loop.validate(problem(lambda limit, s=s: batches(s, 1)), begin(build(SPEC, seed=0), CONFIG), 1)[
            "loss"
        ]
        for s in range(40)
    ]
    order = np.argsort(losses)[::-1].tolist()
    turns = iter([order[9], order[5], order[30], order[12], order[13], order[39]])
    config = replace(CONFIG, patience=2, lr=0.0)
    plan = replace(PLAN, steps=600, validations=200)
    progress, watch = trained(config, plan, problem(lambda limit: batches(next(turns), 1)))
    assert progress.at.done
    assert len(watch.valid) == 5
    assert progress.at.step == len(watch.losses) == 15
    assert progress.at.stalls == 2
    assert progress.at.best_loss == watch.valid[2] == min(watch.valid)


def test_a_plateau_halves_the_rate():
    config = replace(CONFIG, schedule="plateau", warmup=0.0, lr=0.0)
    same = batches(99, 1)
    progress, watch = trained(config, PLAN, problem(lambda limit: same))
    assert len(watch.valid) == 4
    assert progress.at.lr_scale == 0.5**3  # the first one is the best there was
    config = replace(config, lr=1e-9)
    assert trained(config, PLAN, problem(lambda limit: same))[1].rates[0] == 1e-9


@pytest.mark.parametrize("steps, epochs, expected", [(5, None, 5), (None, 2, 12), (20, 1, 6), (4, 3, 4)])
def test_steps_or_epochs_whichever_comes_first(steps, epochs, expected):
    progress, watch = trained(CONFIG, replace(PLAN, steps=steps, epochs=epochs))
    assert (progress.at.step, len(watch.losses)) == (expected, expected)
    assert len(watch.valid) == 4


def test_chance_is_a_function_of_seed_and_step():
    seeds = {loop.step_seed(seed, number) for seed in range(20) for number in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    config = replace(CONFIG, dropout=0.3, weight_dropout=0.2)
    one, two, other = trained(config)[1], trained(config)[1], trained(replace(config, seed=1))[1]
    assert one.losses == two.losses != other.losses


def test_the_same_seeds_in_every_release():
    """A training with a given seed ends in the same bits as before: these are the seeds of its steps."""
    assert loop.step_seed(0, 0) == 1_451_402_981_258_380_768
    assert loop.step_seed(0, 1) == 6_008_695_631_215_161_454
    assert loop.step_seed(7, 1000) == 387_150_222_375_170_717


def test_the_training_loss_of_a_validation_is_the_mean_of_the_steps_since_the_last_one():
    seen: list[float] = []

    class Means(Watch):
        def validated(self, progress: TrainerState, metrics: object, share: float) -> None:
            assert isinstance(metrics, dict)
            seen.append(metrics["train_loss"])

    progress, watch = begin(build(SPEC, seed=0), CONFIG), Means()
    loop.train(problem(), progress, PLAN, CONFIG, watch)
    expected = [np.mean(watch.losses[first : first + 3]) for first in range(0, 12, 3)]
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_share_done():
    at = TrainerPosition(step=3, epoch=1, index=2)
    assert loop.share_done(replace(PLAN, steps=12, epochs=None), at, 4) == 0.25
    assert loop.share_done(replace(PLAN, steps=None, epochs=3), at, 4) == 0.5
    assert loop.share_done(replace(PLAN, steps=12, epochs=3), at, 4) == 0.5


def test_what_cannot_be_trained_is_refused(tmp_path):
    text = from_files([write_text(tmp_path / "t.txt")], "file")
    for option in ({"bidirectional": True}, {"softmax": "adaptive"}, {"hidden": 65_536}):
        with pytest.raises(UsageError):
            fit.fit(request(configure("language", option), text, None, tmp_path / "m"), Silent())
        assert not (tmp_path / "m.run").exists(), "nothing is left that a better request would stumble over"


def test_denormals_count_as_zeros_while_it_trains(tmp_path):
    """A few of them make a product several times slower, and training makes some: in the weights of sharp attention."""
    text, seen = from_files([write_text(tmp_path / "t.txt", lines=40)], "file"), []

    class Watching(Silent):
        def note(self, text: str) -> None:
            seen.append(int((torch.full((8,), 1e-39) * 0.5).count_nonzero()))

    fit.fit(
        request(configure("language", {"epochs": 1, "hidden": 4}), text, None, tmp_path / "m"), Watching()
    )
    assert (0 in seen) == bool(native.libraries())  # where nothing was compiled, nothing changes
    assert (torch.full((8,), 1e-39) * 0.5).count_nonzero() == 8


# --- nothing left to learn, and divergence


def one_text(count: int) -> TrainingData:
    """An epoch that is the same batch so many times: soon it has nothing left to teach."""
    same = batches(5, 1) * count
    return TrainingData(lambda epoch: same, None, place, enough=0.2)


@pytest.mark.parametrize("count", [4, 70])
def test_a_training_ends_when_no_batch_of_an_epoch_has_anything_left_to_teach(count):
    config = replace(CONFIG, lr=0.05, optimizer="muon", schedule="constant")
    plan = replace(PLAN, steps=900, validations=3)
    progress, watch = trained(config, plan, one_text(count))
    at, quiet = progress.at, max(loop.QUIET, count)
    assert at.done and at.step == len(watch.losses) < 900
    assert at.ended == f"nothing left to learn: {quiet} steps in a row with a loss below 0.2"
    assert max(watch.losses[-quiet:]) < 0.2 <= watch.losses[-quiet - 1]
    endless = replace(one_text(count), enough=0.0)
    assert trained(config, replace(plan, steps=at.step + 5), endless)[0].at.step == at.step + 5


class Breaks(Watch):
    """A callback that breaks the weights after a step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last, self.before = last, dict[int, dict[str, torch.Tensor]]()

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        super().step(progress, loss, share)
        self.before[progress.at.step] = loop.snapshot(progress.network)
        if progress.at.step == self.last:
            with torch.no_grad():
                next(iter(progress.network.parameters())).fill_(math.nan)


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("last, kept_of", [(11, 9), (5, 3), (2, 2)])
def test_the_best_weights_before_a_divergence_are_remembered(valid, last, kept_of):
    """Those of a validation (after 3, 6, 9 of 12 steps), or, before the first one, of step 2, 4, 8 ..."""
    progress, watch = begin(build(SPEC, seed=0), replace(CONFIG, lr=0.1)), Breaks(last)
    config = replace(CONFIG, lr=0.1, schedule="constant")
    what = TrainingData(
        lambda epoch: batches(5, 1) * 6, (lambda limit: batches(5, 1)) if valid else None, place
    )
    with pytest.raises(NonFiniteError):
        loop.train(what, progress, PLAN, config, watch)
    assert progress.at.best_step == kept_of
    for name, value in progress.best.items():
        assert torch.equal(value, watch.before[kept_of][name])


def test_a_validation_loss_that_is_not_finite_is_a_divergence():
    class Endless(Network):
        def loss(self, x, y, lengths=None, state=None, dropouts=NO_DROPOUTS, criterion=EXACT):
            nats, count, state = super().loss(x, y, lengths, state, dropouts, criterion)
            return (nats if torch.is_grad_enabled() else nats * math.nan), count, state

    network = Endless(SPEC, {name: p.detach() for name, p in build(SPEC, seed=0).named_parameters()})
    with pytest.raises(NonFiniteError, match=r"by step 3 \(validation loss nan\)"):
        loop.train(problem(lambda limit: batches(9, 1)), begin(network, CONFIG), PLAN, CONFIG, Watch())


def test_a_validation_part_in_which_nothing_is_asked_chooses_no_weights():
    """All of its targets are unknown: its loss is not 0, there is none."""
    silent = [replace(batch, y=np.full_like(batch.y, -1)) for batch in batches(99, 2)]
    config = replace(CONFIG, lr=0.1)
    progress, watch = trained(config, PLAN, problem(lambda limit: silent))
    assert progress.at.provisional and progress.at.best_loss == min(watch.valid) > 0.1
    last = dict(progress.network.named_parameters())
    assert all(loop.kept(progress)[name] is value for name, value in last.items()), (
        "the last weights are kept"
    )
