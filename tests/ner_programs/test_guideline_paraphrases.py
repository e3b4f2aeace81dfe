"""Guideline lines as annotators and prompt engineers write them: what is read, and what looks like it and is not."""

from __future__ import annotations

import pytest

from ner_programs.guidelines import parse

LABELS = ("problem", "treatment", "test")

MEANT = {
    'Leave out articles at the start of a mention.': """
The leading article is not part of the name and should be left out.
Articles preceding a mention are not to be included in the span.
Annotations should exclude any initial article.
Do not let a span start with an article.
We do not include articles in our annotations.
Articles such as "the" and "a" never belong inside a span.
Articles: leave out.
No leading articles.
Remove the article that precedes the entity.
    """,
    'Leave out possessives at the start of a problem.': """
Possessive determiners are trimmed from a problem, as they say nothing about it.
No possessives at the start of a problem.
A leading possessive is excluded from the problem span.
    """,
    'Leave out words of severity at the start of a problem.': """
Modifiers of severity do not count as part of a problem.
Problem mentions exclude severity modifiers.
Words that express severity are not included in the problem span.
Severity: not part of the problem.
Strip off adjectives that indicate severity at the start of a problem.
Descriptors of severity (mild, severe) should stay outside the problem span.
    """,
    'Leave out "level" at the end of a test.': """
A trailing "level" should be trimmed from the test.
Tests do not end with "level".
Drop the word "level" when it comes at the end of a test.
The last word of a test should not be "level".
Trailing "level": not part of the test.
Omit a closing "level" from test mentions.
    """,
    'Keep "acute" at the start of a problem.': """
The adjective "acute" stays with the problem that follows it.
The word "acute" goes with the problem it precedes.
When "acute" stands before a problem, it is part of the problem.
Include the word "acute" if it precedes a problem.
Leading "acute": part of the problem.
Extend the problem to the left to include "acute".
    """,
    'Keep "syndrome" at the end of a problem.': """
The noun "syndrome" is included when it ends a problem.
Extend the problem to the right to include "syndrome".
A problem should include a trailing "syndrome".
If a problem is followed by "syndrome", include that word.
Keep a final "syndrome" inside the problem.
    """,
    'Leave out what follows "of" inside a mention.': """
The span ends where "of" begins.
Nothing after "of" is part of the mention.
Truncate mentions at the word "of".
Whatever comes after "of" stays outside the span.
Leave "of" and everything after it out of the span.
A span ends before the word "of".
Spans must not extend beyond "of".
    """,
    'Keep what follows "of" inside a mention.': """
The phrase after "of" is part of the span.
Spans extend past "of".
Include whatever follows "of" in the span.
A phrase introduced by "of" belongs to the mention.
    """,
    'Never mark "labs" as test.': """
The bare word "labs" is never a test.
"labs" should not be considered a test.
The word "labs" on its own does not count as a test.
On its own, "labs" is not a test.
Do not annotate the generic noun "labs" as a test mention, since it names no procedure.
Annotators should not mark "labs" as a test when it occurs alone.
"labs" must not receive the label test.
Stand-alone "labs" is not a test.
When used alone, "labs" is not annotated as test.
    """,
    'Always mark "CXR" as test.': """
The term "CXR" always denotes a test.
Any occurrence of "CXR" counts as a test mention.
"CXR" gets the label test.
Assign the label test to "CXR".
Give "CXR" the label test.
Label every instance of "CXR" with the tag test.
"CXR" is a test wherever it occurs.
Annotate "CXR" as a test in all cases.
"CXR" is to be treated as a test everywhere.
Every time "CXR" appears, tag it as a test.
    """,
    'Mark an abbreviation in parentheses as a mention of its own.': """
An abbreviation that follows in parentheses is a separate mention.
Annotate a name and the acronym in parentheses behind it separately.
Abbreviations in parentheses should receive a separate annotation.
The abbreviation in brackets is a mention in its own right.
Tag a parenthetical abbreviation as its own entity, not as part of the name.
The long form and the abbreviation in parentheses are two mentions.
Abbreviations in parentheses are annotated apart from the full name.
    """,
    'Mark an abbreviation in parentheses as part of the mention before it.': """
A span includes the abbreviation in parentheses that follows it.
Long form plus abbreviation in parentheses: one mention.
Annotate the name together with its abbreviation in parentheses as one span.
The abbreviation in brackets stays inside the mention.
An acronym in parentheses is part of the span it follows.
    """,
    'Leave out an abbreviation in parentheses after a mention.': """
Abbreviations in parentheses should be ignored.
Do not include the abbreviation in parentheses in the span.
An abbreviation in brackets stays unmarked.
Parenthetical abbreviations are skipped.
    """,
    'Mark names joined by "and" as one mention.': """
Coordinated mentions with "and" stay together as one span.
Two names joined by "and" make up a single mention.
Mark coordinated names with "and" as one mention rather than two.
Conjoined names with "and": single mention.
    """,
    'Mark each of the names joined by "and" as a mention of its own.': """
When two names are joined by "and", annotate each separately.
Names coordinated by "and" get separate spans.
If names are joined by "and", each is its own mention.
Mark names joined by "and" as two mentions, not as one.
Names joined by "and" should be split.
Coordinated names with "and" are annotated separately.
    """,
    'Mark the longest of nested names.': """
If one mention lies inside another, mark the longest.
With nested mentions, annotate only the outermost.
The longest span wins.
Where spans overlap, the widest one is annotated.
Only the outermost mention is annotated.
For nested entities, mark the outermost one.
Nested mentions: take the longest.
    """,
    'Mark the shortest of nested names.': """
In case of nested mentions, the innermost is annotated.
Only annotate the innermost of nested spans.
Take the tightest span.
Nested names: shortest span.
    """,
    'Leave out "mild" and "severe" at the start of a problem.': """
Trim "mild" and "severe" from the beginning of a problem.
    """,
    'Leave out words of time at the start of a mention.': """
Temporal modifiers do not belong to the mention.
    """,
    'Leave out words of side at the start of a mention.': """
Laterality is not part of the mention.
    """,
    'Leave out numbers at the start of a test.': """
Numbers at the beginning of a test should be omitted.
    """,
    'Keep "acute" and "chronic" at the start of a problem.': """
Extend a problem to include a preceding "acute" or "chronic".
    """,
    'Keep words of side at the start of a problem.': """
Laterality words are part of the problem.
    """,
    'Keep "disease" and "syndrome" at the end of a problem.': """
Extend a problem to include a following "disease" or "syndrome".
    """,
    'Leave out what follows "in" or "of" inside a mention.': """
Do not extend a span past "of" or "in".
    """,
    'Leave out what follows prepositions inside a problem.': """
Prepositional phrases are not part of a problem.
    """,
    'Keep what follows "of" inside a problem.': """
Extend a problem to include the phrase after "of".
    """,
    'Never mark "labs" or "vitals" as test.': """
"labs" and "vitals" are not tests.
    """,
    'Never mark "patient" or "symptoms".': """
Skip "symptoms" and "patient" when they occur by themselves.
    """,
    'Always mark "CXR" and "sats" as test.': """
Any mention of "CXR" or "sats" is a test.
    """,
    'Mark names joined by "and" or "or" as one mention.': """
Coordinated names with "and" or "or" are a single mention.
    """,
    'Mark each of the names joined by "and" or "or" as a mention of its own.': """
Names joined by "and" or "or" are separate mentions.
    """,
}  # fmt: skip


@pytest.mark.parametrize(("line", "said"), [(k, s) for k, v in MEANT.items() for s in v.strip().split("\n")])
def test_a_line_in_other_words_means_the_same(line: str, said: str) -> None:
    assert parse(line, LABELS).rules
    assert parse(said, LABELS).rules == parse(line, LABELS).rules


NO_RULE = """
If a problem begins with "severe", drop it.
When a problem starts with "severe", do not mark it.
A parenthesised acronym is not part of the mention.
Do not split names joined by "and" because they share a head.
We no longer skip articles.
Annotators should not skip articles.
Annotators should only skip articles.
Some spans start with an article.
Do not trim articles from the front of a span.
Never chop off a leading article.
Leave out the words preceding "severe".
Leave out articles since admission.
Do not mark "labs" as test because it is plural.
Leave out articles, since they carry no meaning unless capitalised.
Leave out articles, because they are noise, but keep them in titles.
Leave out articles as they are in titles.
Never mark "labs" as test, as it is in a header.
Do not consider whether "labs" is a test.
Any mention of "CXR" or "sats" in a header is a test.
Every "CXR" with a date is a test.
"CXR" is not always a test.
"CXR" is not just a test.
Not every "CXR" is a test.
"CXR" alone is a test.
Bare "CXR" is a test.
Whenever you see "CXR" near "sats", mark it as a test.
"CXR" belongs to the class finding.
Treat "CXR" as a test if it has a date.
Consider "CXR" and "sats".
There is no need to leave out articles.
Articles do not need to be left out.
Do not cut the span at "of".
Extend a span past "of" but not past "in".
Do not extend a span.
Do not always extend a span past "of".
Extend a problem to include everything.
A phrase that begins with "of" is a problem.
Phrases introduced by "of" are separate mentions.
Do not treat an abbreviation in parentheses as a separate mention.
An abbreviation in parentheses is not a separate mention.
Mark an abbreviation in parentheses as a separate mention or as part of the mention.
Treat an abbreviation in parentheses as its long form.
Do not attach abbreviations in parentheses to the name they follow.
Do not keep names joined by "and" together.
Names joined by "and" are not one mention.
Names joined by "and" are rarely one mention.
Do not prefer the widest span.
Never annotate the innermost mention.
Annotate the widest span in headers.
Choose neither the widest nor the narrowest span.
Severity is a problem.
Laterality words are problems.
A problem span may start with "severe".
Spans should not start with an article unless it is capitalised.
No articles except "the".
No article is left out.
No longer mark "labs" as test.
Leave nothing out.
We rarely annotate "labs" as test.
"labs" is not to be left out.
"labs" is not unmarked.
Do not leave "labs" unmarked.
It is not true that "labs" is a test.
Refrain from leaving out articles.
Refrain from trimming articles.
Annotators need not leave out articles.
Leave out "severe" so that the span begins with "pain".
Trim "mild" from the beginning and add "acute".
"acute" belongs to the problem when it follows "severe".
Stand-alone "acute" belongs to the problem.
A preceding "acute" is a problem.
A following "syndrome" is not a separate problem.
Drop problems with a trailing "level".
Skip tests that end with "level".
Ignore problems in brackets.
Treat "severe" in front of a problem as a problem.
"severe" before a problem is a test.
Leave "labs" and mark "CXR" as test.
Treat "x" and "y" differently.
Treat "x" as "y".
Treat names joined by "and" as one mention, not two, when they share a head.
Attach "syndrome" to a problem.
"CXR" need not be a test.
"labs" does not need to be tagged as a test.
"labs" may not be a test.
Consider leaving out articles.
Mark "CXR" as test, as the head of a name.
Extend the problem to include "acute".
Mark "CXR" together with "sats" as test.
Do not stop at "of".
If a problem is followed by "level", drop it.
"""


@pytest.mark.parametrize("line", NO_RULE.strip().split("\n"))
def test_what_only_looks_like_a_convention_is_no_rule(line: str) -> None:
    assert parse(line, LABELS).rules == ()
