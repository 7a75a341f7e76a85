"""The commands that work on stores: `import`, `inspect` and `verify`."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import HEADER_FILE, LabelStore
from gfocc_core.data.reference_labels import ReferenceLabels
from gfocc_core.data.weak_labels import LABEL_KINDS, LabelReader, StoreHeader
from gfocc_core.labelling.copying import copy_labels
from gfocc_core.labelling.generation_commands import print_report
from gfocc_core.labelling.joined import JoinedLabels
from gfocc_core.labelling.pictures import draw_labels, images_on_raster
from gfocc_core.labelling.protocols import LabellingError
from gfocc_core.labelling.share import label_geometry
from gfocc_core.labelling.statistics import QUANTILES, StoreStatistics, gather_statistics
from gfocc_core.labelling.verification import repair, verify_store
from gfocc_core.labelling.vocabulary import read_vocabulary


def run_import(arguments: Namespace) -> int:
    """Bring labels into a store; returns the exit code."""
    index = _index(arguments)
    kinds = [kind for kind in LABEL_KINDS if getattr(arguments, kind) is not None]
    if not kinds:
        raise LabellingError("give --semantics, --depth or both")
    source = JoinedLabels({kind: _open_source(arguments, kind, index) for kind in kinds})
    tokens: Iterable[str] = source.tokens()
    if index is not None:
        known = set(index.tokens)
        foreign = [token for token in tokens if token not in known]
        if foreign:
            print(
                f"{len(foreign)} keyframes are not in the index and stay out, the first is "
                f"'{foreign[0]}'",
                file=sys.stderr,
            )
        tokens = [token for token in tokens if token in known]
    chosen = list(tokens)
    if not chosen:
        raise LabellingError("there is no keyframe to import: no token has all kinds of labels")
    store = LabelStore.create(arguments.out, source.header)
    return print_report(copy_labels(source, store, chosen, threads=arguments.threads), ())


def run_inspect(arguments: Namespace) -> int:
    """Print statistics, and draw a keyframe; returns the exit code."""
    store = LabelStore.open(arguments.store)
    found = gather_statistics(store, arguments.keyframes)
    if found is None:
        raise LabellingError(f"store '{store.path}' holds no keyframe yet")
    record = _record(store.header, found)
    if arguments.json:
        print(json.dumps(record))
    else:
        _print_tables(store, record)
    if arguments.picture is not None:
        index = _index(arguments)
        token = arguments.token or store.tokens()[0]
        geometry = store.header.geometry
        images = None if index is None else images_on_raster(index, token, geometry)
        _save_picture(draw_labels(store.read(token), store.header, images), arguments.picture)
        print(f"keyframe '{token}': {arguments.picture}", file=sys.stderr)
    return 0


def run_verify(arguments: Namespace) -> int:
    """Check all files; returns the exit code: 1 where some are damaged and stay."""
    store = LabelStore.open(arguments.store)
    found = verify_store(store, arguments.threads)
    for _, problem in found.damaged:
        print(problem, file=sys.stderr)
    print(
        f"{found.keyframes} keyframes, {len(found.damaged)} damaged; "
        f"{len(found.unfinished)} unfinished files of killed processes"
    )
    if arguments.repair:
        print(f"{repair(store, found)} files removed; the command that made them makes them anew")
        return 0
    return 1 if found.damaged else 0


def _index(arguments: Namespace) -> SceneIndex | None:
    if (arguments.index is None) != (arguments.dataroot is None):
        raise LabellingError("--index and --dataroot go together")
    if arguments.index is None:
        return None
    return SceneIndex.load(arguments.index, arguments.dataroot)


def _open_source(arguments: Namespace, kind: str, index: SceneIndex | None) -> LabelReader:
    path: Path = getattr(arguments, kind)
    if (path / HEADER_FILE).is_file():
        return LabelStore.open(path)
    if index is None:
        raise LabellingError(
            f"{kind} '{path}' is no store: give --index and --dataroot, which say how large the "
            "images are"
        )
    name = getattr(arguments, f"{kind}_name") or f"imported from {path.resolve().name}"
    header = StoreHeader(
        {kind: name},
        read_vocabulary(arguments.vocabulary).classes,
        label_geometry(index, arguments.raster),
    )
    return ReferenceLabels(
        path if kind == "semantics" else None,
        path if kind == "depth" else None,
        header,
        getattr(arguments, f"{kind}_pattern"),
        tuple(arguments.file_cameras),
        arguments.depth_unit,
        arguments.on_raster,
    )


def _record(header: StoreHeader, found: StoreStatistics) -> dict[str, Any]:
    total = int(found.class_pixels.sum())
    names = header.geometry.names
    return {
        "keyframes": found.keyframes,
        "looked_into": found.looked_into,
        "bytes_per_keyframe": found.bytes_per_keyframe,
        "models": dict(header.models),
        "raster": list(header.geometry.shape),
        "class_share": {
            name: int(count) / total
            for name, count in zip(header.vocabulary, found.class_pixels, strict=True)
        },
        "labelled_share": dict(zip(names, found.labelled_share.tolist(), strict=True)),
        "depth_share": dict(zip(names, found.depth_share.tolist(), strict=True)),
        "depth_quantiles": (
            dict(zip(map(str, QUANTILES), found.depth_quantiles, strict=True))
            if found.depth_quantiles
            else {}
        ),
    }


def _print_tables(store: LabelStore, record: dict[str, Any]) -> None:
    console = Console()
    size = record["bytes_per_keyframe"]
    cameras, height, width = record["raster"]
    console.print(
        f"{store.path}: {record['keyframes']} keyframes of {cameras} x {height} x {width}, "
        f"{size / 1e3:.1f} kB each, {size * record['keyframes'] / 1e9:.3f} GB; statistics of "
        f"{record['looked_into']}",
        highlight=False,
    )
    for kind, name in record["models"].items():
        console.print(f"{kind}: {name}", highlight=False, markup=False)
    classes = Table("id", "class", "pixels", title="semantics")
    for number, (name, share) in enumerate(record["class_share"].items()):
        classes.add_row(str(number), name, f"{share:.2%}")
    coverage = Table("camera", "with class", "with depth", title="coverage")
    for name, share in record["labelled_share"].items():
        coverage.add_row(name, f"{share:.1%}", f"{record['depth_share'][name]:.1%}")
    console.print(classes, coverage)
    if record["depth_quantiles"]:
        depth = Table("share nearer", "metres", title="depth")
        for share, metres in record["depth_quantiles"].items():
            depth.add_row(f"{float(share):.0%}", f"{metres:.2f}")
        console.print(depth)


def _save_picture(picture: Any, path: Path) -> None:
    try:
        picture.save(path)
    except (ValueError, OSError) as error:
        raise LabellingError(f"picture '{path}' cannot be written: {error}") from error
