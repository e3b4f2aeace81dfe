"""Language models: one module per backend (`build(**options) -> Backend`), all used through one metered `dspy.LM`.

A model name that begins with `local/` is a model in this process (`local`). Any other name with a "/" is an API model (`api`).
A name without a "/" is a backend in this package, or a module of your own by its dotted name. A backend declares its
capabilities (`metered.Backend`).
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
    """Return the backend of a model name, as a component with its options."""
    name, slash, of = model.partition("/")
    if name == "local" and slash:
        return {"name": name, "model": of}
    return {"name": "api", "model": model} if slash else {"name": model}


def is_api(model: str) -> bool:
    """Return whether a model name is one of an API, reached over a network."""
    return bool(component(model)["name"] == "api")


def is_carried(model: str) -> bool:
    """Return whether a model's weights come with a Python package, so that it runs in this process without any download."""
    from ner_programs.lms.local import WEIGHTS

    of = component(model)
    return of["name"] == "local" and of["model"] in WEIGHTS


def title(model: str) -> str:
    """Return the name of a model for tables. The stand-in is not a language model, so it is called an in-context CRF."""
    return "in-context CRF" if model == STAND_IN else model


def open_backend(options: Mapping[str, Any], privacy: Privacy | None = None, *, processes: int = 0) -> Backend:
    """Build the backend of `options["model"]`. It asks `privacy` before it connects.

    `processes` is the default of a backend that has an option of this name. Raises ComponentError for an unknown backend or a
    wrong option, PrivacyError for an address that is malformed or not allowed.
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
    """Return an LM for `dspy.context(lm=...)`. API keys come from the environment.

    `open_lm("openai/gpt-4.1-mini")`, `open_lm("hosted_vllm/m", api_base="http://localhost:8000/v1")`, `open_lm()`.
    `strong` and `prompt` are the LMs of these roles: a model name, `open_lm("openai/a", strong="openai/b")`, or options with a
    `model`.
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
    """Return the stand-in, one for the whole process. It keeps only its last answers."""
    from ner_programs.lms.metered import Account, Meter, MeteredLM
    from ner_programs.lms.store import LastAnswers

    account = Account(store=LastAnswers())
    return MeteredLM(Meter(open_backend({"model": STAND_IN}), account=account))


def current_lm(own: Any = None) -> Any:
    """Return a program's own LM, else the one that is set in DSPy; None without either. Nothing else reads that setting."""
    import dspy

    return own or dspy.settings.lm


def default_lm(wants: Mapping[str, Any]) -> Any:
    """Return the LM that is set in DSPy; if none is set, the stand-in if the program was compiled with it.

    Raises LMSetupError if no LM is set and the program was compiled with another one.
    """
    if (lm := current_lm()) is not None:
        return lm
    names = [wants.get("model"), wants.get("strong", {}).get("model")]
    if set(filter(None, names)) == {STAND_IN}:
        return _stand_in()
    said = f'"{names[0]}"' + (f', strong="{names[1]}"' if names[1] else "")
    raise LMSetupError(
        f"this program was compiled with {' and '.join(filter(None, names))}; run it inside "
        f"dspy.context(lm=ner_programs.open_lm({said})), or load it with lm="
    )
