"""Load a network of transformers from a local folder: strictly, without a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gfocc_core.labelling.networks.weight_files import first_line, refuse_mismatch
from gfocc_core.labelling.protocols import LabellingError

PACKAGE = "transformers<5"


def load_folder(network_class: Any, folder: Path, what: str) -> Any:
    """A network in float32 on the CPU, from what save_pretrained writes.

    Args:
        network_class: Of transformers.
        folder: Holds config.json and the parameters.
        what: The network's name in messages.

    Raises:
        LabellingError: the folder is of another network, or parameters are missing, left over, of
            another shape or cannot be read.
    """
    wanted = network_class.config_class.model_type
    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise LabellingError(
            f"weights '{folder}': its config.json cannot be read: {first_line(error)}"
        ) from error
    if kind != wanted:
        raise LabellingError(f"weights '{folder}' are of a '{kind}', but {what} is a '{wanted}'")
    try:
        network, found = network_class.from_pretrained(
            str(folder),
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to say which they are; they are refused below
        )
    except Exception as error:  # as many kinds as there are formats of files
        if isinstance(error, MemoryError):
            raise
        raise LabellingError(f"weights '{folder}' cannot be read: {first_line(error)}") from error
    lists = (found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    refuse_mismatch(folder, what, *map(sorted, lists))
    return network
