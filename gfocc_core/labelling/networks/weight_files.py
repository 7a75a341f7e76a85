"""Find weights that a person downloaded, or say which are missing and how to get them.

Nothing is downloaded here. Files are read without unpickling code, and have to fit exactly.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gfocc_core.labelling.protocols import LabellingError

WEIGHTS_VARIABLE = "GFOCC_WEIGHTS"
RANDOM = "random"
"""As `weights=`: an untrained network, for measurements; its name says so."""
RANDOM_WEIGHTS = "random weights"
_CHUNK = 1 << 24
_WEIGHTS_IN_FOLDERS = ("*.safetensors", "*.bin", "*.json", "*.txt")
_LISTED_KEYS = 3
_STATE_ENTRIES = ("model", "model_state_dict")
"""Where training checkpoints keep the parameters."""


@dataclass(frozen=True)
class WeightSource:
    """Weights as their makers publish them."""

    what: str
    """Such as "SAM ViT-H"."""
    name: str
    """Of the file or folder under weights_folder()."""
    command: str
    """What a person runs to get them; `{target}` stands for where they belong."""


def weights_folder() -> Path:
    """Where weights are looked for: $GFOCC_WEIGHTS, else ~/.cache/gfocc/weights (absolute)."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    return Path(given or Path.home() / ".cache/gfocc/weights").expanduser().absolute()


def find_weights(source: WeightSource, given: str | None, option: str = "weights") -> Path:
    """The file or folder of weights, absolute.

    Args:
        source: Which weights.
        given: The option's value, None for the default place.
        option: Name of the option.

    Raises:
        LabellingError: there is none; says where it was looked for and how to get it.
    """
    path = Path(given).expanduser().absolute() if given else weights_folder() / source.name
    if path.exists():
        return path
    place = "" if given else f" (${WEIGHTS_VARIABLE} is another folder to look in)"
    raise LabellingError(
        f"{source.what}: its weights '{path}' do not exist{place}; "
        f"give {option}=PATH, or get them: {source.command.format(target=path)}"
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """Parameters of a .safetensors or torch file, on the CPU; LabellingError where it is none."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything at all for what is no file of its own
        if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
            raise
        raise LabellingError(f"weights '{path}' cannot be read: {first_line(error)}") from error
    for part in _STATE_ENTRIES:
        if isinstance(content, Mapping) and isinstance(content.get(part), Mapping):
            content = content[part]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise LabellingError(f"weights '{path}' hold no parameters by name")
    return dict(content)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Put parameters into a network; LabellingError unless all fit and none is left over."""
    own = network.state_dict()
    lacking = sorted(own.keys() - state.keys())
    foreign = sorted(state.keys() - own.keys())
    unlike = [
        f"{key} {list(state[key].shape)} for {list(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if state[key].shape != own[key].shape
    ]
    refuse_mismatch(path, what, lacking, foreign, unlike)
    network.load_state_dict(state)


def refuse_mismatch(
    path: Path, what: str, lacking: list[str], foreign: list[str], unlike: list[str]
) -> None:
    """LabellingError where any of the lists of parameters holds one."""
    found = {"lacks": lacking, "has unknown": foreign, "has the wrong shape of": unlike}
    said = [f"it {verb} {_listed(keys)}" for verb, keys in found.items() if keys]
    if said:
        raise LabellingError(f"weights '{path}' are not those of {what}: {'; '.join(said)}")


def fingerprint(path: Path) -> str:
    """Name and 8 letters of the content, for a model's name: of a file, or a folder's weights."""
    digest = blake2b(digest_size=4)
    files = [path]
    if path.is_dir():
        files = sorted(file for pattern in _WEIGHTS_IN_FOLDERS for file in path.glob(pattern))
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return f"{path.name} {digest.hexdigest()}"


def import_package(module: str, package: str, flags: str = "") -> ModuleType:
    """Import a module that is no requirement of this project.

    Args:
        module: Its full name.
        package: Its name and version for pip.
        flags: That pip has to be given for it, with a space behind.

    Raises:
        LabellingError: it is not installed; names the package and how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LabellingError(
            f"package {package} is needed and cannot be imported ({error}): "
            f"pip install {flags}'{package}'; most of what labelling needs: pip install '.[labels]' "
            "in the folder of gfocc's source"
        ) from error


def first_line(error: BaseException) -> str:
    """The kind of error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _LISTED_KEYS} more" if len(keys) > _LISTED_KEYS else ""
    return ", ".join(keys[:_LISTED_KEYS]) + more
