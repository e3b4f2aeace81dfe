"""Turns of phrase that guideline lines are written in, each with the plain words that it stands for.

They are put into the plain words before `_guideline_words.PHRASES` are looked for, in the order of the table, as are the
forms of politeness, which are dropped, and a reason at the end or the beginning.
"""

from __future__ import annotations

import re

_NOUN = r"(?:(?:\x02 )?(?:mentions?|spans?|entity|entities|names?|annotations?)|\x02)"
_ART = r"(?:(?:an?|the|any|each|every|its|their|all|our|your) )?"
_LIST = r"((?:the (?:words?|terms?|strings?) )?(?:\x01\d+\x01[ ,]*(?:and |or )?)+)"
_FEW = r"((?:\x01\d+\x01[ ,]*(?:and |or )?){1,4})"
_CLASS = (
    r"(?:\x01|articles?|demonstratives?|possessives?|determiners?|numbers?|prepositions?|words?|terms?|modifiers?|adjectives?|"
    r"severity|temporal|laterality)"
)
_KIND = r"(?:label|tag|class|category|type|entity type)"
_ITEM = r"(?:words?|adjectives?|adverbs?|modifiers?|qualifiers?|terms?|expressions?|descriptors?|markers?|attributes?)"
_ABOUT = (
    r"(?:of|for|about|denoting|expressing|indicating|describing|conveying|"
    r"(?:that|which) (?:denotes?|express(?:es)?|indicates?|describes?|conveys?))(?: the)?"
)
_ITSELF = r"(?:alone|by (?:itself|themselves)|on (?:its|their) own|in isolation)"
_NUMBER = r"(?:one|two|several|many|multiple|separate|separately)"
_UN = r"(?:unmarked|untagged|unannotated|unlabell?ed)"
_OWN = r"(?= (?:(?:an?|its|their|one|the) )?(?:own|separate|single|distinct|individual|stand-?alone|one)\b)"

_CLASSES = tuple(
    (rf"\b{_ITEM} {_ABOUT} (?:{names})\b|\b(?:{names}) {_ITEM}\b|\b(?:{bare})\b(?! (?:of|in)\b)", code)
    for names, bare, code in (
        ("severity|intensity|degree", "severity", "%severity"),
        ("time|temporality|temporal", "temporality", "%time"),
        ("side|laterality|body side", "laterality", "%side"),
        ("certainty|uncertainty|likelihood|hedge|hedging", "hedges", "%certainty"),
    )
)
_PATTERNS = (
    (r"\b(?:need|may|might|could) not\b|\bnot (?:need|have)\b|\bconsider \w+ing\b", "?"),
    (r"\b(?:do|does|did|should|must|can|is|are|shall|ought) not(?: to)?\b|\b(?:do|does|is|are|should|must)n't\b|"
     r"\bcannot\b|\brefrain from\b", "not"),
    (r"\bno (?:longer|more|need)\b|\bnot (?:only|always|just|merely|all|every|each|necessarily)\b", "?"),
    (r"\b(?:an?|the) (?=\w+ (?:and|or) (?:its|the|an?) (?:abbreviation|acronym))", ""),
    # politeness and who is spoken to
    (r"^(?:please,? |note that |(?:always )?(?:make|be) sure (?:to|that) |remember to |take care to |"
     r"we (?:should |must |will |do )?|"
     r"(?:the |all )?annotators? (?:should |must |shall |are (?:asked|instructed|required|told) to |"
     r"(?=not |never |always )))+", ""),
    (rf"\b(?:our|your) (?={_NOUN})", "the "),
    (r"^always (?=(?:omit|drop|exclude|strip|trim|leave|skip|ignore|remove)\b)", ""),
    (r", (?:please|too|as well)$", ""),
    # classes of words
    *_CLASSES,
    (r"\b(?:numerals?|numeric values?|digits)\b", "numbers"),
    (r"\b(?:with)?in (?:the )?\x02 (?:mentions?|spans?|names?)\b", "in \x02"),
    # labels as nouns
    (rf"\bbelongs? to the {_KIND} (?=\x02)", "marked as "),
    (rf"\b(?:with|under|of|as) (?:the )?{_KIND} (?=\x02)", "as "),
    (rf"\b(?:assign|give|apply) (?:the )?(?:{_KIND} )?\x02(?: {_KIND})? to {_LIST}", "mark \\1 as \x02"),
    (rf"^give {_LIST}the {_KIND} \x02", "mark \\1 as \x02"),
    (rf"\b(?:gets?|receives?|takes?|carr(?:y|ies)) the {_KIND} \x02", "marked as \x02"),
    (rf"\bthe \x02 {_KIND}\b", "\x02"),
    (r"\balways (?:denotes?|refers? to|means?|stands? for|indicates?)(?= (?:an? )?\x02)", "is always"),
    # always, never
    (rf"\b(?:every|each) time {_LIST} ?(?:occurs?|appears?|is (?:found|mentioned))\b", r"always \1"),
    (rf"\b(?:any|every|each|all) (?:mentions?|occurrences?|instances?|uses?|appearances?) of (?={_LIST})", "always "),
    (r"\b(and|or) (?:every|each|any) (?=\x01)", r"\1 "),
    (rf"\b(?:whenever|wherever|when|if) (?:you|we) (?:see|find|encounter|come across|meet) {_LIST}", r"always \1"),
    (rf"\b(?:leave|keep) {_LIST} ?{_UN}\b", r"not mark \1"),
    (rf"\b(?:leave|left|stays?|remains?|kept|go(?:es)?) {_UN}\b", "not marked"),
    (rf"\b(?:when|if|where|whenever) (?:(?:it|they|these|this|either) )?(?:(?:words?|terms?|is|are|occurs?|stands?|appears?|"
     rf"used|standing|occurring|appearing|mentioned|found) )*{_ITSELF}", "<alone>"),
    (rf"\b(?:standing|occurring|appearing|used) {_ITSELF}|\bin isolation\b", "<alone>"),
    (r"\b(?:bare|lone|isolated|stand-?alone)(?= (?:uses? of )?(?:(?:words?|terms?|nouns?) )?\x01)", "<alone>"),
    # part of a mention, or not
    (r"\b(?:forms?|considered|regarded as|counted as|treated as|seen as|viewed as|counts? as)(?: to be)? (?:a )?part of\b",
     "part of"),
    (rf"\b(?:stays?|remains?|goe?s?|falls?|lies?|is|are|be) (?:outside|out of)\b(?= (?:of )?{_ART}{_NOUN})", "is left out of"),
    (rf"\b(?:stays?|remains?|goe?s?|belongs?|is|are|be|falls?) (?:in|inside|within|with|into)\b(?= {_ART}{_NOUN})",
     "is part of"),
    (rf"\b(?:attach|attached|append|add|join) (.+) to {_ART}({_NOUN})", r"mark \1 <part> \2"),
    (rf"({_NOUN}) (?:(?:that|which) follows? (?:it|them)|(?:(?:that|which) )?(?:it|they) precedes?)\b", r"\1 start"),
    (rf"({_NOUN}) (?:(?:that|which) )?(?:it|they) (?:follows?|abbreviates?|belongs? to)\b", r"\1"),
    (rf"\bthe (?:preceding|previous|foregoing) ({_NOUN})(?= |$)", r"the \1"),
    (r"\bwithout (?:their|its|any|the) ", "without "),
    # what follows
    (rf"\bends? where {_LIST} ?(?:begins?|starts?|follows?|comes?)\b", r"omit <follows> \1"),
    (r"^nothing (?:after|behind|following|that (?:follows|comes after))(?= )", "not <follows>"),
    (rf"{_FEW}(?:everything|anything|whatever|all|what) (?:after|following|that (?:follows|comes after)) (?:it|them)\b",
     r"<follows> \1"),
    (rf"\b(?:not|never) (?:extend|go|continue|reach|run|stretch)s? (?:{_ART}{_NOUN} )?(?:past|beyond|over|across)(?= )",
     "omit <follows>"),
    (rf"\b(?:extend|continue)s? (?:{_ART}{_NOUN} )?(?:past|beyond|over|across)(?= )", "keep <follows>"),
    (rf"\b(?:cut|stop|end|truncate|close|terminate)s?(?: off)? (?:{_ART}{_NOUN} )?(?:right |directly )?(?:at|before)"
     rf"(?= (?:(?:an?|any|the|the first|words?|the words?) )?(?:\x01|prepositions?))", "omit <follows>"),
    (r"\b(?:the |an? |any )?(?:phrases?|parts?|complements?|everything|anything|what|text) (?:(?:that|which) )?"
     r"(?:(?:start|begin)(?:s|ing|ning)?|(?:is |are )?(?:introduced|headed)|opening) (?:with|by)(?= )", "<follows>"),
    (rf"(?:\b(?:the|an?|any) )?{_FEW}[- ]?phrases?\b", r"<follows> \1 "),
    # places
    (r"\b(?:when|if|where) (?:it|they) (?:comes?|stands?|occurs?|appears?|is|are) "
     r"(?=(?:at|in) the (?:start|beginning|front|end)\b)",
     ""),
    (rf"\b(if|when|where|whenever) {_LIST}(?:stands?|comes?|is|are|occurs?|appears?) (?:directly |right |immediately )?"
     rf"before (?={_ART}{_NOUN})", r"\1 \2 precedes "),
    (rf"\b(if|when|where|whenever) {_LIST}(?:stands?|comes?|is|are|occurs?|appears?) (?:directly |right |immediately )?"
     rf"(?:after|behind) (?={_ART}{_NOUN})", r"\1 \2 follows "),
    (rf"\b(?:when|if|where) (?:it|they) (start|begin|end)s? (?={_ART}{_NOUN})", r"\1 "),
    (rf"\bextend(s?) ({_ART}{_NOUN}) to the left\b", r"extend \2 start"),
    (rf"\bextend(s?) ({_ART}{_NOUN}) to the right\b", r"extend \2 end"),
    (rf"\b(?:if|when|where) {_ART}({_NOUN}) (?:is|are) followed by {_LIST}, ?(?=include)", r"\1 end \2, "),
    (rf"\b(?:if|when|where) {_ART}({_NOUN}) (?:is|are) preceded by {_LIST}, ?(?=include)", r"\1 start \2, "),
    (rf"\b(?:if|when|whenever|where) {_ART}({_NOUN}) (start|begin|end)s? (?:with|in) {_LIST}?,? ?"
     r"(?=(?:trim|strip|cut|chop|clip|"
     r"(?:leave|omit|drop|remove|skip|exclude) (?:that|the|this|these|those) (?:words?|terms?|modifiers?|adjectives?)))",
     r"\1 \2 \3, "),
    (rf"\b(start|begin)s? with {_LIST} ?(?:if|when|where) (?:it is |they are )?present\b", r"keep \1 \2"),
    (r"\b(?:that|this|these|those|such) (?:words?|terms?|modifiers?|adjectives?)\b(?! (?:of|for))", "it"),
    (rf"(?:\b(?:an?|any|every|each|directly|immediately) |^)(?:directly |immediately )?preceding (?={_CLASS})", "start "),
    (rf"\b(?:an?|any|every|each|directly|immediately) (?:directly |immediately )?(?:following|subsequent) (?={_CLASS})",
     "end "),
    (r"\bend(s?) (?:in|on) (?=(?:an? |the )?(?:words? )?(?:\x01))", r"end\1 with "),
    # abbreviations
    (r"\bplus\b", "and"),
    (r"\b((?:abbreviation|acronym)s?) (?:that|which) (?:follows?|is given|are given|appears?|stands?|comes?) (?=in )",
     r"\1 "),
    (r"\b((?:abbreviation|acronym).*(?:parenthes[ei]s|brackets)) "
     r"(?:behind|after|following|(?:that|which) follows?) (?:it|them)\b",
     r"\1"),
    (r"\b(?:between|within|inside|put in|set in|given in|placed in) (?:round )?(parenthes[ei]s|brackets)\b", r"in \1"),
    (r"\b(?:full|long|expanded|spelled-out|spelt-out) (?:names?|forms?|terms?)\b(?= and\b)", "name"),
    (r"\b(from|behind|after) (?:the|its) (?:full|long) (?:name|form)\b", r"\1 the name"),
    (rf"\b(?:gets?|receives?|has|have|is given|are given|form|forms|becomes?|constitutes?|make up|give){_OWN}", "mark"),
    (rf"\bstand-?alone (?={_NOUN})", "separate "),
    (r"^(?:separate|split)(?: off)? (.*\b(?:abbreviation|acronym)s? in \w+) from ", r"mark separately \1 of "),
    (r"^give (?=.*(?:abbreviation|acronym).* own\b)", "mark "),
    # joined and nested names
    (r"\b(joined|coordinated|linked|connected|conjoined|separated|combined) (?:with|via|through|using|by)\b", "joined by"),
    (rf"\b(?:coordinated|conjoined|joined) ({_NOUN}) (?:with|by|at)\b", r"\1 joined by"),
    (r"^(?:break|divide|take|pull|separate)(?: up| apart)? (?=.*\bjoined\b)", "split "),
    (rf"(?<=[a-z])(?:,? (?:rather than|instead of)|, (?:and )?not)(?: as)? (?:{_NUMBER} ?)+(?:{_NOUN})?$", ""),
    (rf"(?<=[a-z])(?:,? (?:rather than|instead of)|, (?:and )?not)(?: as)? (?:a )?part of {_ART}{_NOUN}$", ""),
    (r"\b(?:outermost|widest|broadest|biggest)\b", "longest"),
    (r"\b(?:innermost|narrowest|tightest)\b", "shortest"),
    (r"\b(?:several|two|multiple|many) (?=nested|overlapping)", ""),
    (rf"\b(?:in case of|among|from|out of|with|for|given) (?=(?:nested|overlapping) {_NOUN})", "of "),
    (rf"\b(?:if|when|where) (?:one|an?) {_NOUN} (?:lies|is|is nested) (?:inside|within|in) another(?: one| {_NOUN})?\b,?",
     "of nested names"),
    (r"\bonly (?=(?:(?:mark|annotate|tag|keep|take|label|choose|select) )?(?:the )?(?:longest|shortest)\b)", ""),
    (r"\bstays? together\b", "together"),
    (r"\btogether with\b", "together and"),
)  # fmt: skip
TURNS = tuple((re.compile(pattern), f" {plain} ") for pattern, plain in _PATTERNS)

_WHY = (
    r"(?:since|because) (?:they|it|these|this|those|such|the|we|their|its|there|that)\b|"
    r"as (?:they|it|these|this|those)\b|for consistency\b|so that\b"
)
_REASON = re.compile(rf"(?P<comma>,?) \(?(?:{_WHY})(?P<why>[^\x01\x02;:]*)$|^(?:{_WHY})(?P<early>[^\x01\x02;:,]*), ")
_HOLDS_MORE = re.compile(
    r"\b(?:unless|except|but|only|if|when|whenever|where|while|however|although|though|until|instead|rather|otherwise|then|"
    r"always|never|mark|label|tag|annotate|keep|include|leave|omit|drop|exclude|skip|ignore)\b|\?"
)
_NOT = re.compile(r"\b(?:not|never|no|n't)\b|n't\b")


def plain(text: str) -> str:
    """Drop the reason that a sentence gives, unless it may hold more than that: a condition, another convention.

    `text` is in small letters, its quoted strings written \\x01n\\x01 and its label \\x02. "Do not mark it because it is short"
    keeps its reason: what is denied may be the reason.
    """
    match = _REASON.search(text)
    if not match or _HOLDS_MORE.search(match["why"] or match["early"] or ""):
        return text
    if re.match(r",? \(?as\b", match[0]) and re.search(
        r"\b(?:in|at|on|under|within|before|after)\b", match["why"] or ""
    ):
        return text
    if match["early"] is None and not match["comma"] and _NOT.search(text[: match.start()]):
        return text
    if match["early"] is None and not match["comma"] and re.match(r" as\b", match[0]):
        return text
    return f"{text[: match.start()]} {text[match.end() :]}".strip()
