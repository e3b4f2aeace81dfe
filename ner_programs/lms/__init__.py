"""Language models: one module a backend (`build(**options) -> Backend`), all used through one metered `dspy.LM`.

A model name with a "/" is an API model (`api`); any other names a backend here: `offline`, `replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ner_programs._errors import LMSetupError

if TYPE_CHECKING:
    from ner_programs.lms.metered import Backend, MeteredLM
    from ner_programs.privacy import Privacy


def open_backend(options: Mapping[str, Any], privacy: Privacy | None = None) -> Backend:
    """Build the backend that `options["model"]` means, which asks `privacy` before it connects.

    Raises ComponentError for an unknown one or a wrong option, PrivacyError for an address that is none or not allowed.
    """
    from ner_programs.components import resolve
    from ner_programs.privacy import Privacy

    model, rest = options["model"], {k: v for k, v in options.items() if k != "model"}
    spec = {"name": "api", "model": model, **rest} if "/" in model else {"name": model, **rest}
    backend: Backend = resolve("ner_programs.lms", spec, privacy=privacy or Privacy())
    return backend


def open_lm(model: str = "offline", **options: Any) -> MeteredLM:
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
def _offline() -> MeteredLM:
    """Return the offline engine for the whole process; it remembers the last answers only."""
    from ner_programs.lms._store import LastAnswers
    from ner_programs.lms.metered import Account, Meter, MeteredLM

    account = Account(store=LastAnswers())
    return MeteredLM(Meter(open_backend({"model": "offline"}), account=account))


def default_lm(wants: Mapping[str, Any]) -> Any:
    """Return the LM that is set in DSPy; without one, the offline engine if the program was compiled with it.

    Raises LMSetupError when a program that wants another LM is run without any.
    """
    import dspy

    if dspy.settings.lm is not None:
        return dspy.settings.lm
    names = [wants.get("model"), wants.get("strong", {}).get("model")]
    if names[0] == "offline" and names[1] in (None, "offline"):
        return _offline()
    said = f'"{names[0]}"' + (f', strong="{names[1]}"' if names[1] else "")
    raise LMSetupError(
        f"this program was compiled with {' and '.join(filter(None, names))}; run it inside "
        f"dspy.context(lm=ner_programs.open_lm({said})), or load it with lm="
    )
