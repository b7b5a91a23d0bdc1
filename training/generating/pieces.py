"""Tokens as a person can read them: the pieces of text that they stand for."""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> Iterator[tuple[str, int]]:
    """The text of one token after another, and how many tokens it is: several where they share one character.

    Joined, the texts are what all ids decode to; special tokens stand there by their names. A token is decoded after
    the one before it, as what it says depends on that: SentencePiece has no blank before a text's first word.
    """
    before = done = 0
    for end in range(1, len(ids) + 1):
        known, text = (_decoded(tokenizer, ids[before:at]) for at in (done, end))
        is_unfinished = text.endswith(_UNFINISHED) or text == known
        if is_unfinished and end < len(ids):
            continue
        yield text[len(known) :], end - done
        before, done = done, end


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
