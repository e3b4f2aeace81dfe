"""What can go wrong that a user can mend.

NercError (of `kb`)
├── ComponentError        a spec names a component or option that does not exist, or gives it a wrong value
│   └── UnknownComponent  no module of that name
├── BundleError           a bundle cannot be read, or does not fit the knowledge base or LM at hand
├── LMSetupError          the LM cannot be reached as asked: no key, unknown model, a host that may not be used
├── BudgetError           the budget is too small for one trial, or cannot be enforced
├── OutageError           so many LM calls failed that no candidate can be ranked
├── KnowledgeError        a source, a folder or an option of a knowledge base (`kb.errors`)
└── ReadError, WriteError, SpecError, TrackingError   what a researcher hands in (`experiments.errors`)

The command line catches NercError in one place, prints the message and exits with 2.
"""

from __future__ import annotations

import re

from kb.errors import NercError as NercError


class ComponentError(NercError):
    """A spec gives a component an option that it does not take, or a value that does not fit."""


class UnknownComponent(ComponentError):
    """No component of that name; the message lists the names there are."""


class BundleError(NercError):
    """A bundle cannot be read, or does not fit the knowledge base at hand."""


def code_of(error: Exception) -> str:
    """Return the code that a provider gave an error, if it is one: a provider may put anything there, a patient's text too."""
    code = str(getattr(error, "provider_code", None) or "")
    return code if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", code) else ""


class LMSetupError(NercError):
    """The language model cannot be used as asked."""


class BudgetError(NercError):
    """The budget is too small to finish a single trial, or cannot be enforced."""


class OutageError(NercError):
    """So many LM calls failed that no candidate can be ranked."""
