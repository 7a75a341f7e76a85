#!/usr/bin/env python3
"""Train variants of one configuration with equal steps and data, score each, make one table.

    python benchmarks/ablations.py --out D --steps 3000 --jobs 3 \\
        --config training/configs/synthetic_tiny.yaml --data.dataroot=... --data.index=... \\
        --data.labels=...

Options that are not listed below are those of training/train.py. Run it again to go on after an
interruption: variants with a result are skipped, half-trained ones resume.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ablation_table import ablation_table
from ablation_variants import DEFAULT_VARIANTS, VARIANTS

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.frames import load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.training.cli import training_parser
from gfocc_core.training.config import TrainingConfig
from gfocc_core.training.evaluation import OnlinePredictions, evaluate
from gfocc_core.training.export import CheckpointExport
from gfocc_core.training.run import RESUME_FILE, SUMMARY_FILE, train

RESULT_FILE, LOG_FILE = "result.json", "log.txt"
TIMED_FRAMES = 30


@dataclass(frozen=True)
class Ablations:
    """What to train, how long, and where to."""

    base: TrainingConfig
    out: Path
    steps: int

    def config_of(self, name: str) -> TrainingConfig:
        """A variant's run: no validation on the way, the given number of steps."""
        varied = VARIANTS[name].change(self.base)
        run = replace(varied.run, out=self.folder_of(name) / "run", max_steps=self.steps)
        return replace(varied, run=run, data=replace(varied.data, val_split=None))

    def folder_of(self, name: str) -> Path:
        return self.out / name

    def result_of(self, name: str) -> dict[str, Any] | None:
        """The finished variant's result.

        Raises:
            ValueError: the folder holds a result of another configuration.
        """
        path = self.folder_of(name) / RESULT_FILE
        if not path.is_file():
            return None
        result: dict[str, Any] = json.loads(path.read_text())
        if result["config"] != _plain(self.config_of(name)):
            raise ValueError(f"'{path}' is of another configuration; use another --out")
        return result

    @property
    def device(self) -> str:
        return "cpu" if self.base.run.accelerator == "cpu" else "auto"


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments, training_options = _parse(argv)
    try:
        ablations = Ablations(
            _base_config(arguments.out, training_options), arguments.out, arguments.steps
        )
        if arguments.only is not None:
            _train_and_score(ablations, arguments.only)
            return 0
        failed = _run_all(ablations, arguments.variants, arguments.jobs, argv)
        if not failed:
            _report(ablations, arguments.variants, arguments.jobs)
    except (ValueError, OSError) as error:
        print(f"ablations: {error}", file=sys.stderr)
        return 2
    return int(bool(failed))


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder per variant, the table")
    parser.add_argument("--steps", type=int, required=True, help="optimizer steps of each variant")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=DEFAULT_VARIANTS)
    parser.add_argument("--jobs", type=int, default=1, help="variants to train at the same time")
    parser.add_argument("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments, training_options = parser.parse_known_args(argv)
    if arguments.steps < 1 or arguments.jobs < 1:
        parser.error("--steps and --jobs must be at least 1")
    return arguments, training_options


def _base_config(out: Path, options: Sequence[str]) -> TrainingConfig:
    parser = training_parser()
    values = parser.parse_args([*options, f"--run.out={out}"])
    ready = parser.instantiate(values)
    config = TrainingConfig(**{name: ready[name] for name in TrainingConfig.__dataclass_fields__})
    if config.data.val_split is None:
        raise ValueError("data.val_split must name the split to score on")
    return config


def _run_all(
    ablations: Ablations, variants: Sequence[str], jobs: int, argv: list[str]
) -> list[str]:
    """Each variant that has no result yet in a process of its own; returns those that failed."""
    waiting = [name for name in variants if ablations.result_of(name) is None]

    # Processes that each start a thread per core wait for one another most of the time.
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)), **os.environ}

    def run(name: str) -> bool:
        folder = ablations.folder_of(name)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{name}: training, see {folder / LOG_FILE}", flush=True)
        with open(folder / LOG_FILE, "ab") as log:
            command = [sys.executable, __file__, *argv, "--only", name]
            ran = subprocess.run(command, stdout=log, stderr=log, env=threads, check=False)
        code = ran.returncode
        last = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()[-1:]
        print(f"{name}: {'done' if code == 0 else f'failed ({code}): {last}'}", flush=True)
        return code == 0

    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(run, waiting))
    return [name for name, good in zip(waiting, done, strict=True) if not good]


def _train_and_score(ablations: Ablations, name: str) -> None:
    config = ablations.config_of(name)
    summary = config.run.out / SUMMARY_FILE
    if not summary.is_file():
        train(config, resume=(config.run.out / RESUME_FILE).is_file())
    trained = json.loads(summary.read_text())
    data = ablations.base.data
    index = SceneIndex.load(data.index, data.dataroot)
    assert data.val_split is not None
    predictor = OccupancyPredictor.from_checkpoint(
        config.run.out / CheckpointExport.LAST, ablations.device
    )
    scores = evaluate(
        open_nuscenes(data.dataroot, index.version),
        index.scenes_of_split(data.val_split),
        OnlinePredictions(predictor),
    )
    result = {
        "variant": name,
        "description": VARIANTS[name].description,
        **{field: trained[field] for field in ("steps", "batch", "minutes", "device", "date")},
        **json.loads(scores.to_json()),
        "config": _plain(config),
    }
    _write(ablations.folder_of(name) / RESULT_FILE, json.dumps(result, indent=1))


def _report(ablations: Ablations, variants: Sequence[str], jobs: int) -> None:
    results = []
    for name in variants:
        result = ablations.result_of(name)
        assert result is not None
        results.append({**result, "frame_ms": _frame_ms(ablations, name)})
    table = ablation_table(results, jobs)
    _write(ablations.out / "ablations.json", json.dumps(results, indent=1))
    _write(ablations.out / "ablations.md", table)
    print(f"\n{table}")


def _frame_ms(ablations: Ablations, name: str) -> float:
    """Median milliseconds of one prediction, with nothing else running."""
    data = ablations.base.data
    index = SceneIndex.load(data.index, data.dataroot)
    assert data.val_split is not None
    nusc = open_nuscenes(data.dataroot, index.version)
    tokens = keyframe_tokens(nusc, index.scenes_of_split(data.val_split)[0])[:TIMED_FRAMES]
    checkpoint = ablations.config_of(name).run.out / CheckpointExport.LAST
    predictor = OccupancyPredictor.from_checkpoint(checkpoint, ablations.device)
    predictor.warm_up()
    times = [predictor.predict(load_frame(nusc, token)).timings_ms["total"] for token in tokens]
    return statistics.median(times)


def _plain(config: TrainingConfig) -> Any:
    return json.loads(json.dumps(asdict(config), default=str))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda stream: stream.write(f"{text}\n".encode()))


if __name__ == "__main__":
    sys.exit(main())
