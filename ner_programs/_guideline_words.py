"""The closed vocabulary of guideline lines: classes of words, phrases, and each word's letter (see `_guideline_grammar`)."""

from __future__ import annotations

import re

from ner_programs._guideline_turns import TURNS

CLASSES: dict[str, tuple[str, ...]] = {
    "articles": ("a", "an", "the"),
    "demonstratives": ("this", "that", "these", "those"),
    "possessives": ("my", "your", "his", "her", "its", "our", "their", "patient's", "patients'"),
    "numbers": (
        "0-9", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "several", "multiple",
    ),
    "words of certainty": (
        "apparent", "confirmed", "definite", "known", "likely", "possible", "potential", "presumed", "probable",
        "questionable", "suspected", "unlikely",
    ),
    "words of severity": (
        "extreme", "mild", "moderate", "profound", "serious", "severe", "significant", "slight", "mildly", "moderately",
        "severely", "slightly",
    ),
    "words of side": ("bilateral", "both", "left", "left-sided", "right", "right-sided", "unilateral"),
    "words of time": (
        "current", "early", "former", "intermittent", "late", "long-standing", "longstanding", "new", "new-onset", "old",
        "ongoing", "past", "persistent", "previous", "prior", "recent", "recurrent",
    ),
    "prepositions": (
        "after", "at", "before", "by", "due to", "during", "for", "from", "in", "of", "on", "over", "secondary to",
        "to", "under", "with", "within", "without",
    ),
}  # fmt: skip
"""Words that stand for a list; "0-9" is any number in digits."""

_NOUN = r"(?:mentions?|spans?|entity|entities|names?|annotations?|\x02)"
_ITEM_NOUN = r"(?:words?|adjectives?|modifiers?|qualifiers?|terms?)"
_ART = r"(?:(?:an?|the|any|each|every|its|all) )?"
_LIST = r"(?:the (?:words?|terms?) )?((?:\x01\d+\x01[ ,]*(?:and |or )?)+)"
# What is written as several words, in this order; \x01n\x01 is a quoted string, \x02 the label.
PHRASES = TURNS + tuple(
    (re.compile(pattern), f" {code} ")
    for pattern, code in (
        (r"\b(?:such as|for example|for instance|namely|including for example)\b", "like"),
        (r"\b(?:do|does|did|should|must|may|can|is|are) not\b|\b(?:do|does|is|are|should|must)n't\b|\bcannot\b", "not"),
        (r"\b(?:start|beginning|begin|front|end) of (?:an?|the|each|every|any|its|this|that) texts?\b", "?"),  # no mention's
        (r"\bshort(?:ened)? forms?\b", "abbreviation"),
        (rf"\b{_ITEM_NOUN} (?:of|for|about) (?:the )?severity\b|\bseverity {_ITEM_NOUN}\b", "%severity"),
        (rf"\b{_ITEM_NOUN} (?:of|for|about) (?:the )?time\b|\b(?:time|temporal) {_ITEM_NOUN}\b", "%time"),
        (rf"\b{_ITEM_NOUN} (?:of|for|about) (?:the )?(?:side|laterality)\b|\b(?:side|laterality) {_ITEM_NOUN}\b", "%side"),
        (rf"\b{_ITEM_NOUN} (?:of|for|about) (?:the )?certainty\b|\bcertainty {_ITEM_NOUN}\b", "%certainty"),
        (r"\bpossessive (?:pronouns?|determiners?|adjectives?)\b", "possessives"),
        (r"\b(?:definite|indefinite|definite (?:and|or) indefinite) articles?\b", "articles"),
        (r"\bdemonstrative (?:pronouns?|determiners?|adjectives?)\b", "demonstratives"),
        (r"\bprepositional phrases?\b", "<follows> prepositions"),
        (
            r"\b(?:what(?:ever)?|everything|anything|all|the (?:words?|part|phrase|rest|text)|words?|phrases?|text) "
            r"(?:(?:that|which|is|are|comes?|stands?|coming|directly) )*"
            r"(?:follow(?:s|ed|ing)?|after|behind|introduced (?:by|with))(?: (?:with|by))?\b(?= )", "<follows>",
        ),
        (rf"\b(?:when|if|where|whenever|wherever) (?:it|they|one|these|this) (?:directly |immediately )?"
         rf"(?:follows?|comes? (?:right |directly )?after)(?: {_ART}{_NOUN}| it| them)?(?= |$)", "end"),
        (rf"\b(?:when|if|where|whenever|wherever) (?:it|they|one|these|this) (?:directly |immediately )?"
         rf"(?:precedes?|comes? (?:right |directly )?before)(?: {_ART}{_NOUN}| it| them)?(?= |$)", "start"),
        (rf"\b(?:before|preceding|in front of|ahead of) {_ART}({_NOUN})(?= |$)", r"start \1"),
        (rf"\b(?:after|following|behind) {_ART}({_NOUN})(?= |$)", r"end \1"),
        (rf"(?<!\w)({_NOUN}) (?:(?:just|directly|right|immediately) )?(?:before|preceding) (?:it|them)\b", r"\1"),
        (rf"\btwo ({_NOUN}) (?=joined|linked|connected|coordinated)", r"\1"),
        (rf"^when (?:marking|annotating|tagging|labelling|labeling|extracting) {_ART}({_NOUN}),?", r"\1 "),
        (rf"\b(?:that|which) (?:directly )?(?:precedes?|comes? before|stands? before) {_ART}({_NOUN})(?= |$)", r"start \1"),
        (rf"\b(?:that|which) (?:directly )?(?:follows?|comes? after|stands? after) {_ART}({_NOUN})(?= |$)", r"end \1"),
        (rf"\b(start|begin|end)s? {_ART}({_NOUN}) with\b", r"\2 \1"),
        (rf"\b(?:stop|end)s? (?:{_ART}{_NOUN} )?before(?= )", "omit <follows>"),
        (rf"\b(?:start|begin)s? (?:{_ART}{_NOUN} )?after(?= )", "omit start"),
        (rf"\b(?:if|when|where) {_LIST}follows?(?: {_ART}{_NOUN})?(?= |,|$)", r"\1 end"),
        (rf"\b(?:if|when|where) {_LIST}precedes?(?: {_ART}{_NOUN})?(?= |,|$)", r"\1 start"),
        (rf"\b(?:if|when|where|whenever|wherever|each time) {_LIST}(?:occurs?|appears?|is found|are found)\b", r"always \1"),
        (r"\b(?:every|each) (?=\x01)", "always "),
        (r"\bin (?:every|any) case\b|\bin all cases\b", "always"),
        (rf"\b(?:if|when|where) (?:two |several )?({_NOUN}) are (?=joined|linked|connected|coordinated)", r"\1 "),
        (rf"\b(?:if|when|where|wherever) ({_NOUN}) (?:are nested|overlap)(?= |,|$)", r"nested \1"),
        (r"\b(longest|shortest) ones?\b", r"\1"),
        (r"\bonly the (longest|shortest)\b", r"the \1"),
        (r"\b(?:if|when|where) an? (abbreviation|acronym) (?:follows|stands|appears|is given|is)(?= in )", r"\1"),
        (r"\bfrom (?:the|its) (?:long|full) (?:form|name)\b", ""),
        (r"\b(?:parts|members) of (?:an? )?coordinations?(?: with)?(?= \x01)", "names joined by"),
        (r"\bnot part of\b", "not <part>"),
        (r"\b(?:as )?(?:a )?part of\b|\bbelongs? to\b", "<part>"),
        (r"\b(?:on (?:its|their) own|by (?:itself|themselves)|(?:when|where|if) (?:it|they) stands? alone|standing alone)\b",
         "<alone>"),
        (r"\bof (?:its|their) own\b|\bin (?:its|their) own right\b", "<own>"),
        (r"\b(?:every|each|all) (?:whole-word )?(?:occurrences?|instances?)(?: of)?\b|\bevery time\b", "always"),
        (r"\b(?:wherever|whenever) (?:it|they) (?:appears?|occurs?|stands?|is found|are found)\b", "always"),
        (r"\b(?:inside|within) (?:one another|each other)\b", "nested"),
        (r"\bas well(?: as)?\b|\bin addition\b", "and"),
        (r"\b(start|begin|end)s? with\b", r"\1"),
    )
)  # fmt: skip
_WORDS = {
    "D": "omit omitted omitting drop dropped dropping exclude excluded excluding strip stripped stripping trim trimmed "
    "trimming remove removed removing discard discarded skip skipped ignore ignored ignoring delete deleted disregard "
    "disregarded "
    "cut cuts cutting chop chopped chopping clip clipped prune pruned drops trims strips omits excludes",
    "l": "leave leaves left leaving", "o": "out off away outside", "w": "without",
    "K": "keep keeps kept keeping include includes included including retain retained retaining preserve preserved extend "
    "extended",
    "M": "mark marked marking annotate annotated annotating tag tagged tagging label labelled labeled extract extracted "
    "extracting highlight highlighted identify identified recognise recognised recognize recognized use select "
    "treat treated count counts counted prefer choose chosen take taken classify classified consider considered "
    "regard regarded deemed assign assigned pick wins marks tags",
    "A": "always everywhere", "V": "never", "N": "not no avoid",
    "S": "start starts beginning begin begins front leading initial opening first",
    "E": "end ends trailing final last ending closing",
    "W": "mention mentions span spans entity entities name names annotation annotations",
    "X": "<part>", "F": "<follows>", "y": "<alone> alone",
    "O": "<own> separate separately individually independently distinct apart own",
    "B": "abbreviation abbreviations acronym acronyms initialism initialisms", "R": "parentheses parenthesis brackets "
    "parenthesised parenthesized bracketed parenthetical", "J": "joined coordinated linked connected conjoined",
    "1": "one single together", "2": "two", "Z": "split", "Y": "merge join combine", "H": "shortest shorter smallest minimal",
    "G": "longest longer largest maximal", "T": "nested overlapping",
    ",": "and or nor , : ( ) / & a an the any all word words adjective adjectives modifier modifiers noun nouns qualifier "
    "qualifiers term terms string strings like both either following general generic",
    ":": "let given is are be been being should must do please also too it they them can "
    "shall simply "
    "completely entirely fully explicitly consistently therefore thus hence needs need",
    ".": "of in at from to for on as its their this these those each every directly immediately text texts inside within "
    "possible into by same",
}  # fmt: skip
"""D leave out (also l ... o, and w without), K keep, M mark, A always, V never, N not; S start, E end, X part of, F what
follows; W a mention, "," what may stand between items, "." and ":" what says nothing; B abbreviation, R in parentheses, O on
its own, y alone; J joined, 1 one, 2 two, Z split, Y merge; H shortest, G longest, T nested."""
CODES = {word: code for code, words in _WORDS.items() for word in words.split()}
CLASS_WORDS = {
    **{name.removesuffix("s"): (name,) for name in CLASSES if " " not in name}, **{name: (name,) for name in CLASSES},
    **{"%" + name.removeprefix("words of "): (name,) for name in CLASSES if " " in name},
    **dict.fromkeys(("determiner", "determiners"), ("articles", "demonstratives", "possessives")),
}  # fmt: skip
