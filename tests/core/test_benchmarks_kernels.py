"""The kernel benchmarks: they measure what they say, find errors, and report both ways."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gfocc_core.grid import VoxelGrid
from tests.conftest import ROOT

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_times_are_the_median_and_the_99th_of_a_hundred() -> None:
    from kernel_timing import Times

    assert Times.of([float(number) for number in range(100, 0, -1)]) == Times(50.5, 99.0, 100)


def test_inputs_take_turns() -> None:
    from kernel_timing import measure

    started = []

    def work(number: int) -> tuple[torch.Tensor, ...]:
        started.append(number)
        return (torch.zeros(1),)

    works = [lambda number=number: work(number) for number in range(3)]
    cost = measure(works, CPU, repeats=7, seconds=60, capture=True)
    assert started == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert cost.plain.runs == 7
    assert cost.replay is cost.cold is cost.extra_mib is None


def test_slow_work_is_measured_a_few_times_only() -> None:
    from kernel_timing import FEWEST_RUNS, measure

    cost = measure([lambda: (torch.zeros(1),)], CPU, repeats=1000, seconds=0, capture=False)
    assert cost.plain.runs == FEWEST_RUNS


def test_runs_that_differ_in_one_bit_are_counted() -> None:
    from kernel_timing import measure

    calls = itertools.count()

    def work() -> tuple[torch.Tensor, ...]:
        return torch.ones(2), torch.full((2,), 1.0 + 2**-23 * (next(calls) % 2))

    cost = measure([work], CPU, repeats=2, seconds=60, capture=False, repetitions=10)
    assert (cost.equal_runs, cost.repetitions) == (5, 10)


def test_differences_are_absolute_or_relative_to_a_tensors_size() -> None:
    from kernel_timing import largest_difference, relative_difference, relative_norm

    wanted = torch.tensor([10.0, -2.0])
    found = wanted + torch.tensor([0.5, 0.0])
    assert largest_difference(found, wanted) == 0.5
    assert relative_difference([wanted, found], [wanted, wanted]) == pytest.approx(0.05)
    assert relative_norm([wanted, found], [wanted, wanted]) == pytest.approx(0.5 / 104**0.5)
    found[1] = torch.nan
    assert not largest_difference(found, wanted) < 1


def test_voxelizer_reports_every_call_of_both_sweeps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import voxelizer

    monkeypatch.setattr(voxelizer, "OCC3D_GRID", VoxelGrid(lower=(-2, -2, -1), shape=(10, 12, 8)))
    file = tmp_path / "voxelizer.json"
    flags = ["--gaussians", "30,60", "--neighborhoods", "1,4", "--repeats", "3"]
    flags += ["--determinism", "2", "--device", "cpu", "--commit", "abc"]
    assert voxelizer.main([*flags, "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["commit"] == "abc"
    sizes = [(row["Gaussians"], row["neighbourhood"]) for row in report["rows"]]
    assert sizes == [(30, 1)] * 3 + [(30, 4)] * 3 + [(60, 4)] * 3
    assert [row["call"] for row in report["rows"][:3]] == ["logits", "labels", "backward"]
    for row in report["rows"]:
        assert row["error"] < 1e-4
        assert row["equal_runs"] == row["repetitions"] == 2
        assert 0 < row["plain"]["median_ms"] <= row["plain"]["p99_ms"]
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(report["rows"])


def test_voxelizer_finds_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    import voxelizer

    monkeypatch.setattr(voxelizer, "OCC3D_GRID", VoxelGrid(lower=(-2, -2, -1), shape=(10, 12, 8)))
    gaussians = voxelizer.random_gaussians(40, 0, CPU)
    truth = voxelizer.Truth(gaussians, 2)
    moved = replace(gaussians, means=gaussians.means + 0.02)
    for call in voxelizer.CALLS:
        right = truth.error(call, voxelizer.work_of(call, gaussians, 2, "reference")())
        wrong = truth.error(call, voxelizer.work_of(call, moved, 2, "reference")())
        assert right < 1e-4
        assert wrong > 1e-3


def test_cross_attention_reports_all_variants(tmp_path: Path) -> None:
    import cross_attention

    file = tmp_path / "cross_attention.json"
    flags = ["--queries", "40", "--cameras", "1", "--repeats", "3", "--device", "cpu"]
    assert cross_attention.main([*flags, "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [(row["cameras"], row["backend"], row["values"]) for row in rows[::2]] == [
        (1, "reference", "float32"),
        (6, "reference", "float32"),
        (6, "reference", "bfloat16"),
        (6, "grid_sample", "float32"),
    ]
    for row in rows:
        if row["backend"] == "grid_sample":
            assert row["error"] is None
        else:
            assert row["error"] < (1e-2 if row["values"] == "bfloat16" else 1e-4)


def test_bare_grid_sample_samples_what_the_reference_does() -> None:
    import cross_attention
    import sampling_problems

    from gfocc_core.model.deformable_sampling import sample_reference

    problem = sampling_problems.random_problem(1, 60, 0, CPU)
    samples = cross_attention.work_of("forward", problem, "grid_sample")()
    seen = problem.visible[0, 0]
    weights = problem.weights[0, seen].permute(1, 2, 0, 3).unsqueeze(2)
    levels = torch.stack([level.unflatten(-2, (-1,)) for level in samples], 1)
    summed = (levels * weights).sum((1, -1)).permute(2, 0, 1).flatten(1)
    torch.testing.assert_close(summed, sample_reference(problem)[0, seen], rtol=1e-4, atol=1e-5)


def test_cameras_look_around_like_the_real_ones() -> None:
    import sampling_problems

    shares = [
        sampling_problems.random_problem(count, 4000, 0, CPU).visible.float().mean(-1)[0]
        for count in (6, 8)
    ]
    assert float(shares[0].mean()) == pytest.approx(0.166, abs=0.02)
    assert torch.equal(shares[1][:6], shares[0])
    assert all(
        float(share) == pytest.approx(float(shares[0][0]), abs=0.03) for share in shares[1][6:]
    )


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("voxelizer", ["--gaussians", "0"], "numbers must be at least 1, got 0"),
        ("voxelizer", ["--gaussians", "1k"], "'1k' is not a list such as 1000,3000"),
        ("voxelizer", ["--repeats", "0"], "--repeats must be positive, got 0"),
        ("voxelizer", ["--device", "tpu9"], "device 'tpu9' cannot be used"),
        ("voxelizer", ["--determinism", "-1"], "--determinism must be >= 0, got -1"),
        ("cross_attention", ["--cameras", "9"], "--cameras knows up to 8 cameras, got 9"),
        (
            "cross_attention",
            ["--backend", "triton", "--device", "cpu"],
            "backend 'triton' cannot run: it runs on a CUDA device",
        ),
    ],
)
def test_bad_options_are_named(
    script: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = __import__(script)
    with pytest.raises(SystemExit) as stopped:
        module.main(flags)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
