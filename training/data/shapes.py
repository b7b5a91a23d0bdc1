"""A row of any preference data set as a pair, or the reason why it is none."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.data.arguments import DataArguments
from training.data.pairs import Pair, PreferenceError, Side, Turn, checked
from training.data.transcripts import ASK, CUE, NO_USER, turns
from training.data.where import known

PROMPTS = ("prompt", "instruction", "question", "input", "query", "conversations")
ANSWERS = (("chosen", "rejected"), ("response_chosen", "response_rejected"), ("chosen_response", "rejected_response"))
SYSTEMS = ("system", "system_prompt")
NO_SHARED, NOT_TEXT = "no shared prompt", "not text"
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_NEEDED = (
    "needed: prompt, chosen, rejected (or whole dialogues in chosen and rejected), under these names or as stated by "
    "--prompt_column, --chosen_column, --rejected_column"
)
_SPOKEN = re.compile(r"\s*Assistant:")
_UNPAIRED = (  # columns of data with one answer, and what such data is made for
    ({"label"}, "one answer and a label in each row (KTO)"),
    ({"score", "reward", "rating"}, "one answer and a score in each row (reward models)"),
    (
        {"messages", "conversations", "completion", "response", "output", "answer", "text"},
        "one answer in each row (SFT)",
    ),
)


class _NoPairError(Exception):
    """Why a row is no pair."""


@dataclass(frozen=True)
class Columns:
    """Which column says what; None for what the data has no column for.

    `more` is text to put after the prompt (Alpaca's `input`), `history` earlier turns.
    """

    chosen: str
    rejected: str
    prompt: str | None = None
    system: str | None = None
    history: str | None = None
    more: str | None = None

    def names(self) -> list[str]:
        """The columns to read, each once."""
        found = (self.system, self.history, self.prompt, self.more, self.chosen, self.rejected)
        return list(dict.fromkeys(column for column in found if column is not None))


def find(columns: Sequence[str], data: DataArguments, name: str) -> Columns:
    """The columns of the data set `name`, as `data` states them or by their usual names.

    Raises PreferenceError if a stated column is not there, or if the data is not paired.
    """
    chosen, rejected = _answers(columns, data, name)
    prompt = _stated(data.prompt_column, "--prompt_column", columns, name) or _first(PROMPTS, columns)
    if prompt in (chosen, rejected):
        raise PreferenceError(
            f"{name}: column {prompt!r} is the prompt and an answer; name another --prompt_column or answer column"
        )
    system = _stated(data.system_column, "--system_column", columns, name)
    if data.system_column is None:
        system = _first(SYSTEMS, columns)
    more = "input" if data.prompt_column is None and prompt == "instruction" and "input" in columns else None
    return Columns(chosen, rejected, prompt, system, _first(("history",), columns), more)


def pair(row: Mapping[str, Any], columns: Columns) -> Pair | str:
    """A row as {prompt, chosen, rejected}, all text or all lists of turns, or the reason why it is no usable pair.

    Turns if an answer is one, or if the data has a system or history column; in every row then, also where it is empty.
    """
    try:
        return checked(_pair(row, columns))
    except _NoPairError as reason:
        return str(reason)


def without_echo(pairs: Sequence[Pair]) -> list[Pair]:
    """Answers without the prompt that they repeat, if both do in more than half of the pairs of texts.

    One pair says little: two answers to "Hi" may both begin with it.
    """
    echoes = [_echoes(pair) for pair in pairs]
    if 2 * sum(echoes) <= len(pairs):
        return list(pairs)
    return [_cut(pair) if echo else pair for pair, echo in zip(pairs, echoes, strict=True)]


def _answers(columns: Sequence[str], data: DataArguments, name: str) -> tuple[str, str]:
    chosen = _stated(data.chosen_column, "--chosen_column", columns, name)
    rejected = _stated(data.rejected_column, "--rejected_column", columns, name)
    usual = next((names for names in ANSWERS if set(names) <= set(columns)), ANSWERS[0])
    chosen, rejected = chosen or usual[0], rejected or usual[1]
    if missing := [column for column in (chosen, rejected) if column not in columns]:
        kind = next((kind for marks, kind in _UNPAIRED if marks & set(columns)), None)
        reason = f"; this looks like unpaired data, {kind}: there is no second answer to compare with" if kind else ""
        raise PreferenceError(
            f"{name} has no column {' and no column '.join(missing)}; found: {', '.join(columns)}{reason}; {_NEEDED}"
        )
    if chosen == rejected:
        raise PreferenceError(f"--chosen_column and --rejected_column are both {chosen!r}; name two columns")
    return chosen, rejected


def _stated(column: str | None, flag: str, columns: Sequence[str], name: str) -> str | None:
    return known(column, columns, flag, name) if column else None


def _first(names: Sequence[str], columns: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _pair(row: Mapping[str, Any], columns: Columns) -> Pair:
    chosen, rejected = _side(row[columns.chosen]), _side(row[columns.rejected])
    if chosen is None or rejected is None or isinstance(chosen, str) != isinstance(rejected, str):
        raise _NoPairError(NOT_TEXT)
    asked = _prompt(row, columns)
    prompt: Side
    if isinstance(asked, list) or not isinstance(chosen, str) or not isinstance(rejected, str):
        prompt, chosen, rejected = _turns(asked, _spoken(chosen), _spoken(rejected))
    elif asked is None and columns.prompt and not _opens(chosen):
        raise _NoPairError(NOT_TEXT)
    else:
        prompt, chosen, rejected = _texts(asked, chosen, rejected)
    if columns.system or columns.history:
        prompt, chosen, rejected = _after(row, columns, turns(prompt)), _spoken(chosen), _spoken(rejected)
    if isinstance(prompt, list) and (not prompt or prompt[-1]["role"] != "user"):
        raise _NoPairError(NO_USER)
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _prompt(row: Mapping[str, Any], columns: Columns) -> Side | None:
    value = row[columns.prompt] if columns.prompt else None
    prompt = _side(value)
    if prompt is None and value is not None:
        raise _NoPairError(NOT_TEXT)
    if columns.more and isinstance(prompt, str) and isinstance(row[columns.more], str) and row[columns.more].strip():
        return f"{prompt}\n{row[columns.more]}"
    return prompt


def _side(value: Any) -> Side | None:
    """A value as text or turns; None if it is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return [_turn(value)]
    return [_turn(turn) for turn in value] if isinstance(value, list) else None


def _turn(turn: Any) -> Turn:
    """A turn {role, content} of one that may be written {from, value}."""
    if not isinstance(turn, Mapping):
        raise _NoPairError("a turn without role and content")
    role = turn.get("role") or turn.get("from")
    content = turn.get("content") if turn.get("content") is not None else turn.get("value")
    if not isinstance(role, str) or not isinstance(content, str):
        raise _NoPairError("a turn without role and content")
    if role.lower() not in _ROLES:
        raise _NoPairError("a turn that is not of system, user or assistant")
    return {"role": _ROLES[role.lower()], "content": content}


def _spoken(answer: Side) -> list[Turn]:
    return [{"role": "assistant", "content": answer.strip()}] if isinstance(answer, str) else answer


def _texts(prompt: str | None, chosen: str, rejected: str) -> tuple[str, str, str]:
    """Two answers to a prompt, or two dialogues that hold it."""
    if prompt is None or (_opens(chosen) and _opens(rejected)):
        return _dialogue(chosen, rejected)
    heads = _SPOKEN.match(chosen), _SPOKEN.match(rejected)
    if prompt.rstrip().endswith(CUE.strip()):
        return prompt, chosen, rejected
    if heads[0] and heads[1]:  # the cue stands with the answers
        return prompt.rstrip() + CUE, chosen[heads[0].end() :], rejected[heads[1].end() :]
    if (heads[0] or heads[1]) and prompt.endswith("\n\n"):
        raise _NoPairError("an answer without its cue")
    return prompt, chosen, rejected


def _opens(text: str) -> bool:
    return text.lstrip().startswith("Human:")


def _dialogue(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Two dialogues split at the last `Assistant:` that both share, unless they part before their last turn."""
    cut = chosen.rfind(CUE, 0, _alike(chosen, rejected)) + len(CUE)
    answers = chosen[cut:], rejected[cut:]
    if cut < len(CUE) or any(marker in answer for marker in (ASK, CUE) for answer in answers):
        raise _NoPairError(NO_SHARED)
    return chosen[:cut], *answers


def _alike(first: str, second: str) -> int:
    """How many characters two texts have in common at their start, by halving: a loop over characters is slow."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _turns(prompt: Side | None, chosen: list[Turn], rejected: list[Turn]) -> tuple[list[Turn], list[Turn], list[Turn]]:
    """Lists of turns split after those that both share; answers without their prompt take it from `prompt`."""
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    before = chosen[:shared]
    if isinstance(prompt, str) and not before:
        before = turns(prompt)
    elif isinstance(prompt, list) and prompt[len(prompt) - len(before) :] == before:
        before = prompt  # with the turns, such as a system message, that the answers do not repeat
    answers = (chosen[shared:], rejected[shared:])
    if not before or any(len(answer) != 1 or answer[0]["role"] != "assistant" for answer in answers):
        raise _NoPairError(NO_SHARED)
    return before, *answers


def _after(row: Mapping[str, Any], columns: Columns, prompt: list[Turn]) -> list[Turn]:
    """The prompt after its system text and its history."""
    before = _history(row[columns.history]) if columns.history else []
    system = row[columns.system] if columns.system else None
    if not isinstance(system, str | None):
        raise _NoPairError(NOT_TEXT)
    whole = [*before, *prompt]
    if system and system.strip() and whole and whole[0]["role"] != "system":
        whole = [{"role": "system", "content": system}, *whole]
    return whole


def _history(value: Any) -> list[Turn]:
    """Earlier turns, as turns or as [user, assistant] pairs of texts."""
    found: list[Turn] = []
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(text, str) for text in entry):
            found += [{"role": role, "content": text} for role, text in zip(("user", "assistant"), entry, strict=True)]
        else:
            found.append(_turn(entry))
    return found


def _echoes(pair: Pair) -> bool:
    if not isinstance(pair["prompt"], str):
        return False
    prompt = pair["prompt"].strip()
    return all(pair[side].lstrip().startswith(prompt) for side in ("chosen", "rejected"))


def _cut(pair: Pair) -> Pair:
    length = len(pair["prompt"].strip())
    return {**pair, **{side: pair[side].lstrip()[length:] for side in ("chosen", "rejected")}}
