"""The plan: what a budget holds, what a person is told before the start, and machines that tell little."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from support.networks import spec_of
from support.training_runs import write_text
from unrolled.core import system
from unrolled.core.config import Config
from unrolled.core.config import build as configure
from unrolled.core.errors import UsageError
from unrolled.core.progress import Silent
from unrolled.datasets.text_dataset import Prepared, from_files, prepare
from unrolled.models import native
from unrolled.models.tensor_shapes import parameters
from unrolled.nn.architectures import Network, build
from unrolled.tasks.fill import resolve_data
from unrolled.training import budget
from unrolled.training.budget import Measure, Spent, estimate_bytes, make_plan, measure_speed
from unrolled.training.fit import dry_run
from unrolled.training.language_job import assemble, request
from unrolled.training.loop import TrainingData, step

SMALL = {"hidden": 16, "batch_size": 4, "window": 16, "threads": 1, "optimizer": "adamw"}
Ready = tuple[Config, Network, TrainingData, Prepared]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "t.txt", 400)


@pytest.fixture
def ready(text: Path, tmp_path: Path) -> Ready:
    config = resolve_data(configure("language", {**SMALL, "minutes": 1}))
    prepared = prepare(from_files([text], "file"), None, config.data, tmp_path / "data")
    job = assemble(config, prepared)
    return job.config, build(job.spec, seed=0), job.problem, prepared


def test_a_budget_is_filled_and_not_passed(ready: Ready, monkeypatch: pytest.MonkeyPatch):
    config, network, problem, prepared = ready
    valid = len(prepared.valid) if prepared.valid else 0
    measure = Measure(seconds=0.05, tokens=64.0, threads=1, kernel="avx2")
    monkeypatch.setattr(budget, "measure_speed", lambda *a: measure)
    spent, notes = Spent(began=100.0, reading=102.0, clock=lambda: 106.0), list[str]()
    for minutes in (0.5, 3, 60):
        training = replace(config.training, minutes=minutes)
        plan = make_plan(problem, network, training, valid, spent, note=notes.append)
        assert plan.steps and plan.threads == 1 and not plan.frozen
        reading = plan.validations * plan.validation_tokens * 0.4 * 0.05 / 64
        seconds = 6.0 + plan.steps * 0.05 + reading
        assert 0.85 * minutes * 60 - 3 < seconds < minutes * 60 - 1
        assert reading < 0.06 * minutes * 60
        assert 2 <= plan.validations <= 20
        assert 1 <= plan.validation_tokens <= valid
    both = make_plan(problem, network, replace(config.training, minutes=60, epochs=1), valid, spent)
    assert both.epochs == 1
    assert both.seconds == pytest.approx(len(problem.epoch(0)) * 0.05)
    settled = make_plan(problem, network, replace(config.training, minutes=3), valid, spent, settling=64_000)
    plan = make_plan(problem, network, replace(config.training, minutes=3), valid, spent)
    assert settled.steps == pytest.approx((plan.steps or 0) - 400, abs=1), (
        "what is read at the end takes its time"
    )
    assert not notes


def test_minutes_that_are_too_short_are_explained_and_train_one_step(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
):
    config, network, problem, _ = ready
    monkeypatch.setattr(budget, "measure_speed", lambda *a: Measure(2.5, 64.0, 1, "avx2"))
    notes = list[str]()
    spent = Spent(began=100.0, reading=103.5, clock=lambda: 105.0)
    training = replace(config.training, minutes=0.1)
    plan = make_plan(problem, network, training, 100, spent, note=notes.append)
    assert (plan.steps, plan.validations) == (1, 1)
    assert notes == [
        "warning: 0.1 minutes are too short: the start took 3.5 s, reading the data 1.5 s, measuring the speed 0.0 s, "
        "and a step takes 2.5 s; training for one step anyway; try more --minutes, or a smaller --hidden"
    ]


def test_a_plan_by_epochs_measures_nothing(ready: Ready, monkeypatch: pytest.MonkeyPatch):
    config, network, problem, _ = ready
    training = replace(config.training, minutes=None, epochs=7)
    monkeypatch.delattr(budget, "measure_speed")
    plan = make_plan(problem, network, training, 500, Spent(0.0, 0.0))
    assert (plan.steps, plan.epochs, plan.threads, plan.seconds) == (None, 7, 1, 0.0)
    assert plan == make_plan(problem, network, training, 500, Spent(1.0, 2.0))


@pytest.mark.parametrize(
    ("hidden", "threads", "expected"), [(8, None, 1), (1400, None, 4), (8, 3, 3), (1400, 1, 1)]
)
def test_steps_with_little_work_take_one_thread_if_no_number_is_given(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, hidden: int, threads: int | None, expected: int
):
    config, network, problem, _ = ready
    monkeypatch.setattr(budget, "cores", lambda: 4)
    network = build(replace(network.spec, core=replace(network.spec.core, n_a=hidden)), seed=0)
    training = replace(config.training, minutes=None, epochs=7, threads=threads)
    assert make_plan(problem, network, training, 500, Spent(0.0, 0.0)).threads == expected


def test_measuring_changes_nothing_and_keeps_to_its_time(ready: Ready, monkeypatch: pytest.MonkeyPatch):
    config, network, problem, _ = ready
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    clock, steps = [0.0], [0]

    def timed(*arguments: Any) -> float:
        clock[0] += 0.02
        steps[0] += 1
        return step(*arguments)

    monkeypatch.setattr(budget, "step", timed)
    measure = measure_speed(problem, network, config.training, 0.5, lambda: clock[0])
    assert 20 <= steps[0] <= 25
    assert measure.seconds == pytest.approx(0.02, rel=0.2)
    assert measure.threads == torch.get_num_threads() == 1
    assert 0 < measure.tokens <= 64
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in network.named_parameters())


def test_long_steps_are_measured_in_one_way(ready: Ready, monkeypatch: pytest.MonkeyPatch):
    config, network, problem, _ = ready
    tried: list[int] = []

    def slow(
        problem: object,
        network: object,
        config: object,
        batches: object,
        threads: int,
        seconds: float,
        clock: object,
    ):
        tried.append(threads)
        return Measure(10.0, 64.0, threads, native.running())

    monkeypatch.setenv("UNROLLED_KERNEL", "torch")  # nothing to choose but threads
    monkeypatch.setattr(budget, "_time", slow)
    monkeypatch.setattr(budget, "cores", lambda: 2)
    measure_speed(problem, network, replace(config.training, threads=None), 2.0)
    assert tried == [2]
    measure_speed(problem, network, replace(config.training, threads=None), 200.0)
    assert tried == [2, 2, 1]
    torch.set_num_threads(1)


@pytest.mark.parametrize("quicker", ["native", "torch"])
def test_the_quicker_kernel_is_frozen_in_the_plan(
    quicker: str, ready: Ready, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("UNROLLED_KERNEL", raising=False)
    if native.library() is None:
        pytest.skip("no native kernels were built")
    config, network, problem, _ = ready
    own, tried = native.running(), list[tuple[int, str]]()

    def timed(
        problem: object,
        network: object,
        config: object,
        batches: object,
        threads: int,
        seconds: float,
        clock: object,
    ):
        kernel = native.running()
        tried.append((threads, kernel))
        return Measure(0.1 if (kernel == "torch") == (quicker == "torch") else 0.2, 64.0, threads, kernel)

    monkeypatch.setattr(budget, "_time", timed)
    plan = make_plan(problem, network, replace(config.training, minutes=3), 100, Spent(0.0, 0.0, lambda: 0.0))
    assert tried == [(1, own), (1, "torch")]
    assert plan.kernel == ("torch" if quicker == "torch" else own)
    assert native.running() == own  # what was tried is not what stays
    core = replace(network.spec.core, cell="gru")
    gru = build(replace(network.spec, core=core), seed=0)  # torch has no layer that computes the lecture's
    tried.clear()
    measure_speed(problem, gru, config.training, 10.0)
    assert tried == [(1, own)]


def test_a_dry_run_tells_the_parameters_and_leaves_nothing(text: Path, tmp_path: Path):
    asked = request(
        configure("language", {**SMALL, "epochs": 2}), from_files([text], "file"), None, tmp_path / "m"
    )
    found = dry_run(asked, Silent())
    vocabulary = len(set(text.read_text())) + 2
    embedding = min(64, vocabulary)
    spec = spec_of(n_x=vocabulary, n_y=vocabulary, n_a=16, embedding=embedding)
    by_hand = vocabulary * embedding + 4 * (16 * (16 + embedding) + 16) + vocabulary * 16 + vocabulary
    assert found["parameters"] == by_hand == parameters(spec)
    assert 50 << 20 < found["memory_bytes"] < 8 << 30
    assert 0 < found["seconds"] < float("inf")
    assert not list(tmp_path.iterdir())


def test_too_large_a_network_is_refused_before_it_is_built(text: Path, tmp_path: Path):
    asked = request(
        configure("language", {**SMALL, "hidden": 65_536}), from_files([text], "file"), None, tmp_path / "m"
    )
    before = system.peak_bytes()
    with pytest.raises(UsageError, match=r"about [\d,]+ MB more memory; [\d,]+ MB are available"):
        dry_run(asked, Silent())
    assert system.peak_bytes() - before < 1 << 30


def test_the_estimate_grows_with_what_it_depends_on():
    training = configure("language", {"batch_size": 8, "window": 32}).training
    sizes = {"n_x": 100, "n_y": 100, "n_a": 64, "embedding": 16}
    spec = spec_of(sizes)
    base = estimate_bytes(spec, training, 256)
    larger = (
        (spec_of(sizes, n_a=128), training, 256),
        (spec_of(sizes, layers=2), training, 256),
        (spec_of(sizes, n_y=5000), training, 256),
        (spec, training, 512),
        (spec, replace(training, average=0.99), 256),
    )
    assert all(estimate_bytes(*case) > base for case in larger)


def fake(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(system, "_read", lambda path: files.get(str(path), ""))


def test_memory_left_is_the_least_that_any_limit_leaves(monkeypatch: pytest.MonkeyPatch):
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda which: unlimited)
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n",
        "/proc/self/statm": "100 1 1",
    }
    fake(monkeypatch, files)
    assert system.memory_left() == 8000 * 1024
    group = {"/sys/fs/cgroup/memory.max": "6000000\n", "/sys/fs/cgroup/memory.stat": "anon 1000000\nfile 9\n"}
    fake(monkeypatch, files | group)
    assert system.memory_left() == 5_000_000
    deep = {
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/b/memory.max": "3000000",
        "/sys/fs/cgroup/a/b/memory.stat": "anon 1",
    }
    fake(monkeypatch, files | group | deep)
    assert system.memory_left() == 2_999_999
    older = {"/sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000"}
    fake(monkeypatch, files | older | {"/sys/fs/cgroup/memory/memory.stat": "total_rss 5"})
    assert system.memory_left() == 1_999_995
    page = resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda which: (150 * page, unlimited[1]))
    fake(monkeypatch, files)
    assert system.memory_left() == 50 * page
    fake(monkeypatch, {"/proc/self/statm": "200 1 1"})
    assert system.memory_left() == 0


def test_a_machine_without_proc_gives_sensible_answers(monkeypatch: pytest.MonkeyPatch):
    fake(monkeypatch, {})
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert 1 <= system.cores() <= 4096
    assert 0 < system.process_age() < 24 * 3600
    assert 64 << 20 < system.memory_left() < 1 << 50
    assert system.peak_bytes() > 0


def test_cores_are_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    topology = {siblings.format(cpu): ("0,2" if cpu % 2 == 0 else "1,3") for cpu in range(4)}
    fake(monkeypatch, {})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert system.cores() == 4
    for wanted, expected in (("1", 1), ("3", 3), ("3,2", 3), ("64", 4), ("0", 4), ("-1", 4), ("all", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
        assert system.cores() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    fake(monkeypatch, topology)
    assert system.cores() == 2
    for quota, expected in (
        ("150000 100000", 2),
        ("100000 100000", 1),
        ("20000 100000", 1),
        ("max 100000", 2),
    ):
        fake(monkeypatch, topology | {"/sys/fs/cgroup/cpu.max": quota})
        assert system.cores() == expected


def test_a_containers_own_clock_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    stat = "1 (a b) S " + " ".join(["0"] * 18) + " 999999999999 0"
    fake(monkeypatch, {"/proc/self/stat": stat, "/proc/uptime": "12.5 3.0"})
    assert 0 < system.process_age() < 24 * 3600


def test_tuning_may_be_asked_for_again():
    code = "import unrolled; unrolled.tune(); unrolled.tune(); print(unrolled.tune() in (True, False))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"
