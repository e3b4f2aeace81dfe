"""The k nearest demonstrations by the vectors of a neural encoder: KATE (Liu et al. 2022)."""

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

    The pool is encoded when the first text is asked for, once for all programs over it; the vectors lie in the pool's cache
    and in bundles, under the name `index`.
    """

    def __init__(self, pool: Pool, k: int, encoder: Encoder) -> None:
        super().__init__(pool, k)
        self.encoder = encoder
        self.index = self._name(pool)
        encoder.reach()  # text that may not go there is refused now, before anything is spent

    def scores(self, text: str, exclude: Collection[str]) -> Scores:
        """Return cosines."""
        scores: Scores = self._vectors(self.pool) @ self.encoder.one(text)
        return scores

    def _vectors(self, pool: Pool) -> Any:
        """Return a row for each demonstration: of the pool that this one is a part of, or encoded."""
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
    (both need `nerc[encoders]`), or a model behind an API as DSPy's Embedder names it (`openai/text-embedding-3-small`; the
    pool's `privacy` says at which address). `pooling`: how token vectors become one; `own` is what the model's
    sentence-transformers configuration says. Raises ComponentError where the extra is not installed.
    """
    whole = pool.whole
    encoder: Any = whole.once(f"encoder {model} {pooling}", lambda: Encoder(model, pooling, lambda: whole.privacy))
    return Embedding(pool, k, encoder)
