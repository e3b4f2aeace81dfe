"""What a DSPy prompt asks for, and an answer in the form that its adapter reads (chat, JSON or XML).

An optimizer asks for instructions through DSPy's own adapters: the system message lists input and output fields with
their types, the last turn shows the inputs. A prompt of no such form asks for nothing.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from xml.sax.saxutils import escape

_FIELD = re.compile(r"^\d+\. `(\w+)` \((.*?)\):", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Ask:
    """The values of the input fields, and of each output field its type and what the prompt notes about its value."""

    inputs: Mapping[str, str]
    types: Mapping[str, str]
    notes: Mapping[str, str]
    form: Literal["chat", "json", "xml"]

    def write(self, values: Mapping[str, Any]) -> str:
        """Write an answer; a field that `values` does not hold gets an empty value of its type."""
        full = {name: values.get(name, empty(kind, self.notes.get(name, ""))) for name, kind in self.types.items()}
        if self.form == "json":
            return json.dumps(full)
        if self.form == "xml":
            return "\n\n".join(f"<{name}>\n{_xml(value)}\n</{name}>" for name, value in full.items())
        fields = [f"[[ ## {name} ## ]]\n{_plain(value)}" for name, value in full.items()]
        return "\n\n".join([*fields, "[[ ## completed ## ]]"])


def read(system: str, user: str) -> Ask | None:
    """Read what a prompt asks for; None where it lists no output field in DSPy's way."""
    head, _, body = system.partition("All interactions will be structured")
    given, _, asked = head.partition("Your output fields are:")
    types = dict(_FIELD.findall(asked))
    if not types:
        return None
    names = [name for name, _ in _FIELD.findall(given)]
    shown, _, demand = user.rpartition("Respond with ")
    form = _form(demand, body)
    if not shown.endswith("\n\n") or "field" not in demand:
        shown = user
    inputs = _between_tags(shown, names) if form == "xml" else _under_headers(shown, names)
    return Ask(inputs, types, {name: _note(body, name) for name in types}, form)


def _form(demand: str, body: str) -> Literal["chat", "json", "xml"]:
    if "wrapped in XML tags" in demand:
        return "xml"
    return "json" if demand.startswith("a JSON object") or "Outputs will be a JSON object" in body else "chat"


def _under_headers(shown: str, names: list[str]) -> dict[str, str]:
    """Cut where the headers of the fields stand, in their order: a header inside a value is part of it."""
    cuts: list[tuple[str, int, int]] = []
    at = 0
    for name in names:
        header = re.compile(rf"^\[\[ ## {name} ## \]\]\n?", re.MULTILINE).search(shown, at)
        if header:
            cuts.append((name, header.start(), header.end()))
            at = header.end()
    ends = [start for _, start, _ in cuts[1:]] + [len(shown)]
    return {name: shown[start:end].strip() for (name, _, start), end in zip(cuts, ends, strict=False)}


def _between_tags(shown: str, names: list[str]) -> dict[str, str]:
    found = {name: shown.partition(f"<{name}>\n")[2].partition(f"\n</{name}>") for name in names}
    return {name: value.strip() for name, (value, closed, _) in found.items() if closed}


def _note(body: str, name: str) -> str:
    """Return what the prompt says about the value of an output field ("must be one of: a; b", a JSON schema)."""
    note = re.search(rf"\{{{name}\}} +# note: the value you produce (.*)", body)
    if note is None:
        return ""
    said = note[1]
    if f'"{name}": "{{{name}}}' in body:  # a string of a JSON object, so written with backslashes
        try:
            said = str(json.JSONDecoder().raw_decode(f'"{said}')[0])
        except ValueError:
            return ""
    return said


def empty(kind: str, note: str) -> Any:
    """Return a value of a type: the first choice, nothing, zero, False; "none" where it must be text."""
    if kind.startswith("Literal["):
        try:
            return ast.literal_eval(kind.removeprefix("Literal"))[0]
        except (ValueError, SyntaxError, IndexError, TypeError):
            pass
    if "NoneType" in kind:
        return "" if "[str, " in kind else None
    base = re.split(r"[\[ ]", kind)[0]
    plain: dict[str, Any] = {"bool": False, "int": 0, "float": 0.0, "list": [], "tuple": [], "set": [], "dict": {}}
    if base in plain:
        return plain[base]
    _, choice, listed = note.partition("one of: ")
    if choice:
        return listed.split("; ")[0]
    return _least(note.partition("JSON schema: ")[2])


def _least(schema: str) -> Any:
    """Return a small value that a JSON schema allows, as far as its types say."""
    try:
        root = json.loads(schema)
        return _of_schema(root, root.get("$defs", {}), 0)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        return "none"


def _of_schema(schema: Mapping[str, Any], known: Mapping[str, Any], depth: int) -> Any:
    if depth > 8:
        return None
    if "$ref" in schema:
        return _of_schema(known[str(schema["$ref"]).rsplit("/", 1)[-1]], known, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _of_schema(schema[key][0], known, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if schema.get("type") == "object":
        wanted = schema.get("required", ())
        return {name: _of_schema(schema["properties"][name], known, depth + 1) for name in wanted}
    values: dict[str, Any] = {"array": [], "integer": 0, "number": 0.0, "boolean": False, "null": None}
    return values.get(str(schema.get("type")), "none")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _xml(value: Any) -> str:
    """Write a value between tags; a dictionary as elements, as text of JSON where a key is no name."""
    if isinstance(value, Mapping) and value and all(_NAME.fullmatch(key) for key in value):
        return "".join(f"<{key}>{_xml(said)}</{key}>" for key, said in value.items())
    if value is None:
        return ""
    return escape(_NO_XML.sub(" ", _plain(value)))
