"""The picture of the README, as a page: a note of the sample as a compiled program marks it, and its prompt before and after.

`make demo` makes the bundle; the note is one of dev, which no program has learned from.

    python -m benchmarks.picture mlruns/bundles/wardnotes-1a2b3c4d note.html
    chromium --headless --no-sandbox --hide-scrollbars --force-device-scale-factor=2 --window-size=900,954 \
        --screenshot=docs/images/note.png note.html            # and 500,1352 for docs/images/note-narrow.png
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from textwrap import shorten

from experiments.corpora.wardnotes import read
from ner_programs import NERProgram, load
from ner_programs.highlight import STYLE, entity_marks, highlighted, label_colours

NOTE = "w061"
LINE = 1  # of the note: what the two prompts ask about
FACTS = 3  # knowledge lines that are shown
WIDEST = 96

PAGE = """<!doctype html><meta charset="utf-8"><title>nerc</title><style>{style}
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: min(18px, 2vw); background: #fff; color: #1f2328;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }}
section {{ border: 1px solid #d1d9e0; border-radius: 10px; overflow: hidden; margin-bottom: 14px; }}
h2 {{ margin: 0; padding: 7px 14px; font-size: 13px; background: #f6f8fa; border-bottom: 1px solid #d1d9e0; }}
h2 small {{ color: #59636e; font-weight: 400; font-size: 12px; }}
.nerc .text {{ padding: 8px 14px 10px; }}
pre {{ margin: 0; padding: 9px 14px; font: 12px/1.5 ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace;
  white-space: pre-wrap; }}
pre b {{ color: #0550ae; }} pre i {{ color: #818b98; font-style: normal; }}
pre mark {{ background: #dafbe1; color: inherit; }}
</style>
<section class="nerc"><h2>A note, as the compiled program marks it <small>&nbsp;{ids}</small></h2>
<div class="text">{marked}</div></section>
<section><h2>What a model is asked before compiling</h2><pre>{before}</pre></section>
<section style="margin: 0"><h2>What it is asked afterwards <small>&nbsp;green: what nerc adds; {hidden}</small></h2>
<pre>{after}</pre></section>
"""


def messages(program: NERProgram, text: str) -> list[str]:
    """Return the prompt about a sentence of a document that has no gold here."""
    extract = program.extract
    fields = {"text": text, "knowledge": program.retrieve.lines(text)}
    asked = extract.adapter.format(extract.predict.signature, extract.demos(text, ()), fields)
    return [str(message["content"]) for message in asked]


def shown(content: str, new: bool = False) -> str:
    """Return a message as HTML: long lines and long lists cut, headers bold."""
    lines = []
    facts = 0
    for line in content.split("\n"):
        facts = facts + 1 if line.startswith("- ") else 0
        if facts > FACTS:
            lines += ["<i>…</i>"] if facts == FACTS + 1 else []
            continue
        cut = escape(shorten(line, WIDEST, placeholder=" …") if len(line) > WIDEST else line)
        header = line.startswith("### ")
        lines.append(f"<b>{cut}</b>" if header else f"<mark>{cut}</mark>" if new and line else cut)
    return "\n".join(lines)


def page(program: NERProgram) -> str:
    """Return the page."""
    (note,) = (d for d in read("dev") if d.id == NOTE)
    found = program(note.text).entities
    right = len({(e.start, e.end, e.label) for e in found} & {(e.start, e.end, e.label) for e in note.entities})
    line = note.text.split("\n")[LINE]
    bare = program.with_settings(demos=None, retriever={"name": "none"}, guidelines="")
    system, asked = messages(bare, line)
    _, *turns, last = messages(program, line)
    knowledge, text = last.split("### text")
    nearest = "\n\n".join(shown(turn, new=True) for turn in turns[-2:])
    return PAGE.format(
        style=STYLE,
        ids=f"{right} of the {len(found)} marks are the annotator's, who made {len(note.entities)}",
        marked=highlighted(note.text, entity_marks(found, colours=label_colours(e.label for e in found))),
        before=f"{shown(system)}\n\n{shown(asked)}",
        hidden=f"the guidelines and {len(turns) // 2 - 1} more labelled sentences are not shown",
        after=f"<i>…</i>\n{nearest}\n\n{shown(knowledge.rstrip(), new=True)}\n{shown('### text' + text)}",
    )


if __name__ == "__main__":
    bundle, out = sys.argv[1:]
    Path(out).write_text(page(load(bundle)), encoding="utf-8")
