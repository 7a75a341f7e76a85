"""Checkpoints: safetensors with the configuration as JSON in the metadata.

Never unpickles: reference `.pth` files are read with `weights_only=True`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gfocc_core.atomic_file import write_atomically
from gfocc_core.config import Config, ConfigError
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.reference_weights import ImportedReference, import_reference_state_dict

__all__ = [
    "CheckpointError",
    "ImportedReference",
    "StoredPrecision",
    "import_reference_checkpoint",
    "import_reference_state_dict",
    "load_checkpoint",
    "save_checkpoint",
    "with_config",
]

CONFIG_KEY = "gfocc_config"
FORMAT_KEY = "gfocc_format"
FORMAT_VERSION = "1"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or does not fit its own configuration."""


StoredPrecision = Literal["float32", "float16"]
"""How a checkpoint stores its matrices; loading always gives float32 networks."""

_KEPT_EXACT = frozenset({"initial_means"})
"""Matrices in metres: float16 would move a Gaussian 30 m away by up to 8 mm."""


def save_checkpoint(
    path: str | Path,
    state_dict: dict[str, Tensor],
    config: Config,
    *,
    precision: StoredPrecision = "float32",
) -> None:
    """Write network weights and their configuration, atomically (a crash leaves the old file).

    Args:
        precision: float16 halves the file: weight matrices and convolutions are rounded, while
            vectors (norms, biases, running statistics) and the Gaussians' means stay as they are.

    Raises:
        CheckpointError: a weight is too large for float16; nothing is written.
    """
    metadata = {CONFIG_KEY: config.to_json(), FORMAT_KEY: FORMAT_VERSION}
    stored = {
        name: _stored(name, tensor.detach().cpu().contiguous(), precision)
        for name, tensor in state_dict.items()
    }
    _write(Path(path), stored, metadata)


def load_checkpoint(path: str | Path) -> tuple[GaussianFlowNetwork, Config]:
    """Build the network of a checkpoint, on the CPU.

    Raises:
        CheckpointError: no such file, not safetensors, no or wrong configuration, or tensors
            that do not fit it (their names are listed).
    """
    path = Path(path)
    state_dict, metadata = _read(path)
    try:
        config = Config.from_json(metadata[CONFIG_KEY])
    except ConfigError as error:
        raise CheckpointError(f"checkpoint '{path}': {error}") from error
    return _network_of(config, state_dict, path), config


def with_config(path: str | Path, config: Config, out: str | Path) -> None:
    """Write a checkpoint's tensors, as they are stored, under another configuration, atomically.

    Args:
        out: written or replaced; may be `path` itself.

    Raises:
        CheckpointError: as for `load_checkpoint`, or the tensors do not fit `config`; nothing is
            written.
    """
    path = Path(path)
    state_dict, metadata = _read(path)
    _network_of(config, state_dict, path)
    _write(Path(out), state_dict, metadata | {CONFIG_KEY: config.to_json()})


def import_reference_checkpoint(path: str | Path, heads: int = 8) -> ImportedReference:
    """Read a reference `.pth` file (`{'state_dict': ...}` or the bare dictionary).

    Raises:
        CheckpointError: missing file, a file that needs unpickling of code, or foreign content.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint '{path}' does not exist")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"checkpoint '{path}' cannot be read safely: {error}") from error
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"checkpoint '{path}' holds no state_dict")
    try:
        return import_reference_state_dict(content, heads)
    except ValueError as error:
        raise CheckpointError(f"checkpoint '{path}': {error}") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors as they are stored, and metadata of this version's format with a configuration."""
    if not path.is_file():
        raise CheckpointError(f"checkpoint '{path}' does not exist")
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            state_dict = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"checkpoint '{path}' is not a safetensors file: {error}") from error
    if CONFIG_KEY not in metadata:
        raise CheckpointError(f"checkpoint '{path}' holds no gfocc configuration")
    if metadata.get(FORMAT_KEY) != FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint '{path}' has format '{metadata.get(FORMAT_KEY)}', "
            f"this version reads '{FORMAT_VERSION}'"
        )
    return state_dict, metadata


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    content = save(tensors, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda stream: stream.write(content))


def _network_of(config: Config, state_dict: dict[str, Tensor], path: Path) -> GaussianFlowNetwork:
    try:
        network = GaussianFlowNetwork(config.model, config.grid)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint '{path}': {error}") from error
    _fit(network, state_dict, path)
    return network


def _stored(name: str, tensor: Tensor, precision: StoredPrecision) -> Tensor:
    if precision == "float32" or tensor.ndim < 2 or name in _KEPT_EXACT:
        return tensor
    rounded = tensor.half()
    if bool((rounded.isinf() & tensor.isfinite()).any()):
        raise CheckpointError(f"'{name}' does not fit float16, it reaches {tensor.abs().max():g}")
    return rounded


def _fit(network: GaussianFlowNetwork, state_dict: dict[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    wrong = [
        f"{name}: {list(state_dict[name].shape)} in the file, {list(expected[name].shape)} wanted"
        for name in expected.keys() & state_dict.keys()
        if state_dict[name].shape != expected[name].shape
    ]
    missing = [f"{name}: missing" for name in expected.keys() - state_dict.keys()]
    unknown = [f"{name}: unknown" for name in state_dict.keys() - expected.keys()]
    problems = sorted(wrong + missing + unknown)
    if problems:
        shown = "; ".join(problems[:5]) + (" ..." if len(problems) > 5 else "")
        raise CheckpointError(
            f"checkpoint '{path}' does not fit its configuration, {len(problems)} tensors differ: {shown}"
        )
    network.load_state_dict(state_dict)
