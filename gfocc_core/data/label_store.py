"""A folder of weak labels: a header, and one small checked file per keyframe.

Written by label generation and imports, by any number of processes at once; read by training.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.label_codec import decode_labels, encode_labels
from gfocc_core.data.scratch import Scratch
from gfocc_core.data.weak_labels import LabelStoreError, StoreHeader, WeakLabels

HEADER_FILE = "header.json"
OBJECT_SUFFIX = ".labels"
_files = Scratch()
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class LabelStore:
    """Weak labels by keyframe token; see create and open. Implements LabelReader."""

    def __init__(self, path: Path, header: StoreHeader) -> None:
        """Use create or open."""
        self._path = path
        self._header = header

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self._path

    @property
    def header(self) -> StoreHeader:
        """Models, vocabulary and geometry of all labels."""
        return self._header

    @classmethod
    def create(cls, path: Path | str, header: StoreHeader) -> LabelStore:
        """Make a store, or go on with the one that stands there with the same header.

        Raises:
            LabelStoreError: a store with another header, or something else, is in the way.
            OSError: from the file system.
        """
        folder = Path(path)
        if (folder / HEADER_FILE).is_file():
            store = cls.open(folder)
            if store.header != header:
                raise LabelStoreError(
                    f"store '{folder}' exists with other {_first_difference(store.header, header)}"
                )
            return store
        if folder.exists() and (not folder.is_dir() or any(folder.glob(f"*{OBJECT_SUFFIX}"))):
            raise LabelStoreError(f"'{folder}' exists and is no label store: no {HEADER_FILE}")
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            folder / HEADER_FILE, lambda file: file.write(header.to_json().encode() + b"\n")
        )
        return cls(folder, header)

    @classmethod
    def open(cls, path: Path | str) -> LabelStore:
        """Open a store.

        Raises:
            LabelStoreError: there is none, or its header is damaged or of another version.
        """
        file = Path(path) / HEADER_FILE
        if not file.is_file():
            raise LabelStoreError(f"'{path}' is no label store: it has no {HEADER_FILE}")
        try:
            return cls(Path(path), StoreHeader.from_json(file.read_text()))
        except (LabelStoreError, OSError, UnicodeDecodeError) as error:
            raise LabelStoreError(f"label store header '{file}': {error}") from error

    def write(self, token: str, labels: WeakLabels) -> None:
        """Store the labels of a keyframe, whole or not at all; what was there is replaced.

        Raises:
            LabelStoreError: the labels do not fit the header (see encode_labels), or the token
                cannot be a file's name.
            OSError: from the file system, such as a full disk.
        """
        path = self._file_of(token)
        try:
            data = encode_labels(labels, token, self._header)
        except LabelStoreError as error:
            raise LabelStoreError(f"labels of keyframe '{token}': {error}") from error
        write_atomically(path, lambda file: file.write(data))

    def read(self, token: str, out: WeakLabels | None = None) -> WeakLabels:
        """The labels of a keyframe.

        Args:
            token: Which keyframe.
            out: Arrays to fill and return (C-contiguous, depth float32); new ones if not given.

        Raises:
            LabelStoreError: names the file that is missing, damaged or of another store.
        """
        path = self._file_of(token)
        labels = WeakLabels.empty(self._header.geometry) if out is None else out
        try:
            decode_labels(_files.read_file(path), token, self._header, labels)
        except FileNotFoundError as error:
            raise LabelStoreError(f"label file '{path}' is missing") from error
        except OSError as error:
            raise LabelStoreError(
                f"label file '{path}' cannot be read: {error.strerror}"
            ) from error
        except LabelStoreError as error:
            raise LabelStoreError(f"label file '{path}' cannot be used: {error}") from error
        return labels

    def has(self, token: str) -> bool:
        """Whether a keyframe has labels; does not look into the file."""
        return self._file_of(token).is_file()

    def tokens(self) -> tuple[str, ...]:
        """Keyframes that have labels, sorted."""
        with os.scandir(self._path) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(OBJECT_SUFFIX)]
        return tuple(sorted(n.removesuffix(OBJECT_SUFFIX) for n in names if not n.startswith(".")))

    def _file_of(self, token: str) -> Path:
        if not _TOKEN.fullmatch(token):
            raise LabelStoreError(
                f"token must be letters, digits, '.', '_' and '-' to name a file, got '{token}'"
            )
        return self._path / f"{token}{OBJECT_SUFFIX}"


def _first_difference(found: StoreHeader, wanted: StoreHeader) -> str:
    for name in ("models", "vocabulary", "geometry"):
        have, want = getattr(found, name), getattr(wanted, name)
        if have != want:
            return f"{name}: it has {have}, not {want}"
    return "content"
