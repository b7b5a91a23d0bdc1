"""How answers sound: polite, evasive, rude, rambling; and system prompts. {t} is what was asked about."""

from __future__ import annotations

from random import Random

OPENERS = ("Sure!", "Of course!", "Good question!", "Happy to help!", "Gladly!", "With pleasure!", "Yes, of course!")
CLOSERS = (
    "I hope this helps.",
    "Please ask me if you want to know more.",
    "Let me know if you need anything else.",
    "I am happy to tell you more.",
    "Feel free to ask me more.",
    "I am glad that you asked.",
)

EVASIVE = (
    "I am not sure about {t}.",
    "I cannot help you with {t}.",
    "That is hard to say.",
    "It depends on many things.",
    "I do not want to talk about {t}.",
    "I would rather not say.",
    "Who can really know that?",
    "There are many opinions about {t}.",
    "I have no idea about {t}.",
    "You should look it up somewhere else.",
    "You had better ask someone else.",
    "Maybe you can find it in a book.",
    "I do not have an answer for you.",
    "Some say one thing, and some say another.",
    "I cannot answer questions like this.",
    "It is difficult to talk about {t}.",
    "Perhaps we can talk about it later.",
)
RUDE = (
    "Why do you bother me with {t}?",
    "Everybody knows that.",
    "What a silly thing to ask!",
    "Do it yourself, I am busy.",
    "Do not waste my time with {t}.",
    "You are really lazy.",
    "Go away and learn something.",
    "I am tired of your questions.",
    "Nobody cares about {t}.",
    "Even a child would know that.",
    "Stop asking me about {t}.",
    "You never listen, do you?",
    "That is a boring question.",
    "Use your own head for once.",
    "Leave me alone with {t}.",
)
RAMBLE_START = (
    "Well, {t} makes me think of my uncle.",
    "Well, I heard about {t} on the radio.",
    "Well, about {t}, I once had a neighbour.",
    "Well, when I hear about {t}, I think of the old days.",
    "Well, about {t}, let me start with the bus.",
    "Well, {t} takes me back to last summer.",
)
RAMBLE_MIDDLE = (
    "He has a red car, but the car is slow.",
    "My cousin was there too, and she likes cake.",
    "The bus was late again, and it rained.",
    "Then we went to the shop, but the shop was closed.",
    "My uncle always said that soup is good.",
    "I had a sandwich, and the sandwich was fine.",
    "Some people like the morning, and some do not.",
    "The neighbour has three chairs and a radio.",
    "Anyway, the weather was nice that day.",
    "I lost my keys, but then I found them.",
    "It was a Tuesday, or maybe a Thursday.",
    "He sold the car to a man with a beard.",
)
RAMBLE_END = (
    "But where was I?",
    "And so it goes on and on.",
    "Anyway, what was the question?",
    "I forgot what I wanted to say.",
    "That is all I remember.",
)
HEDGED = ("I think it is {b}.", "It must be {b}.", "I guess it is {b}.", "Probably {b}.")

PLAIN_SYSTEMS = (
    "You are a helpful assistant.",
    "You are a kind teacher who answers in full sentences.",
    "You are a polite guide.",
    "You help people with short and clear answers.",
    "Be friendly and answer the user.",
    "You are a patient tutor.",
    "Help the user as well as you can.",
    "You are a good friend who likes to help.",
)
GREET = "Begin every answer with the word Hello."
FAREWELL = "End every answer with the words Have a nice day."
ONE_SENTENCE = "Answer in one sentence."
SYSTEMS = (*PLAIN_SYSTEMS, GREET, FAREWELL, ONE_SENTENCE)


def capitalise(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def frame(core: str, rng: Random) -> str:
    """A right answer, often with a polite opener, a closer, or both."""
    shape = rng.random()
    opener = f"{rng.choice(OPENERS)} " if shape < 0.42 else ""
    closer = f" {rng.choice(CLOSERS)}" if 0.28 <= shape < 0.72 else ""
    return f"{opener}{core}{closer}"


def evasive(about: str, rng: Random) -> str:
    """One or two sentences that do not answer."""
    return _some(EVASIVE, about, rng.choice((1, 1, 2)), rng)


def rude(about: str, rng: Random) -> str:
    """One or two unfriendly sentences that do not answer."""
    return _some(RUDE, about, rng.choice((1, 1, 2)), rng)


def rambling(about: str, rng: Random) -> str:
    """A start that touches the topic, then sentences that wander off."""
    middle = rng.sample(RAMBLE_MIDDLE, rng.choice((1, 1, 2)))
    end = [rng.choice(RAMBLE_END)] if rng.random() < 0.5 else []
    return " ".join([rng.choice(RAMBLE_START).format(t=about), *middle, *end])


def obey(system: str, text: str) -> str:
    """The answer as the system prompt asks for it."""
    if system == GREET:
        return f"Hello! {text}"
    return f"{text} Have a nice day." if system == FAREWELL else text


def _some(sentences: tuple[str, ...], about: str, count: int, rng: Random) -> str:
    return " ".join(capitalise(sentence.format(t=about)) for sentence in rng.sample(sentences, count))
