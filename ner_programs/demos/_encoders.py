"""Encodes texts as vectors, by a local model or by one behind an API.

Local models need the extra `nerc[encoders]` (sentence-transformers, transformers and PyTorch), which is imported when the first
text is encoded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ner_programs.errors import ComponentError
from ner_programs.privacy import Privacy, PrivacyError, Reach, connecting

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Any]
Pooling = Literal["own", "mean", "cls", "pooler"]

PRESETS: dict[str, tuple[str, Pooling]] = {
    "bioclinicalbert": ("emilyalsentzer/Bio_ClinicalBERT", "mean"),
    "sapbert": ("cambridgeltl/SapBERT-from-PubMedBERT-fulltext", "mean"),
    "mpnet": ("sentence-transformers/all-mpnet-base-v2", "mean"),
    "simcse": ("princeton-nlp/sup-simcse-bert-base-uncased", "pooler"),
}
"""The encoders of KATE by short name, with their pooling. The fifth, Bio-LM, is on no hub: it needs a folder."""
BIO_LM = (
    "biolm is on no model hub: unpack RoBERTa-base-PM-M3-Voc-distill-align (github.com/facebookresearch/bio-lm) and "
    "name its folder: model = 'folder/RoBERTa-base-PM-M3-Voc-distill-align-hf', pooling = 'mean'"
)
PROVIDERS = frozenset({
    "azure", "azure_ai", "bedrock", "cohere", "databricks", "gemini", "hosted_vllm", "huggingface", "infinity", "jina_ai",
    "litellm_proxy", "lm_studio", "mistral", "nvidia_nim", "ollama", "openai", "openai_like", "openrouter", "sagemaker",
    "snowflake", "together_ai", "vertex_ai", "voyage", "watsonx", "xinference",
})  # fmt: skip
"""Prefixes before the "/" of models behind an API. Any other prefix is a user of the Hugging Face hub."""
MODEL_FILES = frozenset({".json", ".txt", ".model", ".safetensors", ".bin"})
MAX_TOKENS = 512
BATCH = 32
REMEMBERED = 20_000


def is_hosted(model: str) -> bool:
    """Return whether texts are sent to an API to be encoded."""
    provider, slash, _ = model.partition("/")
    return bool(slash and provider in PROVIDERS and not Path(model).is_dir())


class Encoder:
    """Encodes texts as vectors of length 1. The model is loaded on first use.

    `identity` is a hash of everything that determines the vectors. `privacy` returns the present rules for where texts may go.
    Raises ComponentError if the model is not available.
    """

    def __init__(self, model: str, pooling: Pooling | None, privacy: Callable[[], Privacy]) -> None:
        if model == "biolm":
            raise ComponentError(f"embedding: {BIO_LM}")
        name, usual = PRESETS.get(model, (model, "own"))
        self.model, self.pooling = name, pooling or usual
        self.hosted, self._privacy = is_hosted(name), privacy
        if self.hosted and pooling is not None:
            raise ComponentError(f"embedding: {name} is behind an API, which pools as it likes; leave pooling out")
        if not self.hosted and find_spec("sentence_transformers") is None:
            raise ComponentError(f"embedding: {name} needs sentence-transformers: pip install nerc[encoders]")
        self.identity = _digest(name, self.pooling)
        self._encode: Encode | None = None
        self._lock = Lock()
        self._one = lru_cache(maxsize=REMEMBERED)(
            lambda text: self([text])[0]
        )  # every candidate encodes the dev texts again

    def reach(self) -> Reach | None:
        """Return the allowed connections. Raises PrivacyError if the text may not go to the model's API."""
        privacy = self._privacy()
        return privacy.reach(self.model, privacy.encoder, "lm.encoder") if self.hosted else None

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (len(texts), dimensions)."""
        clean = [text.encode("utf-8", "replace").decode() if text.strip() else "-" for text in texts]
        try:
            encoded = self._hosted(clean) if self.hosted else self._here(clean)
            vectors = np.asarray(encoded, np.float32).reshape(len(texts), -1)
        except PrivacyError:
            raise
        except Exception as error:  # its message may quote the text
            raise ComponentError(f"embedding: {self.model} cannot encode: {_reason(error)}") from None
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        normal: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return normal

    def _hosted(self, texts: list[str]) -> Any:
        with connecting(self.reach()):
            return _behind_api(self.model, self._privacy().encoder)(texts)

    def _here(self, texts: list[str]) -> Any:
        with self._lock:  # tokenizers are not thread-safe
            self._encode = self._encode or _on_this_machine(self.model, self.pooling, self._privacy())
            return self._encode(texts)

    def one(self, text: str) -> Vectors:
        """Return the vector of one text, shape (dimensions,), from a cache of recent texts."""
        vector: Vectors = self._one(text)
        return vector


def _digest(name: str, *options: str | None) -> str:
    """Return a hash of a model's name; for a folder, of the model's files, independent of its path."""
    folder = Path(name)
    if not folder.is_dir():
        return hashlib.sha256(f"{name} {options}".encode()).hexdigest()[:16]
    digest = hashlib.sha256(f"{options}".encode())
    for file in sorted(p for p in folder.rglob("*") if p.suffix in MODEL_FILES and p.is_file()):
        with file.open("rb") as content:
            digest.update(str(file.relative_to(folder)).encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def _reason(error: Exception) -> str:
    """Return the reason of an error without its input."""
    if isinstance(error, OSError | ImportError):  # raised on loading: no such folder or model, no connection
        return " ".join(str(error).split())[:300]
    return type(error).__name__


def _behind_api(model: str, api_base: str | None) -> Encode:
    import dspy

    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # otherwise a price list is fetched
    options: dict[str, Any] = {"num_retries": 4} | ({"api_base": api_base} if api_base else {})
    encode: Encode = dspy.Embedder(model, batch_size=BATCH, caching=False, **options)
    return encode


def _on_this_machine(model: str, pooling: Pooling, privacy: Privacy) -> Encode:
    offline = not privacy.may_connect or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    if pooling == "own":
        from sentence_transformers import SentenceTransformer

        opened = SentenceTransformer(model, local_files_only=offline)
        return lambda texts: opened.encode(texts, batch_size=BATCH, show_progress_bar=False)
    return _pooled(model, pooling, offline)


def _pooled(model: str, pooling: Pooling, offline: bool) -> Encode:
    """Return a transformer with a pooled last layer: mean of the attended tokens, first token, or BERT's pooler."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=offline)
    network = AutoModel.from_pretrained(model, local_files_only=offline).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)

    def batch(texts: list[str]) -> Any:
        given = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt").to(device)
        with torch.inference_mode():
            output = network(**given)
        if pooling == "pooler":
            return output.pooler_output.float().cpu().numpy()
        if pooling == "cls":
            return output.last_hidden_state[:, 0].float().cpu().numpy()
        mask = given["attention_mask"].unsqueeze(-1)
        return ((output.last_hidden_state * mask).sum(1) / mask.sum(1)).float().cpu().numpy()

    def encode(texts: Sequence[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))  # batches of similar length need little padding
        parts = [batch([texts[n] for n in order[at : at + BATCH]]) for at in range(0, len(order), BATCH)]
        return np.concatenate(parts)[np.argsort(order)]

    return encode
