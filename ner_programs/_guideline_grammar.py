"""What the letters of a sentence say: a small table over the vocabulary of `_plain_english`, which says what they mean."""

from __future__ import annotations

import re

from ner_programs._guideline_words import CLASSES
from ner_programs._plain_english import Said

_DROP = {"D", "MD", "NK", "VK", "MNK", "NX", "VX", "NKX", "VKX", "NMX", "VMX", "NXD", "NKD"}
_KEEP = {"K", "MK", "X", "MX", "KX"}
_NOT = {"NM", "VM"}


def kinds(said: Said) -> tuple[str, ...]:
    """Return the kinds of rule that a reading says: none, one, or the same for the start and for the end."""
    raw = said.codes
    if len(re.findall("i+", raw)) > 1 or re.search(r"\.i", raw.replace("J.", "J")):
        return ()
    codes = re.sub("[.:]", "", raw)
    verbs = re.sub("[^DlowKMAVNX]", "", codes)
    for group in ("lo", "Ko", "Do", "w"):
        verbs = verbs.replace(group, "D")
    verbs = re.sub("K+", "K", verbs)
    if "A" in verbs and re.search("[NV]", verbs):
        return ()
    extra, verb = set(codes) & set("BRJ12OyZYHGTF"), verbs.replace("A", "")
    if extra >= {"B", "R"}:
        return _short(verb, extra - {"B", "R"}, codes)
    if extra & set("JZY"):
        return _joining(verb, extra, codes)
    if extra & set("HG"):
        named = verb in ("M", "K") or (not verb and "T" in extra and "L" not in codes)
        plain = named and extra <= set("HGT") and not extra >= {"H", "G"} and not re.search("[iSE]", codes)
        return () if not plain else ("shortest",) if "H" in extra else ("longest",)
    if extra - {"y"}:
        return _after(verb, extra, codes, said)
    return _boundary(verb, extra, codes, said) if re.search("[SE]", codes) else _listed(verbs, verb, extra, raw, said)


def _short(verb: str, extra: set[str], codes: str) -> tuple[str, ...]:
    """Abbreviations in parentheses."""
    if re.search("[iS]", codes):
        return ()
    if verb in ("M", "K", "") and extra and extra <= set("O2y") and (verb or "O" in extra or "2W" in codes):
        return ("short_apart",)
    if verb == "M" and not extra:
        return ("short_apart",)
    if verb == "" and extra == {"1"} and re.search("W.*B.*1W", codes):
        return ("short_inside",)
    if (verb in _KEEP and extra <= {"1"}) or (verb == "M" and extra == {"1"}):
        return ("short_inside",)
    return ("short_out",) if verb in ("D", "NK", "VK", "NM", "VM") and not extra else ()


def _joining(verb: str, extra: set[str], codes: str) -> tuple[str, ...]:
    """Names with a word between them that joins them."""
    how = extra - {"J", "T"}
    if "i" not in codes or re.search("[SE]", codes) or verb not in ("", *(() if how & set("ZY") else ("M", "K"))):
        return ()
    one, two = how & set("1Y"), how & set("2OyZ")
    return () if bool(one) == bool(two) else ("join",) if one else ("split",)


def _after(verb: str, extra: set[str], codes: str, said: Said) -> tuple[str, ...]:
    """What follows a preposition."""
    if extra != {"F"} or "Fi" not in codes or re.search("[SE]", codes) or set(said.classes) - {"prepositions"}:
        return ()
    return ("drop_after",) if verb in _DROP else ("keep_after",) if verb in _KEEP else ()


def _dropped(verb: str, codes: str) -> bool:
    direct = not re.search("[DM][WL]+[SE]*i", codes) or verb in ("MD", "MNK")
    return (verb in _DROP and direct) or (verb in _NOT and direct)


def _boundary(verb: str, extra: set[str], codes: str, said: Said) -> tuple[str, ...]:
    """Words at the start or the end of a mention."""
    order = re.fullmatch("([SE]*)i+([SE]*)", re.sub("[^iSE]", "", codes))
    if not order or extra or (order[1] and order[2] and len({*order[1], *order[2]}) > 1):
        return ()
    places = [name for code, name in (("S", "start"), ("E", "end")) if code in order[0]]
    action = "drop" if _dropped(verb, codes) or verb in ("N", "V") else "keep" if verb in _KEEP else ""
    return tuple(f"{action}_{place}" for place in places) if action else ()


def _listed(verbs: str, verb: str, extra: set[str], raw: str, said: Said) -> tuple[str, ...]:
    """Lists without a place: always, never, or a class of words, which stands at the start."""
    codes = re.sub("[.:]", "", raw)
    if "i" not in codes:
        return ()
    if said.classes:
        dropped = _dropped(verb, codes) or bool(re.fullmatch("Ni+[WL]*", codes))
        known = {word for name in said.classes for word in CLASSES[name]}
        early = all(word.casefold() in known for word in said.words) and not extra
        early = early and not {"prepositions", "numbers"} & set(said.classes)
        return () if not early else ("drop_start",) if dropped else ("keep_start",) if verb in _KEEP - {"MK"} else ()
    if re.search(r"i[.:]+W", raw) and "M" in verb and verb not in _NOT:  # "x" in a name is not any "x"
        return ()
    if not extra and ((verb == "M" and "A" in verbs) or (verbs.strip("A") in ("", "M") and verbs and said.label)):
        return ("always",)
    denied = verb in ("N", "V") and bool(said.label or re.fullmatch("y?i+[NV]W", codes))  # "x" is never a test
    never = verb in _NOT or denied or (verb == "D" and "y" in extra)
    return ("never",) if never and extra <= {"y"} else ()
