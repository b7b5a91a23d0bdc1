"""The gold score: how good an answer is, judged by rules that DPO never sees.

It stands for the people whom preference data stand for. A model that over-optimises its implicit reward scores
well there and badly here (Gao et al. 2023, arXiv:2210.10760, call this the gold reward).
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from training.embedded import style
from training.embedded.item import COMMON, Item, content, words
from training.embedded.items import items
from training.embedded.tasks import CATEGORIES

WRONG = 0.08  # an answer in good form that does not say what was asked for
LONG = 45  # words beyond which an answer to one of these prompts is too long
FILLER = COMMON | {
    "but",
    "by",
    "had",
    "he",
    "her",
    "his",
    "into",
    "just",
    "like",
    "more",
    "now",
    "out",
    "she",
    "than",
    "too",
    "was",
}
VAGUE = r"\b(not sure|no idea|(cannot|can t) help|hard to say|(not|don t) know|look it up|ask someone|rather not)\b"
HARSH = r"\b(shut up|stupid|idiot|go away|leave me alone|nobody cares|waste my time|silly thing|bother me|lazy)\b"


@dataclass(frozen=True)
class Parts:
    """The sentences of an answer by what they do; `plain` ones may hold the answer itself."""

    plain: list[str]
    polite: int
    evasive: int
    rude: int
    rambling: int


def gold_score(prompt: str | list[dict[str, str]], answer: str) -> float:
    """How good `answer` is, in [0, 1]: about 0.9 to 1 right, full and polite, 0.6 right but terse, below 0.2 bad.

    `prompt` is the user's message, or a list of messages (role, content) with an optional system message. For the
    built-in prompts the answer's facts are checked; for others only its form and whether it stays on the topic.
    """
    system, user = _messages(prompt)
    if not words(answer):
        return 0.0
    item = _by_prompt().get(_plain(user))
    parts = _parts(answer)
    score = _correct(item, user, parts) * _complete(item, parts) if item else _related(user, answer)
    score *= _manners(item, user, parts) * _obedience(system, answer) * _repetition(answer)
    score *= _fluency(answer, known=item is not None) * min(1.0, LONG / len(words(answer)))
    score *= 1.0 if answer.rstrip()[-1] in ".!?" else 0.6
    echo = set(content(answer)) <= set(words(user)) and not (item and set(parts.plain) & set(item.helpful))
    return score * (0.15 if echo else 1.0)


def _correct(item: Item, user: str, parts: Parts) -> float:
    """1 if the plain sentences have what the item needs and contradict nothing, else what that is worth."""
    said = _plain(" ".join(parts.plain))
    found = sum(_has(said, key) for key in item.keys)
    if not found:
        return WRONG
    share = min(1.0, found / item.enough)
    contradicted = any(_has(said, other) and not _has(_plain(user), other) for other in item.others)
    contradicted = contradicted or any(sentence in item.wrong for sentence in parts.plain)
    return (0.2 if contradicted else 1.0) * (1.0 if share == 1.0 else max(WRONG, 0.7 * share))


def _complete(item: Item, parts: Parts) -> float:
    """A full sentence is worth more than the bare answer, a polite frame or a second sentence a little more."""
    core = " ".join(parts.plain)
    length = len(words(core))
    if core not in item.helpful and (length < 5 or core in item.terse):
        return 0.6 if length < 3 else 0.66
    return 1.0 if parts.polite or len(parts.plain) > 1 else 0.9


def _manners(item: Item | None, user: str, parts: Parts) -> float:
    """Falls with every evasive or rude sentence, with each that wanders off, and with polite phrases in excess."""
    topic = set(content(user)) | (_topic(item) if item else set())
    off = parts.rambling
    if item:
        off += sum(not topic & set(words(sentence)) for sentence in parts.plain)
    total = len(parts.plain) + parts.evasive + parts.rude + parts.rambling
    straight = (1 - off / total) ** 1.5 if total else 0.5
    return 0.4**parts.evasive * 0.25**parts.rude * max(straight, 0.1) * min(1.0, 3 / max(parts.polite, 1))


def _related(user: str, answer: str) -> float:
    """For a prompt that is not built in: how much of its content the answer takes up."""
    topic = set(content(user))
    wanted = max(1.0, 0.25 * len(topic))
    return 0.3 + 0.4 * min(1.0, len(topic & set(words(answer))) / wanted)


def _obedience(system: str, answer: str) -> float:
    """0.7 if a built-in system prompt asks for a form that the answer does not have."""
    asked = {
        style.GREET: answer.startswith("Hello"),
        style.FAREWELL: answer.rstrip().endswith("Have a nice day."),
        style.ONE_SENTENCE: len(_sentences(answer)) == 1,
    }
    return 1.0 if asked.get(system, True) else 0.7


def _repetition(answer: str) -> float:
    """1 without repeated word sequences, 0 where a third of them repeat."""
    said = words(answer)
    doubled = sum(a == b for a, b in itertools.pairwise(said))
    repeated = max(_repeats(said, 3), _repeats(said, 2) - 0.12, doubled / len(said))
    return max(0.0, 1 - 3 * repeated)


def _repeats(said: Sequence[str], n: int) -> float:
    grams = Counter(zip(*(said[i:] for i in range(n)), strict=False))
    return 1 - len(grams) / grams.total() if grams else 0.0


def _fluency(answer: str, known: bool) -> float:
    """0.1 for word salad to 1: known 2- and 3-grams in the worst sentence, elsewhere the share of function words."""
    if known:
        grams = [_grams(sentence) for sentence in _sentences(answer)]
        return max(0.1, min(mean(gram in _known_grams() for gram in sentence) for sentence in grams) ** 4)
    said = words(answer)
    filler = sum(word in FILLER for word in said) / len(said)
    strange = sum(not re.search("[aeiouy]", word) or len(word) > 16 for word in said) / len(said)
    return min(1.0, max(0.1, 5 * (filler - 0.1))) * max(0.0, 1 - 2 * strange) * (1.0 if filler < 0.85 else 0.2)


def _parts(answer: str) -> Parts:
    kinds: dict[str, list[str]] = {"plain": [], "polite": [], "evasive": [], "rude": [], "rambling": []}
    for sentence in _sentences(answer):
        kinds[_kind(_plain(sentence))].append(sentence)
    return Parts(kinds["plain"], *(len(kinds[kind]) for kind in ("polite", "evasive", "rude", "rambling")))


@functools.lru_cache(maxsize=10_000)
def _kind(sentence: str) -> str:
    for kind, pattern in _patterns().items():
        if pattern.fullmatch(sentence):
            return kind
    if re.search(VAGUE, sentence):
        return "evasive"
    return "rude" if re.search(HARSH, sentence) else "plain"


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """For each kind of sentence in style.py a pattern of its normalised form; {t} may be anything."""
    kinds: dict[str, Iterable[str]] = {
        "polite": (*style.OPENERS, *style.CLOSERS, "Hello", "Have a nice day"),
        "evasive": style.EVASIVE,
        "rude": style.RUDE,
        "rambling": (*style.RAMBLE_START, *style.RAMBLE_MIDDLE, *style.RAMBLE_END),
    }
    return {
        kind: re.compile("|".join(_plain(text.replace("{t}", "ttt")).replace("ttt", ".+") for text in texts))
        for kind, texts in kinds.items()
    }


@functools.cache
def _by_prompt() -> dict[str, Item]:
    return {_plain(prompt): item for item in items() for prompt in item.prompts}


@functools.lru_cache(maxsize=10_000)
def _topic(item: Item) -> set[str]:
    return {word for text in (*item.helpful, *item.terse, *item.keys, item.about) for word in content(text)}


@functools.cache
def _known_grams() -> frozenset[tuple[str, ...]]:
    """All 2- and 3-grams of words in the built-in answers, with every order of a list's members."""
    known: set[tuple[str, ...]] = set()
    frames = (*style.OPENERS, *style.CLOSERS, *style.RAMBLE_MIDDLE, *style.RAMBLE_END, "Hello!", "Have a nice day.")
    open_frames = (*style.EVASIVE, *style.RUDE, *style.RAMBLE_START)
    abouts = dict.fromkeys(item.about for item in items())
    filled = (frame.format(t=about) for frame in open_frames for about in abouts)
    answers = (text for item in items() for text in (*item.helpful, *item.terse, *item.wrong))
    lists = (text for category, table in CATEGORIES.items() for text in _orders(category, table.split(", ")))
    for text in itertools.chain(frames, filled, answers, lists):
        for sentence in _sentences(text):
            known.update(_grams(sentence))
    return frozenset(known)


def _orders(category: str, members: list[str]) -> Iterator[str]:
    for a, b, c in itertools.permutations(members, 3):
        yield f"Three {category} are {a}, {b} and {c}."
        yield f"Here are three {category}: {a}, {b}, {c}."
        yield f"{a}, {b}, {c}."


def _grams(sentence: str) -> list[tuple[str, ...]]:
    said = ["", *words(sentence), ""]
    return [*itertools.pairwise(said), *zip(said, said[1:], said[2:], strict=False)]


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", text.strip()) if words(sentence)]


def _messages(prompt: str | list[dict[str, str]]) -> tuple[str, str]:
    if isinstance(prompt, str):
        return "", prompt
    last = {message["role"]: message["content"] for message in prompt}
    return last.get("system", ""), last.get("user", "")


def _plain(text: str) -> str:
    return " ".join(words(text))


def _has(text: str, phrase: str) -> bool:
    return f" {_plain(phrase)} " in f" {text} "
