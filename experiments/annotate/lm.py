"""What of an LM decides its annotations: a job may go on at another address, at another pace, and with other limits."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version

from experiments.session import at_most, backend_of, session
from experiments.spec import Model
from ner_programs.lms import is_api
from ner_programs.privacy import Privacy

FREE = {"allow_hosts", "api_base", "concurrency", "encoder", "price", "processes", "record", "retries", "timeout"}
"""Settings that say where and how an LM is asked, and what it costs: none changes an answer."""


def decides(model: Model) -> str:
    """Return a digest of what decides the answers: the LM and its roles with their options, and versions."""
    parts: list[object] = [version("nerc"), version("dspy")]
    for name, one in {"": model, **model.roles}.items():
        backend = backend_of(one, table=f"lm.{name}" if name else "lm")
        identity = "" if is_api(one.model) else backend.identity  # of an API it is the address
        options = one.model_dump(mode="json", exclude=FREE | model.roles.keys())
        parts.append([name, options, backend.model, identity])
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def check_limit(model: Model, privacy: Privacy, cost: float) -> None:
    """Raise LMSetupError where a limit in US dollars could not hold, for the price of an LM is not known, say."""
    with session(model, privacy=privacy, send=False) as lm, at_most(lm, cost):
        pass


def is_priced(model: Model) -> bool:
    """Return whether the prices of an LM and of its roles are known."""
    return all(backend_of(one).price is not None for one in (model, *model.roles.values()))
