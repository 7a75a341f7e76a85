"""The commands that run networks: `semantics` and `depth`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

import torch

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.weak_labels import StoreHeader
from gfocc_core.labelling.depth import NetworkDepth
from gfocc_core.labelling.devices import gpu_environments, run_per_device
from gfocc_core.labelling.engine import RunReport, generate
from gfocc_core.labelling.models import load_model
from gfocc_core.labelling.protocols import KeyframeLabeller, LabellingError
from gfocc_core.labelling.semantics import NetworkSemantics, PhraseSemantics
from gfocc_core.labelling.share import chosen_positions, label_geometry
from gfocc_core.labelling.vocabulary import PhraseVocabulary, read_vocabulary

MakeLabeller = Callable[[Namespace, PhraseVocabulary, torch.device], KeyframeLabeller]


def run_semantics(arguments: Namespace) -> int:
    """Label classes; returns the exit code."""
    pair = (arguments.detector, arguments.segmenter)
    if (arguments.model is None) != all(pair) or (arguments.model and any(pair)):
        raise LabellingError("give either --detector and --segmenter, or --model")
    return _run(arguments, _semantics_labeller)


def run_depth(arguments: Namespace) -> int:
    """Label depth; returns the exit code."""
    return _run(arguments, _depth_labeller)


def print_report(report: RunReport, remarks: Sequence[str]) -> int:
    """Print what a run did; returns the exit code: 1 where keyframes were left out."""
    for remark in remarks:
        print(remark)
    print(
        f"{report.written} keyframes written ({report.bytes / 1e6:.1f} MB), "
        f"{report.already_there} were there, {len(report.failures)} left out"
    )
    for token, reason in report.failures:
        print(f"left out: keyframe '{token}': {reason}", file=sys.stderr)
    return 1 if report.failures else 0


def _run(arguments: Namespace, make: MakeLabeller) -> int:
    if arguments.devices > 1:
        cpu = arguments.device == "cpu"
        environments = (
            [{}] * arguments.devices if cpu else gpu_environments(os.environ, arguments.devices)
        )
        command = [*arguments.command_line, "--devices", "1"]
        return run_per_device(command, arguments.shard, environments)
    index = SceneIndex.load(arguments.index, arguments.dataroot)
    scenes = list(arguments.scenes)
    if arguments.split is not None:
        scenes += index.scenes_of_split(arguments.split)
    positions = chosen_positions(index, scenes, arguments.shard)
    geometry = label_geometry(index, arguments.raster)
    vocabulary = read_vocabulary(arguments.vocabulary)
    labeller = make(arguments, vocabulary, _device(arguments.device))
    header = StoreHeader({labeller.kind: labeller.name}, vocabulary.classes, geometry)
    store = LabelStore.create(arguments.out, header)
    name = labeller.kind + (f" {arguments.shard}" if arguments.shard.count > 1 else "")
    report = generate(
        index, store, labeller, positions, threads=arguments.threads, progress_label=name
    )
    return print_report(report, labeller.remarks())


def _semantics_labeller(
    arguments: Namespace, vocabulary: PhraseVocabulary, device: torch.device
) -> KeyframeLabeller:
    if arguments.model is not None:
        network = load_model("semantics", arguments.model, device)
        return NetworkSemantics(network, vocabulary, device)
    return PhraseSemantics(
        load_model("detector", arguments.detector, device),
        load_model("segmenter", arguments.segmenter, device),
        vocabulary,
        device,
        arguments.threshold,
    )


def _depth_labeller(
    arguments: Namespace, vocabulary: PhraseVocabulary, device: torch.device
) -> KeyframeLabeller:
    return NetworkDepth(load_model("depth", arguments.model, device), device)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LabellingError(f"device '{name}' is no torch device") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise LabellingError(f"device '{name}': there is no usable GPU")
    return device
