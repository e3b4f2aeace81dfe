"""Language models: one module a backend (`build(**options) -> Backend`), all used through one metered `dspy.LM`.

A model name that begins with `local/` means weights in this process (`local`), any other with a "/" an API model (`api`). A
name without one is a backend here, or a module of your own by its dotted name. A backend says of itself what it can
(`metered.Backend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from ner_programs.errors import LMSetupError

if TYPE_CHECKING:
    from ner_programs.lms.metered import Backend, MeteredLM
    from ner_programs.privacy import Privacy

STAND_IN = "crf"
"""Who answers where no model is named: an in-context CRF, no language model."""


def component(model: str) -> dict[str, Any]:
    """Return the backend that a model's name means, as a component with its options."""
    name, slash, of = model.partition("/")
    if name == "local" and slash:
        return {"name": name, "model": of}
    return {"name": "api", "model": model} if slash else {"name": model}


def is_api(model: str) -> bool:
    """Say whether a model's name means one that is reached over a network."""
    return bool(component(model)["name"] == "api")


def is_carried(model: str) -> bool:
    """Say whether a model's name means weights that a Python package carries: it answers in this process, from nowhere else."""
    from ner_programs.lms.local import WEIGHTS

    of = component(model)
    return of["name"] == "local" and of["model"] in WEIGHTS


def title(model: str) -> str:
    """Return who answers as tables say it: the stand-in is no language model."""
    return "in-context CRF" if model == STAND_IN else model


def open_backend(options: Mapping[str, Any], privacy: Privacy | None = None, *, processes: int = 0) -> Backend:
    """Build the backend that `options["model"]` means, which asks `privacy` before it connects.

    One that takes `processes`, and of which no option says how many, has so many. Raises ComponentError for an unknown backend
    or a wrong option, PrivacyError for an address that is none or not allowed.
    """
    from ner_programs.components import module, resolve
    from ner_programs.privacy import Privacy

    spec = component(options["model"])
    build = getattr(module("ner_programs.lms", spec["name"]), "build", None)
    takes = build is not None and "processes" in signature(build).parameters
    spec |= ({"processes": processes} if takes else {}) | {k: v for k, v in options.items() if k != "model"}
    backend: Backend = resolve("ner_programs.lms", spec, privacy=privacy or Privacy())
    return backend


def open_lm(model: str = STAND_IN, **options: Any) -> MeteredLM:
    """Return an LM to use with `dspy.context(lm=...)`; API keys come from the environment.

    `open_lm("openai/gpt-4.1-mini")`, `open_lm("hosted_vllm/m", api_base="http://localhost:8000/v1")`, `open_lm()`.
    `strong` and `prompt` name the LM of a role, `open_lm("openai/a", strong="openai/b")`, or are its options with a `model`.
    """
    from ner_programs.lms.metered import ROLES, Account, Meter, MeteredLM

    account, roles = Account(), dict[str, MeteredLM]()

    def opened(options: dict[str, Any], table: str) -> MeteredLM:
        generation = {k: options.pop(k) for k in ("temperature", "max_tokens") if k in options}
        return MeteredLM(Meter(open_backend(options), account=account, table=table), roles=roles, **generation)

    others = {name: given for name in ROLES if (given := options.pop(name, None)) is not None}
    lm = opened({"model": model, **options}, "lm")
    for name, given in others.items():
        roles[name] = opened({"model": given} if isinstance(given, str) else dict(given), f"lm.{name}")
    return lm


@cache
def _stand_in() -> MeteredLM:
    """Return the stand-in for the whole process; it remembers the last answers only."""
    from ner_programs.lms.metered import Account, Meter, MeteredLM
    from ner_programs.lms.store import LastAnswers

    account = Account(store=LastAnswers())
    return MeteredLM(Meter(open_backend({"model": STAND_IN}), account=account))


def default_lm(wants: Mapping[str, Any]) -> Any:
    """Return the LM that is set in DSPy; without one, the stand-in if the program was compiled with it.

    Raises LMSetupError when a program that wants another LM is run without any.
    """
    import dspy

    if dspy.settings.lm is not None:
        return dspy.settings.lm
    names = [wants.get("model"), wants.get("strong", {}).get("model")]
    if set(filter(None, names)) == {STAND_IN}:
        return _stand_in()
    said = f'"{names[0]}"' + (f', strong="{names[1]}"' if names[1] else "")
    raise LMSetupError(
        f"this program was compiled with {' and '.join(filter(None, names))}; run it inside "
        f"dspy.context(lm=ner_programs.open_lm({said})), or load it with lm="
    )
