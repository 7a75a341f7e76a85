"""Which phrases to look for, and which class each of them means: a YAML file.

classes: [others, barrier, ...]   # names by id; id 0 is no label
phrases:
  sky: others                     # known, and without a label
  sedan: car
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml

from gfocc_core.labelling.protocols import LabellingError


@dataclass(frozen=True)
class PhraseVocabulary:
    """Phrases and their classes. Raises LabellingError for what cannot be meant."""

    classes: tuple[str, ...]
    """Name of each id; id 0 is no label."""
    phrases: Mapping[str, str]
    """Phrase -> name of its class."""

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= 256:
            raise LabellingError(f"classes must be 2 to 256 names, got {len(self.classes)}")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise LabellingError(f"classes names '{twice}' twice")
        if not self.phrases:
            raise LabellingError("phrases is empty: there is nothing to look for")
        for phrase, name in self.phrases.items():
            if phrase != normal_phrase(phrase) or not phrase:
                raise LabellingError(
                    f"phrase '{phrase}' must be written '{normal_phrase(phrase)}': small letters, "
                    "single spaces, no full stop"
                )
            if name not in self.classes:
                raise LabellingError(f"phrase '{phrase}' means '{name}', which classes lacks")

    def id_of(self, phrase: str) -> int | None:
        """Id of the class that a detector's phrase means, None for one that is not listed."""
        return self._ids.get(normal_phrase(phrase))

    @cached_property
    def digest(self) -> str:
        """8 letters that tell vocabularies apart."""
        text = repr((self.classes, sorted(self.phrases.items())))
        return blake2b(text.encode(), digest_size=4).hexdigest()

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {phrase: self.classes.index(name) for phrase, name in self.phrases.items()}


def normal_phrase(phrase: str) -> str:
    """Small letters, single spaces, none around hyphens (tokenizers write 'traffic - cone')."""
    return re.sub(r"\s*-\s*", "-", " ".join(phrase.lower().strip(" .").split()))


def read_vocabulary(path: Path) -> PhraseVocabulary:
    """Read a vocabulary file; LabellingError names the file and what is wrong with it."""
    try:
        content = yaml.load(path.read_text(), _StrictLoader)
        return _from_content(content)
    except FileNotFoundError as error:
        raise LabellingError(f"vocabulary '{path}' does not exist") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LabellingError) as error:
        raise LabellingError(f"vocabulary '{path}': {error}") from error


def _from_content(content: Any) -> PhraseVocabulary:
    if not isinstance(content, dict) or set(content) != {"classes", "phrases"}:
        raise LabellingError("it must have the two entries classes and phrases")
    classes, phrases = content["classes"], content["phrases"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise LabellingError("classes must be a list of names")
    if not isinstance(phrases, dict) or not all(
        isinstance(text, str) for pair in phrases.items() for text in pair
    ):
        raise LabellingError("phrases must map phrases to names of classes")
    return PhraseVocabulary(tuple(classes), phrases)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise LabellingError(f"'{twice[0]}' stands there twice")
        return super().construct_mapping(node, deep=deep)
