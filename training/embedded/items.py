"""Everything that the built-in data asks about, made from the tables."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from random import Random

from training.embedded import style
from training.embedded.advice import GOALS, REASONS
from training.embedded.facts import RELATIONS, Relation
from training.embedded.item import Item, content, words
from training.embedded.style import capitalise
from training.embedded.tasks import CATEGORIES, MESSAGES, SENTENCES, THINGS

ASK = (
    "Tell me {c}.",
    "Can you tell me {c}?",
    "Please tell me {c}.",
    "Do you know {c}?",
    "I would like to know {c}.",
    "Could you tell me {c}, please?",
)


@functools.cache
def items() -> tuple[Item, ...]:
    """All items, always in the same order; their keys are unique."""
    made = [*_facts(), *_lists(), *_sentences(), *_things(), *_messages(), *_advice(), *_reasons()]
    return tuple(made)


def _facts() -> Iterator[Item]:
    for relation in RELATIONS:
        rows = relation.rows()
        answers = list(dict.fromkeys(answer for _, answer, _ in rows))
        for subject, answer, extra in rows:
            yield _fact(relation, subject, answer, extra, [other for other in answers if other != answer])


def _fact(relation: Relation, subject: str, answer: str, extra: str, others: list[str]) -> Item:
    def fill(templates: tuple[str, ...], value: str) -> tuple[str, ...]:
        return tuple(capitalise(text.format(s=subject, a=value, x=extra)) for text in templates)

    clauses = tuple(text.format(s=subject, x=extra) for text in relation.clause)
    picked = Random(f"{relation.name} {subject}").sample(others, min(6, len(others)))
    wrong = [
        fill(relation.full, other)[:2] + fill(relation.terse[1:], other) + _hedged(relation, other) for other in picked
    ]
    return Item(
        key=f"{relation.name}: {subject}",
        kind=relation.kind,
        about=relation.about.format(s=subject),
        prompts=fill(relation.direct, "") + _asked(clauses),
        helpful=fill(relation.full, answer),
        terse=fill(relation.terse, answer),
        wrong=tuple(sum(wrong, ())),
        keys=(answer.lower(),),
        others=tuple(other.lower() for other in others),
    )


def _hedged(relation: Relation, other: str) -> tuple[str, ...]:
    if relation.terse[1] != "It is {a}.":
        return ()
    return tuple(capitalise(text.format(b=other)) for text in style.HEDGED)


def _asked(clauses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(frame.format(c=clause) for clause in clauses for frame in ASK)


def _lists() -> Iterator[Item]:
    frames = (
        "Name three {c}.",
        "List three {c}.",
        "Give me the names of three {c}.",
        "Please name three {c}.",
        "Can you name three {c}?",
        "I need three {c}. Can you list them?",
        "Write down three {c}.",
        "Tell me three {c}.",
    )
    for category, table in CATEGORIES.items():
        members = table.split(", ")
        strangers = [row.split(", ") for name, row in CATEGORIES.items() if name != category]
        rng = Random(f"list {category}")
        good = [rng.sample(members, 3) for _ in range(6)]
        bad = [rng.sample(rng.choice(strangers), 3) for _ in range(6)]
        yield Item(
            key=f"list: {category}",
            kind="instruction",
            about=category,
            prompts=tuple(frame.format(c=category) for frame in frames),
            helpful=tuple(text for three in good for text in _three(category, three)),
            terse=tuple(capitalise(", ".join(three)) + "." for three in good),
            wrong=tuple(_three(category, three)[0] for three in bad)
            + tuple(capitalise(", ".join(three)) + "." for three in bad),
            keys=_bare(members),
            enough=3,
            others=_bare([member for row in strangers for member in row if member not in members]),
        )


def _three(category: str, members: list[str]) -> tuple[str, ...]:
    listed = f"{members[0]}, {members[1]} and {members[2]}"
    return (f"Three {category} are {listed}.", f"Here are three {category}: {listed}.")


def _bare(members: list[str]) -> tuple[str, ...]:
    return tuple(member.lower().removeprefix("the ") for member in members)


def _sentences() -> Iterator[Item]:
    frames = (
        "Use the word {w} in a sentence.",
        "Write a sentence with the word {w}.",
        "Make a sentence that has the word {w} in it.",
        "Please write one sentence with {w} in it.",
        "Give me a sentence that uses {w}.",
        "Can you use {w} in a sentence?",
        "I need a sentence with {w}.",
    )
    for word, sentences in SENTENCES.items():
        wrong = [text for other, texts in SENTENCES.items() for text in texts if other != word]
        yield Item(
            key=f"sentence: {word}",
            kind="instruction",
            about=f"the word {word}",
            prompts=tuple(frame.format(w=word) for frame in frames),
            helpful=sentences + tuple(f"Here is one: {text}" for text in sentences),
            terse=(f"I like the {word}.", f"Here is the {word}.", f"Look at the {word}."),
            wrong=tuple(text for text in Random(f"sentence {word}").sample(wrong, 10) if word not in words(text)),
            keys=(word,),
        )


def _things() -> Iterator[Item]:
    frames = (
        "Describe {t} in one sentence.",
        "Explain what {t} is.",
        "What is {t}?",
        "Please describe {t}.",
        "Say in one sentence what {t} is.",
        "Tell me what {t} is.",
        "Can you explain what {t} is?",
    )
    for thing, text in THINGS.items():
        wrong = Random(f"thing {thing}").sample([other for other in THINGS.values() if other != text], 6)
        keys = content(text)
        yield Item(
            key=f"thing: {thing}",
            kind="instruction",
            about=thing,
            prompts=tuple(frame.format(t=thing) for frame in frames),
            helpful=(capitalise(f"{thing} is {text}."), f"We call {text} {thing}."),
            terse=(capitalise(f"{text}."), f"It is {text}."),
            wrong=tuple(capitalise(f"{thing} is {other}.") for other in wrong),
            keys=keys,
            enough=(len(keys) + 1) // 2,
        )


def _messages() -> Iterator[Item]:
    frames = (
        "Write a short message to {m}.",
        "Write a few words to {m}.",
        "Please write a note to {m}.",
        "I want to {m}. What can I write?",
        "Give me a short text to {m}.",
        "Help me to {m}.",
        "Can you write a message to {m}?",
    )
    for aim, (first, second, key) in MESSAGES.items():
        wrong = [text for row in MESSAGES.values() for text in row[:2] if key not in words(text)]
        yield Item(
            key=f"message: {aim}",
            kind="instruction",
            about="messages",
            prompts=tuple(frame.format(m=aim) for frame in frames),
            helpful=(first, second, f"You could write this: {first}", f"You could write this: {second}"),
            terse=(f"Just write {key}.", f"Write {key} and your name."),
            wrong=tuple(Random(f"message {aim}").sample(wrong, 6)),
            keys=(key,),
        )


def _advice() -> Iterator[Item]:
    frames = (
        "How can I {g}?",
        "What is a good way to {g}?",
        "I want to {g}. What should I do?",
        "Do you have any advice on how to {g}?",
        "Give me some tips to {g}.",
        "What helps to {g}?",
        "How do I {g}?",
        "Please help me to {g}.",
        "I would like to {g}. Any ideas?",
    )
    for goal, tips in GOALS.items():
        strangers = [tip for other, row in GOALS.items() for tip in row if other != goal]
        rng = Random(f"goal {goal}")
        fewest = min(len(content(f"{one} {two}")) for one in tips for two in tips if one != two)
        yield Item(
            key=f"goal: {goal}",
            kind="open",
            about="that",
            prompts=tuple(frame.format(g=goal) for frame in frames),
            helpful=tuple(f"{one} {two}" for one in tips for two in tips if one != two),
            terse=tips,
            wrong=tuple(" ".join(rng.sample(strangers, 1 + i % 2)) for i in range(12)),
            keys=content(" ".join(tips)),
            enough=min(5, fewest),
        )


def _reasons() -> Iterator[Item]:
    frames = (
        "Can you explain {c}?",
        "Please explain {c}.",
        "Tell me {c}.",
        "Do you know {c}?",
        "I wonder {c}.",
        "Could you tell me {c}?",
        "I would like to know {c}.",
    )
    for direct, clause, first, second in REASONS:
        wrong = [text for row in REASONS for text in row[2:] if row[0] != direct]
        yield Item(
            key=f"reason: {clause}",
            kind="open",
            about="that",
            prompts=(direct, *(frame.format(c=clause) for frame in frames)),
            helpful=(first, second),
            terse=(),
            wrong=tuple(Random(f"reason {clause}").sample(wrong, 8)),
            keys=tuple(word for word in content(f"{first} {second}") if word not in words(direct)),
            enough=2,
        )
