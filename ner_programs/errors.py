"""Errors that a user can fix.

NercError (of `kb`)
├── ComponentError        a spec names a component or option that does not exist, or gives it a wrong value
│   └── UnknownComponent  no module of that name
├── BundleError           a bundle cannot be read, or does not fit the knowledge base or LM at hand
├── LMSetupError          the LM cannot be used as configured: no key, unknown model, a host that is not allowed
├── BudgetError           the budget is too small for one trial, or cannot be enforced
├── OutageError           too many LM calls failed to rank a candidate
├── KnowledgeError        a source, a folder or an option of a knowledge base (`kb.errors`)
└── ReadError, WriteError, SpecError, WorkerError, TrackingError   a corpus, output, spec, process or run (`experiments.errors`)

The command line catches NercError in one place, prints the message and exits with 2.
"""

from __future__ import annotations

import re

from kb.errors import NercError as NercError


class ComponentError(NercError):
    """A spec gives a component an unknown option or an invalid value."""


class UnknownComponent(ComponentError):
    """No component of that name; the message lists the known names."""


class BundleError(NercError):
    """A bundle cannot be read, or does not match the given knowledge base."""


def code_of(error: Exception) -> str:
    """Return the provider's error code, or "" if it is not a plain code: a provider may put anything there, even a text."""
    code = str(getattr(error, "provider_code", None) or "")
    return code if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", code) else ""


class LMSetupError(NercError):
    """The language model cannot be used as configured."""


class BudgetError(NercError):
    """The budget is too small to finish a single trial, or cannot be enforced."""


class OutageError(NercError):
    """Too many LM calls failed to rank a candidate."""
