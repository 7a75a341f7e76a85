"""Phrases as a grounding network reads them: tokens, and which of these a detection matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gfocc_core.labelling.networks.weight_files import WeightSource, first_line
from gfocc_core.labelling.protocols import LabellingError

SPECIAL_TOKENS = {"[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, "-": 1011}
SPECIAL_TOKENS |= {".": 1012, "?": 1029}
"""Ids in the vocabulary of bert-base-uncased; networks know some of them by number."""

BERT = WeightSource(
    "bert-base-uncased (its tokenizer and configuration; its weights are in the detector's)",
    "bert-base-uncased",
    "hf download google-bert/bert-base-uncased --local-dir '{target}' "
    "config.json tokenizer.json tokenizer_config.json vocab.txt",
)


@dataclass(frozen=True)
class PhraseQuery:
    """One phrase as a text of its own."""

    number: int
    """Of the phrase among those asked for."""
    caption: str
    ids: tuple[int, ...]


class PhraseTokens:
    """Turns phrases into queries with a BERT tokenizer, and tokens back into phrases."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "?"]))

    def groups(self, phrases: Sequence[str]) -> list[list[PhraseQuery]]:
        """Queries whose texts have the same structure, which alone may share a batch.

        The networks mask texts by the place of their special tokens; groundingdino mixes up the
        masks of a batch (it repeats them per head in the wrong order), which only shows where
        they differ. No text is padded this way either.
        """
        groups: dict[tuple[bool, ...], list[PhraseQuery]] = {}
        for number, phrase in enumerate(phrases):
            caption = f"{phrase.lower().strip()}."
            ids = tuple(self._tokenizer(caption)["input_ids"])
            structure = tuple(token in self._special for token in ids)
            groups.setdefault(structure, []).append(PhraseQuery(number, caption, ids))
        return list(groups.values())

    def phrase(self, ids: Sequence[int], matched: Sequence[bool]) -> str:
        """The words of the tokens that matched, without special ones."""
        chosen = [
            token
            for token, yes in zip(ids, matched, strict=True)
            if yes and token not in self._special
        ]
        return str(self._tokenizer.decode(chosen))


def read_tokenizer(transformers: Any, folder: Path) -> Any:
    """A tokenizer from a local folder; LabellingError where there is none."""
    try:
        return transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # as many kinds as there are tokenizers
        raise LabellingError(f"tokenizer '{folder}' cannot be read: {first_line(error)}") from error


def blank_tokenizer(transformers: Any) -> Any:
    """A tokenizer that knows no word, for networks that know none either: one token per word."""
    words = [f"[unused{number}]" for number in range(max(SPECIAL_TOKENS.values()) + 1)]
    words[0] = "[PAD]"
    for word, number in SPECIAL_TOKENS.items():
        words[number] = word
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(words) + "\n")
        return transformers.BertTokenizerFast(vocab_file=str(path))
