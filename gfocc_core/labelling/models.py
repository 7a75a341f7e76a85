"""Find the model that a command names: a registered one, or `module:factory` of your own.

A factory is called as `factory(device, **options)` and returns what the role's protocol says.
Options are the strings that follow the name: `sam,weights=/models/sam_vit_h.pth`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch

from gfocc_core.labelling.protocols import (
    BoxSegmenter,
    DepthNetwork,
    LabellingError,
    PhraseDetector,
    SemanticNetwork,
)

Role = Literal["detector", "segmenter", "semantics", "depth"]

PROTOCOLS: Mapping[Role, type] = MappingProxyType(
    {
        "detector": PhraseDetector,
        "segmenter": BoxSegmenter,
        "semantics": SemanticNetwork,
        "depth": DepthNetwork,
    }
)

_NETWORKS = "gfocc_core.labelling.networks"

REGISTERED: Mapping[Role, dict[str, str]] = MappingProxyType(
    {
        "detector": {
            "grounding-dino": f"{_NETWORKS}.grounding_dino:make_grounding_dino",
            "grounding-dino-hf": f"{_NETWORKS}.grounding_dino_hf:make_grounding_dino_hf",
        },
        "segmenter": {
            "sam": f"{_NETWORKS}.sam:make_sam",
            "sam-hf": f"{_NETWORKS}.sam_hf:make_sam_hf",
        },
        "semantics": {},
        "depth": {
            "metric3d": f"{_NETWORKS}.metric3d:make_metric3d",
            "depth-anything": f"{_NETWORKS}.depth_anything:make_depth_anything",
        },
    }
)
"""Role -> short name -> `module:factory`, imported only when it is asked for."""


def load_model(role: Role, specification: str, device: torch.device) -> Any:
    """Make a model.

    Args:
        role: What it shall be.
        specification: `name` or `module:factory`, then `,option=value` any number of times.
        device: Where it shall run.

    Raises:
        LabellingError: no such model, an option it does not know, or it is not of this role;
            factories raise it too, such as for missing weights.
    """
    name, options = parse_specification(specification)
    factory = _find_factory(role, name)
    try:
        inspect.signature(factory).bind(device, **options)
    except TypeError as error:
        raise LabellingError(
            f"{role} '{name}' cannot be made with these options: {error}"
        ) from error
    model = factory(device, **options)
    if not isinstance(model, PROTOCOLS[role]):
        raise LabellingError(
            f"{role} '{name}' made a {type(model).__name__}, which is no {PROTOCOLS[role].__name__}"
        )
    return model


def parse_specification(specification: str) -> tuple[str, dict[str, str]]:
    """`name,option=value,...` -> name and options; LabellingError where it is none."""
    name, *pairs = specification.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        option, equals, value = pair.partition("=")
        if not equals or not option.isidentifier() or option in options:
            raise LabellingError(
                f"model '{specification}': '{pair}' must be option=value, each option once"
            )
        options[option] = value
    return name, options


def _find_factory(role: Role, name: str) -> Callable[..., Any]:
    place = REGISTERED[role].get(name, name)
    module_name, colon, attribute = place.partition(":")
    if not (module_name and colon and attribute):
        known = ", ".join(sorted(REGISTERED[role])) or "none"
        raise LabellingError(
            f"{role} '{name}' is neither module:factory nor registered; registered: {known}"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise LabellingError(f"{role} '{name}' cannot be imported: {error}") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise LabellingError(f"{role} '{name}': module '{module_name}' has no '{attribute}'")
    return factory
