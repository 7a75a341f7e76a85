"""Small networks of random weights in the files that the labelling networks are read from, and
real images of their size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gfocc_core.labelling.networks.phrase_queries import SPECIAL_TOKENS
from gfocc_core.labelling.networks.sam import SamShape, build_sam

WORDS = ("car", "traffic", "cone", "bus", "tree", "street", "building", "sky")
SAM_SIDE = 256
SIZE = 128
"""Shorter side of images for the detectors."""
_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
_DINO_CHANGES = {
    "backbone": "'swin_T_224_1k'",
    "enc_layers": "1",
    "dec_layers": "2",
    "dim_feedforward": "64",
    "num_queries": "20",
}


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Every parameter of a random network takes part: none stays zero as some begin."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05, generator=generator)


def write_text_encoder(folder: Path) -> Path:
    """A tokenizer that knows WORDS and a configuration of a small BERT."""
    import transformers

    words = [f"[unused{number}]" for number in range(max(SPECIAL_TOKENS.values()) + 1)]
    words[0] = "[PAD]"
    for word, number in SPECIAL_TOKENS.items():
        words[number] = word
    words += WORDS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.txt").write_text("\n".join(words) + "\n")
    transformers.BertTokenizerFast(vocab_file=str(folder / "words.txt")).save_pretrained(folder)
    (folder / "words.txt").unlink()
    bert_config(len(words)).save_pretrained(folder)
    return folder


def bert_config(words: int) -> Any:
    import transformers

    return transformers.BertConfig(vocab_size=words, **_BERT)


def write_dino_config(path: Path) -> Path:
    """The package's configuration of Swin-T, made smaller."""
    from groundingdino import config

    own = Path(str(config.__file__)).parent / "GroundingDINO_SwinT_OGC.py"
    lines = []
    for line in own.read_text().splitlines():
        name = line.partition(" =")[0]
        lines.append(f"{name} = {_DINO_CHANGES[name]}" if name in _DINO_CHANGES else line)
    path.write_text("\n".join(lines) + "\n")
    return path


def build_dino(config: Path, text_encoder: Path) -> nn.Module:
    """The package's own network by its own way: BERT from a folder, its weights too."""
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from groundingdino.models import build_model
        from groundingdino.util.slconfig import SLConfig

        settings = SLConfig.fromfile(str(config))
        settings.text_encoder_type = str(text_encoder)
        torch.manual_seed(0)
        bert = transformers.BertModel(transformers.BertConfig.from_pretrained(text_encoder))
        bert.save_pretrained(text_encoder)
        network: nn.Module = build_model(settings).eval()
    randomise(network)
    with torch.no_grad():
        network.transformer.decoder.norm.weight.mul_(0.05)  # type: ignore[union-attr,operator]
    return network


def write_dino(folder: Path) -> dict[str, Path]:
    """The options weights, config and text_encoder, the first as published: module. before all."""
    folder.mkdir(parents=True, exist_ok=True)
    text_encoder = write_text_encoder(folder / "bert")
    config = write_dino_config(folder / "small.py")
    network = build_dino(config, text_encoder)
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    state["module.label_enc.weight"] = torch.zeros(3, 3)
    torch.save({"model": state}, folder / "dino.pth")
    (text_encoder / "model.safetensors").unlink()  # the adapter shall not need it
    return {"weights": folder / "dino.pth", "config": config, "text_encoder": text_encoder}


def write_dino_hf(folder: Path) -> Path:
    """A folder with weights, configuration and tokenizer."""
    import transformers

    write_text_encoder(folder)
    text = transformers.BertConfig.from_pretrained(folder)
    swin = transformers.SwinConfig(
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
        window_size=7,
        out_indices=[2, 3, 4],
    )
    config = transformers.GroundingDinoConfig(
        backbone_config=swin,
        text_config=text.to_dict(),
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=20,
    )
    torch.manual_seed(0)
    network = transformers.GroundingDinoForObjectDetection(config)
    randomise(network)
    with torch.no_grad():
        network.model.decoder.layer_norm.weight.mul_(0.1)
    network.save_pretrained(folder)
    return folder


def write_sam(path: Path) -> Path:
    from segment_anything import modeling

    torch.manual_seed(0)
    network = build_sam(modeling, SamShape(32, 2, 2, (1,), SAM_SIDE))
    randomise(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


def write_sam_hf(folder: Path) -> Path:
    import transformers

    vision = transformers.SamVisionConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        global_attn_indexes=[1],
        image_size=SAM_SIDE,
    )
    prompts = transformers.SamPromptEncoderConfig(
        image_size=SAM_SIDE, image_embedding_size=SAM_SIDE // 16
    )
    torch.manual_seed(0)
    network = transformers.SamModel(
        transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompts)
    )
    randomise(network)
    network.save_pretrained(folder)
    return folder


def specification(name: str, folder: Path) -> str:
    """As a command names the network, whose files are written into the folder."""
    if name == "grounding-dino":
        options = ",".join(f"{option}={path}" for option, path in write_dino(folder).items())
        return f"{name},{options},size={SIZE}"
    if name == "grounding-dino-hf":
        return f"{name},weights={write_dino_hf(folder)},size={SIZE}"
    path = write_sam(folder / "sam.pth") if name == "sam" else write_sam_hf(folder)
    return f"{name},weights={path}"


def pieces_of_real_images(keyframe: Path, rows: int, columns: int) -> list[Tensor]:
    """uint8 [rows, columns, 3] of each camera's image of the real keyframe."""
    files = sorted(keyframe.glob("samples/CAM_*/*.jpg"))
    found = [np.asarray(Image.open(file))[400 : 400 + rows, 300 : 300 + columns] for file in files]
    return [torch.from_numpy(pixels.copy()) for pixels in found]
