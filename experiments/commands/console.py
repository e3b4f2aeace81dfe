"""The output of verbs: text for people on stderr, one JSON object on stdout."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

from ner_programs.highlight import label_colours
from ner_programs.types import Entities

err = Console(stderr=True, highlight=False)
if not err.is_terminal:
    err = Console(stderr=True, highlight=False, width=140)  # a log may be wider than a terminal


def marked(entities: Entities) -> Text:
    """Return a text with its entities for the terminal: coloured by label, in brackets, followed by the label."""
    colours, last = label_colours(e.label for e in entities), 0
    made = Text()
    for entity in entities:
        if entity.start < last:  # inside the previous entity
            continue
        made.append(entities.text[last : entity.start])
        made.append(f"[{entities.text[entity.start : entity.end]}]", style=f"bold {colours[entity.label]}")
        made.append(f" {entity.label}", style=f"italic {colours[entity.label]}")
        last = entity.end
    return made.append(entities.text[last:])


def print_json(content: Any) -> None:
    """Print the one JSON object of `--json`."""
    print(json.dumps(content, ensure_ascii=False))
