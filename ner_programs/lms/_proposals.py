"""How the offline engine answers prompts that ask for an instruction (COPRO, MIPROv2 and their like).

It is no language model: it repeats the instruction it is shown and adds one annotation convention, chosen by the prompt's
content. That keeps instruction optimizers running without a network; it does not make them clever.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence

CONVENTIONS = (
    "Mark the shortest span that names the whole concept.",
    "Mark the longest span that names the concept, with the words that specify it.",
    "Leave out articles, possessives and words of time.",
    "Mark an abbreviation in parentheses as a mention of its own.",
    "Mark every occurrence, also where the text denies it.",
    "Mark modifiers of site and kind as part of the mention.",
)

_FIELD = re.compile(r"^\d+\. `(\w+)`", re.MULTILINE)
_SHOWN = re.compile(r"\[\[ ## \w*instructions?\w* ## \]\]\n(.*?)(?=\n\n?\[\[ ## |\Z)", re.DOTALL)


def propose(system: str, turns: Sequence[str]) -> str:
    """Answer every output field that a DSPy chat or JSON prompt asks for; other prompts get an empty answer."""
    asked = system.partition("Your output fields are:")[2].partition("All interactions")[0]
    fields = _FIELD.findall(asked)
    shown = "\n".join(turns)
    values = {field: _value(field, shown) for field in fields}
    if "JSON object" in system:
        return json.dumps(values)
    return "\n\n".join([f"[[ ## {field} ## ]]\n{value}" for field, value in values.items()] + ["[[ ## completed ## ]]"])


def _value(field: str, shown: str) -> str:
    if "instruction" not in field:
        return "none"
    instructions = _SHOWN.findall(shown)
    base = instructions[0].strip().strip('"') if instructions else "Find every mention of the labels below in the text."
    fresh = [c for c in CONVENTIONS if c not in base]
    return f"{base}\n{fresh[zlib.crc32(shown.encode()) % len(fresh)]}" if fresh else base
