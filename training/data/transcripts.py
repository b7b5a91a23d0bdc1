"""Dialogues as text (Human, Assistant) and as turns, and pairs in the form that a tokenizer takes."""

import functools
import re
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from training.data.arguments import DataArguments
from training.data.pairs import Pair, PreferenceError, Side, Turn, checked

ASK, CUE = "\n\nHuman:", "\n\nAssistant:"
NO_USER = "no user turn before the answer"
_MARKER = re.compile(r"(?:^\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_transcript(text: str) -> bool:
    """Whether a prompt is a dialogue: it opens with `Human:`, or ends with the cue `Assistant:` for the answer."""
    return text.lstrip().startswith("Human:") or text.rstrip().endswith(CUE)


def parse(text: str) -> list[Turn]:
    """The turns of a transcript, without white space around them; the cue at its end is no turn.

    What stands before the first marker is said by the user: some data sets cut the first `Human:` off. Turns of one
    role that follow each other become one.
    """
    parts = _MARKER.split(text)
    roles = ["user", *(_ROLES[name] for name in parts[1::2])]
    turns: list[Turn] = []
    for role, content in zip(roles, parts[::2], strict=True):
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = f"{turns[-1]['content']}\n\n{content.strip()}".strip()
        elif content.strip():
            turns.append({"role": role, "content": content.strip()})
    return turns


def turns(prompt: Side) -> list[Turn]:
    """A prompt of any shape as turns; a text that is no transcript is one turn of the user."""
    if isinstance(prompt, str):
        return parse(prompt) if is_transcript(prompt) else [{"role": "user", "content": prompt.strip()}]
    return prompt


def is_multi_turn(said: Any) -> bool:
    """Whether a prompt or dialogue, transcript or list of turns in any spelling, has more than one turn of a user."""
    if isinstance(said, str):
        said = parse(said) if is_transcript(said) else []
    found = said if isinstance(said, list) else []
    roles = [turn.get("role") or turn.get("from") for turn in found if isinstance(turn, dict)]
    return sum(role in ("user", "human") for role in roles) > 1


@dataclass(frozen=True)
class Formatter:
    """Brings prompts and pairs into what a tokenizer takes: turns for its chat template, or plain text.

    In plain text, turns become a transcript; texts stay as they are unless `markers` (user, assistant) are given. An
    answer starts with the white space that parts it from its prompt, not the prompt with it.
    """

    template: "_Template | None"
    markers: tuple[str, str] | None = None

    def pair(self, pair: Pair) -> Pair | str:
        """The pair, both its sides alike, or why it cannot be brought into shape; its other entries are kept."""
        try:
            prompt = self.prompt(pair["prompt"])
        except PreferenceError as reason:
            return str(reason)
        answers = {side: _answer(pair[side]) for side in ("chosen", "rejected")}
        if self.template:
            spoken = {side: [{"role": "assistant", "content": text.strip()}] for side, text in answers.items()}
            return checked({**pair, "prompt": prompt, **spoken})
        plain = isinstance(pair["prompt"], str) and self.markers is None
        gap = _gap(pair["prompt"]) if plain else self._markers()[1][len(_bare(self._markers()[1])) :]
        texts = {side: _spaced(text, gap) if plain else gap + text.strip() for side, text in answers.items()}
        return checked({**pair, "prompt": prompt, **texts})

    def prompt(self, prompt: Side) -> Side:
        """A prompt alone. Raises PreferenceError with the reason if it cannot be brought into shape."""
        if self.template:
            return self.template.fitted(_asked(turns(prompt)))
        if isinstance(prompt, str) and self.markers is None:
            return _bare(prompt)
        return self._written(_asked(turns(prompt)))

    def _markers(self) -> tuple[str, str]:
        return self.markers or (f"{ASK} ", f"{CUE} ")

    def _written(self, turns: list[Turn]) -> str:
        """Turns as a transcript that ends with the cue; a system text stands before it without a marker."""
        user, assistant = self._markers()
        text = ""
        for role, content in [*((turn["role"], turn["content"].strip()) for turn in turns), ("assistant", "")]:
            marker = {"user": user, "assistant": assistant}.get(role, "")
            apart = "" if not text or marker.startswith("\n") else "\n\n"
            text += apart + marker + content
        return _bare(text)


def formatter(tokenizer: PreTrainedTokenizerBase, data: DataArguments) -> Formatter:
    """The formatter for this tokenizer: its chat template where it has one, unless `data` says otherwise.

    Raises PreferenceError if a template is asked for that is not there, or markers beside a template.
    """
    stated = data.user_marker is not None or data.assistant_marker is not None
    if data.use_chat_template and tokenizer.chat_template is None:
        raise PreferenceError(
            "--use_chat_template true: this tokenizer has no chat template; leave it out to train on plain text"
        )
    if tokenizer.chat_template is not None and data.use_chat_template is not False:
        if stated:
            raise PreferenceError(
                "--user_marker and --assistant_marker are for plain text, and this tokenizer has a chat template; "
                "leave them out, or add --use_chat_template false"
            )
        return Formatter(_Template(tokenizer))
    if not stated:
        return Formatter(None)
    user = f"{ASK} " if data.user_marker is None else data.user_marker
    assistant = f"{CUE} " if data.assistant_marker is None else data.assistant_marker
    return Formatter(None, (user.replace("\\n", "\n"), assistant.replace("\\n", "\n")))  # a shell passes \n as it is


class _Template:
    """What a chat template takes: some refuse system turns, or turns that do not alternate."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._takes = functools.cache(self._try)

    def fitted(self, turns: list[Turn]) -> list[Turn]:
        """The turns; a system text that the template refuses is put before the user's first words."""
        if self._takes(tuple(turn["role"] for turn in turns)):
            return turns
        if turns[0]["role"] == "system" and len(turns) > 1 and turns[1]["role"] == "user":
            first = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            if self._takes(tuple(turn["role"] for turn in turns[1:])):
                return [first, *turns[2:]]
        raise PreferenceError("refused by the chat template")

    def _try(self, roles: tuple[str, ...]) -> bool:
        """Templates refuse by role, not by content."""
        said = [{"role": role, "content": "x"} for role in (*roles, "assistant")]
        try:
            self._tokenizer.apply_chat_template(said, tokenize=False)
        except TemplateError:
            return False
        return True


def _asked(turns: list[Turn]) -> list[Turn]:
    if not turns or turns[-1]["role"] != "user":
        raise PreferenceError(NO_USER)
    return turns


def _answer(side: Side) -> str:
    return side if isinstance(side, str) else side[-1]["content"]


def _bare(prompt: str) -> str:
    """A prompt without the blanks at its end: tokenizers join a blank with the word after it, which is the answer's."""
    return prompt.rstrip(" \t")


def _gap(prompt: Side) -> str:
    return "" if isinstance(prompt, str) and _bare(prompt).endswith("\n") else " "


def _spaced(answer: str, gap: str) -> str:
    return answer if answer[:1].isspace() else gap + answer
