"""The k nearest demonstrations by vectors of a neural encoder: KATE (Liu et al. 2022)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field

from ner_programs.demos._encoders import Encoder, Pooling
from ner_programs.demos._ranking import Nearest, Scores
from ner_programs.demos.base import Pool, Shown


class Embedding(Nearest):
    """Cosine of vectors; the nearest comes last.

    The pool is encoded at the first query, once for all its programs. The vectors are stored in the pool's cache and in
    bundles, under the name `index`.
    """

    def __init__(self, pool: Pool, k: int, encoder: Encoder) -> None:
        super().__init__(pool, k)
        self.encoder = encoder
        self.index = self._name(pool)
        encoder.reach()  # raises a PrivacyError now, before anything is spent

    def scores(self, text: str, exclude: Collection[str]) -> Scores:
        """Return cosines."""
        scores: Scores = self._vectors(self.pool) @ self.encoder.one(text)
        return scores

    def _vectors(self, pool: Pool) -> Any:
        """Return a row for each demonstration, from the whole pool or newly encoded."""
        if pool.origin is None:
            return pool.array(self._name(pool), lambda: self.encoder([d.text for d in pool]))
        whole, rows = pool.origin
        return pool.array(self._name(pool), lambda: self._vectors(whole)[rows])

    def _name(self, pool: Pool) -> str:
        return f"embedding-{self.encoder.identity}-{pool.once('digest', lambda: _digest(pool))}"


def _digest(pool: Pool) -> str:
    digest = hashlib.sha256()
    for d in pool:
        digest.update(d.text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


def build(
    *,
    pool: Pool,
    model: Annotated[str, Field(min_length=1)],
    pooling: Pooling | None = None,
    k: Shown = 8,
) -> Embedding:
    """Build the selector over `pool`.

    `model`: `bioclinicalbert`, `sapbert`, `mpnet` or `simcse` (encoders of KATE), a folder or a name on the Hugging Face hub
    (these need `nerc[encoders]`), or an API model in the form of DSPy's Embedder (`openai/text-embedding-3-small`; its address
    is in the pool's `privacy`). `pooling`: how token vectors are combined; `own` is the pooling of the model's
    sentence-transformers configuration. Raises ComponentError if the extra is not installed.
    """
    whole = pool.whole
    encoder: Any = whole.once(f"encoder {model} {pooling}", lambda: Encoder(model, pooling, lambda: whole.privacy))
    return Embedding(pool, k, encoder)
