"""A matcher for the part of GBNF that nerc writes: literals, rule names, groups, alternatives, `?` and `{m,n}`."""

from __future__ import annotations

import re
from functools import cache

_PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"|([A-Za-z]\w*)|([()|?])|\{(\d+),(\d+)\}|\s+')
_CODE = re.compile(r"\\x([0-9A-F]{2})|\\u([0-9A-F]{4})")


class Gbnf:
    """Says whether a whole string obeys a grammar."""

    def __init__(self, grammar: str) -> None:
        self.rules = {}
        for line in grammar.split("\n"):
            name, _, body = line.partition(" ::= ")
            assert name not in self.rules, f"two rules are named {name}"
            self.rules[name] = _alternatives(_pieces(body))

    def accepts(self, string: str) -> bool:
        @cache
        def ends(node: tuple, at: int) -> frozenset[int]:
            kind = node[0]
            if kind == "literal":
                return frozenset({at + len(node[1])} if string.startswith(node[1], at) else ())
            if kind == "rule":
                return ends(self.rules[node[1]], at)
            if kind == "any":
                return frozenset(end for one in node[1] for end in ends(one, at))
            if kind == "repeat":
                _, inner, least, most = node
                found, reached = (set() if least else {at}), {at}
                for n in range(1, most + 1):
                    reached = {end for a in reached for end in ends(inner, a)}
                    if not reached:
                        break
                    found |= reached if n >= least else set()
                return frozenset(found)
            reached = {at}
            for one in node[1]:
                reached = {end for a in reached for end in ends(one, a)}
            return frozenset(reached)

        return len(string) in ends(("rule", "root"), 0)


def _pieces(body: str) -> list[tuple]:
    at, found = 0, []
    while at < len(body):
        match = _PIECE.match(body, at)
        assert match, f"not GBNF: {body[at : at + 40]!r}"
        at = match.end()
        if match[1] is not None:
            found.append(("literal", _CODE.sub(lambda m: chr(int(m[1] or m[2], 16)), match[1])))
        elif match[2]:
            found.append(("rule", match[2]))
        elif match[3]:
            found.append((match[3],))
        elif match[4]:
            found.append(("{}", int(match[4]), int(match[5])))
    return found[::-1]  # a stack


def _alternatives(stack: list[tuple]) -> tuple:
    choices, row = [], []
    while stack and stack[-1][0] != ")":
        piece = stack.pop()
        if piece[0] == "|":
            choices.append(("row", tuple(row)))
            row = []
        elif piece[0] == "(":
            row.append(_alternatives(stack))
            assert stack.pop()[0] == ")"
        elif piece[0] == "?":
            row.append(("repeat", row.pop(), 0, 1))
        elif piece[0] == "{}":
            row.append(("repeat", row.pop(), *piece[1:]))
        else:
            row.append(piece)
    return "any", (*choices, ("row", tuple(row)))
