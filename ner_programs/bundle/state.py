"""The state of a program that optimizers change, as plain data, and an identity of the whole program."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import dspy

from ner_programs.errors import BundleError
from ner_programs.program import NERProgram
from ner_programs.verifiers.fuse import fuse_of

ORIGIN = ("id", "document", "group")  # fields of a demonstration besides those of its predictor


def state_of(program: dspy.Module) -> dict[str, Any]:
    """Return the state that optimizers change: each predictor's instructions and demonstrations, as plain data."""
    return {
        name: {"instructions": p.signature.instructions, "demos": [_plain(d, p) for d in p.demos]}
        for name, p in program.named_predictors()
    }


def set_state(program: dspy.Module, state: dict[str, Any]) -> None:
    """Restore the result of `state_of`. Raises BundleError if the predictors or their fields are not the same."""
    predictors = dict(program.named_predictors())
    if predictors.keys() != state.keys():
        raise BundleError(f"the state is for predictors {sorted(state)}, the program has {sorted(predictors)}")
    for name, predictor in predictors.items():
        predictor.signature = predictor.signature.with_instructions(state[name]["instructions"])
        known = {*ORIGIN, *predictor.signature.fields}
        if odd := [field for d in state[name]["demos"] for field in d if field not in known]:
            raise BundleError(f"the state of predictor {name!r}: it has no field {odd[0][:100]!r}")
        demos = [dspy.Example(**d) for d in state[name]["demos"]]
        filled = isinstance(program, NERProgram)
        predictor.demos = [program.refilled(predictor, d) for d in demos] if filled else demos


def identity(program: NERProgram) -> str:
    """Return a hash of a program: of its spec, state and pool, and of its fusion's training answers."""
    fuse = fuse_of(getattr(program.verify, "verifier", None))
    learned = fuse.key if fuse is not None else ""
    content = [program.spec.model_dump(mode="json"), state_of(program), program.pool.fingerprint, learned]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _plain(demo: Any, predictor: dspy.Predict) -> dict[str, Any]:
    """Return a demonstration's fields, without those only for training and those that can be recomputed.

    Knowledge lines are recomputed when a bundle is loaded, because they may be strings of a licensed knowledge base. The start
    of a mention is left out if the text does not have the mention there, which can happen in a model's answer.
    """
    known = {*ORIGIN, *predictor.signature.fields} - {"knowledge"}
    fields = {k: v for k, v in dict(demo).items() if k in known}
    text, mentions = fields.get("text"), fields.get("mentions")
    if isinstance(text, str) and isinstance(mentions, list):
        fields["mentions"] = [_placed(m, text) for m in mentions]
    return fields


def _placed(mention: Any, text: str) -> Any:
    start = mention.get("start") if isinstance(mention, dict) else None
    stands = start is None or (start >= 0 and text.startswith(str(mention.get("text")), start))
    return mention if stands else {k: v for k, v in mention.items() if k != "start"}
