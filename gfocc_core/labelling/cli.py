"""The command line of training/generate_labels.py."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch
import yaml

from gfocc_core.command_line import INTERRUPTED, OneLineParser, report_bad_input
from gfocc_core.config import ConfigError, ImageConfig
from gfocc_core.data.scenes import DatasetError
from gfocc_core.labelling import generation_commands, store_commands
from gfocc_core.labelling.protocols import LabellingError
from gfocc_core.labelling.semantics import DEFAULT_THRESHOLD
from gfocc_core.labelling.share import Shard

COMMAND = "generate_labels"
INCOMPLETE = 1
_DESCRIPTION = """\
Make weak 2D labels of a dataset's keyframes, import them, look at them, check them.
A store holds semantics, depth, or both: make each with its own command and store, then join them
with `import --semantics A --depth B --out C`. Everything can be interrupted: the same command goes
on where it stopped. Exit codes: 0 all done, 1 keyframes left out or damaged (listed), 2 an error,
130 interrupted."""
_IMPORT_HELP = """\
Bring labels into a store. --semantics and --depth each name one of
  a store of labels (as made by semantics, depth or import),
  a folder of .npy files: {token}.npy [cameras, H, W] (the published pipeline's), or one [H, W] file
    per camera with a pattern such as {token}/{camera}.npy,
  a folder of .png files, one per camera, such as {token}/{camera}.png: semantics as ids in 8 bit
    grey or a palette, depth as 16 bit grey that counts --depth-unit metres, 0 where there is none.
Arrays have the images' full size, or with --on-raster that of the store's raster. Semantics are ids
of the vocabulary's classes; depth is metres along the optical axis. Tokens are sample tokens."""


def main(argv: list[str] | None = None, *, script: Path) -> int:
    """Run a command; returns the exit code.

    Args:
        argv: Arguments; those of this process if not given.
        script: The command's file: started again for each GPU, its configs/ lie beside it.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = labels_parser(script.parent / "configs").parse_args(argv)
    arguments.command_line = [sys.executable, str(script), *argv]
    if "" not in sys.path:
        sys.path.append("")  # for module:factory of the working folder
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    except (DatasetError, ConfigError, OSError, torch.cuda.OutOfMemoryError) as error:
        return report_bad_input(COMMAND, error)


def labels_parser(configs: Path) -> argparse.ArgumentParser:
    """All commands and their options; the default vocabulary lies in `configs`."""
    parser = OneLineParser(
        prog=COMMAND,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    vocabulary = configs / "vocabulary.yaml"

    semantics = commands.add_parser("semantics", help="label classes with networks")
    semantics.set_defaults(run=generation_commands.run_semantics)
    _add_generation(semantics, vocabulary)
    model = "registered name or module:factory, then ,option=value for each option"
    semantics.add_argument("--detector", metavar="MODEL", help=f"of phrases: {model}")
    semantics.add_argument("--segmenter", metavar="MODEL", help="of the detector's boxes")
    semantics.add_argument("--model", help="a network of classes, instead of those two")
    semantics.add_argument(
        "--threshold", type=float, default=DEFAULT_THRESHOLD, help="of detections (%(default)s)"
    )

    depth = commands.add_parser("depth", help="label metric depth with a network")
    depth.set_defaults(run=generation_commands.run_depth)
    _add_generation(depth, vocabulary)
    depth.add_argument("--model", required=True, help=model)

    bring = commands.add_parser(
        "import",
        help="bring other labels into a store, or join two stores",
        description=_IMPORT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bring.set_defaults(run=store_commands.run_import)
    bring.add_argument("--out", type=Path, required=True, help="store to make or go on with")
    _add_dataset(bring, required=False)
    _add_raster(bring)
    for kind in ("semantics", "depth"):
        bring.add_argument(f"--{kind}", type=Path, help=f"where {kind} come from")
        bring.add_argument(f"--{kind}-pattern", default="{token}.npy", metavar="PATTERN")
        bring.add_argument(f"--{kind}-name", metavar="NAME", help="what made them (the folder)")
    bring.add_argument("--depth-unit", type=float, default=0.001, help="metres (%(default)s)")
    bring.add_argument("--on-raster", action="store_true", help="files hold the raster already")
    bring.add_argument("--file-cameras", nargs="+", default=[], help="order in [C, H, W] files")
    bring.add_argument("--vocabulary", type=Path, default=vocabulary, help="YAML with classes")
    bring.add_argument("--threads", type=_positive, default=4)

    inspect = commands.add_parser("inspect", help="statistics and pictures of a store")
    inspect.set_defaults(run=store_commands.run_inspect)
    inspect.add_argument("store", type=Path)
    inspect.add_argument("--keyframes", type=_positive, default=200, help="look into so many")
    inspect.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    inspect.add_argument("--picture", type=Path, help="PNG or JPEG to write of one keyframe")
    inspect.add_argument("--token", help="of that keyframe; the first if not given")
    _add_dataset(inspect, required=False)

    verify = commands.add_parser("verify", help="check every file of a store")
    verify.set_defaults(run=store_commands.run_verify)
    verify.add_argument("store", type=Path)
    verify.add_argument("--threads", type=_positive, default=4)
    verify.add_argument(
        "--repair", action="store_true", help="remove damaged files, so that they are made anew"
    )
    return parser


def _add_generation(parser: argparse.ArgumentParser, vocabulary: Path) -> None:
    parser.add_argument("--out", type=Path, required=True, help="store to make or go on with")
    _add_dataset(parser, required=True)
    parser.add_argument("--scenes", nargs="+", default=[], help="names; all if not given")
    parser.add_argument("--split", help="the scenes of a split, such as train")
    parser.add_argument(
        "--shard", type=_shard, default=Shard(), help="i/n, i from 0: every n-th keyframe"
    )
    parser.add_argument(
        "--devices", type=_positive, default=1, help="processes, each with a GPU of its own"
    )
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)"
    )
    _add_raster(parser)
    parser.add_argument("--vocabulary", type=Path, default=vocabulary, help="(%(default)s)")
    parser.add_argument(
        "--threads", type=_positive, default=4, help="that decode images (%(default)s)"
    )


def _add_dataset(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument("--dataroot", type=Path, required=required, help="folder of the dataset")
    parser.add_argument(
        "--index", type=Path, required=required, help="made by training/index_nuscenes.py"
    )


def _add_raster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--raster",
        type=_raster,
        default=ImageConfig(),
        help="HEIGHTxWIDTH (256x704), or a training configuration to take network.image from",
    )


def _raster(text: str) -> ImageConfig:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    try:
        if match is not None:
            return ImageConfig(height=int(match.group(1)), width=int(match.group(2)))
        image = yaml.safe_load(Path(text).read_text())["network"]["image"]
        return ImageConfig(height=int(image["height"]), width=int(image["width"]))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither HEIGHTxWIDTH nor a configuration with network.image: {error}"
        ) from error


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except LabellingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1, got '{text}'")
    return int(text)
