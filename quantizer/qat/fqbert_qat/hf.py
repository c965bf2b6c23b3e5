"""Hugging Face folders of BERT sequence classifiers: reading and writing."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "relu": None}
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


class CheckpointError(ValueError):
    """A folder that is not what training needs."""


class Checkpoint:
    """`config.json` and tensors, kept in the precision of the file."""

    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors
        what = config.get("model_type")
        if what != "bert":
            raise CheckpointError(
                f'model_type is "{what}": only "bert" is trained here; '
                "quantize others after training"
            )
        if config.get("hidden_act", "gelu") not in ACTIVATIONS:
            raise CheckpointError(
                f'hidden_act is "{config["hidden_act"]}": known are {", ".join(ACTIVATIONS)}'
            )
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise CheckpointError("position_embedding_type is not absolute")
        for name in (
            "bert.embeddings.word_embeddings.weight",
            "bert.pooler.dense.weight",
            "classifier.weight",
        ):
            if name not in tensors:
                raise CheckpointError(
                    f"no tensor {name}: a checkpoint with a trained classifier is needed"
                )

    @classmethod
    def load(cls, folder):
        """Reads `config.json` and `model.safetensors`."""
        folder = Path(folder)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "model.safetensors")
        except (OSError, ValueError) as e:
            raise CheckpointError(f"checkpoint {folder}: {e}") from e
        return cls(config, tensors)

    def save(self, folder, tokenizer_from=None):
        """Writes the folder, with the tokenizer files of another one."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(
            json.dumps(self.config, indent=2) + "\n", encoding="utf-8"
        )
        tensors = {name: t.contiguous() for name, t in sorted(self.tensors.items())}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for name in TOKENIZER_FILES if tokenizer_from else ():
            source = Path(tokenizer_from) / name
            if source.exists():
                shutil.copyfile(source, folder / name)

    def float(self, name):
        """One tensor in f32."""
        return self.tensors[name].to(torch.float32)
