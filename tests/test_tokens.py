"""Token ids equal TRL's own; a long prompt loses its start, so that the answers stay."""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer, processors
from transformers import ByT5Tokenizer, CanineTokenizer, PreTrainedTokenizerFast, T5Tokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from training.data.pairs import PreferenceError
from training.data.tokens import Encoded, Limits, encode, kept_tokens

UNLIMITED = Limits(None)
TEXT = "Is the number of numbers a number? Yes, numbers number numbers."
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>THOUGHT{% endif %}"
)
THINKING = CHAT.replace("THOUGHT", "\nno thought\n")  # what the whole dialogue does not repeat


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE in which 'number', 'numbers' and 'Yes' are one token each."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([TEXT] * 4, vocab_size=320, special_tokens=["<|end|>", "<|start|>"], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token="<|end|>", pad_token="<|end|>")


@pytest.fixture(scope="module")
def with_start(tokenizer) -> PreTrainedTokenizerFast:
    """The same, with a beginning-of-sequence token before every text."""
    copy = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer.from_str(tokenizer.backend_tokenizer.to_str()),
        bos_token="<|start|>",
        eos_token="<|end|>",
    )
    copy.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|start|> $A", special_tokens=[("<|start|>", copy.bos_token_id)]
    )
    return copy


def pair(prompt, chosen, rejected):
    return {"pair_id": "1", "prompt": prompt, "chosen": chosen, "rejected": rejected}


def messages(prompt: str, chosen: str, rejected: str):
    turn = lambda role, content: [{"role": role, "content": content}]  # noqa: E731
    before = turn("system", "Be short.") + turn("user", "Hello") + turn("assistant", "Yes")
    return pair(before + turn("user", prompt), turn("assistant", chosen), turn("assistant", rejected))


def trl(pairs, tokenizer, **limits) -> list[dict]:
    """What TRL's trainer makes of the same pairs."""
    from datasets import Dataset

    config = DPOConfig(output_dir="unused", report_to="none", bf16=False, **{"max_length": None, **limits})
    trainer = SimpleNamespace(_tokenizer=tokenizer)
    rows = Dataset.from_list([{side: p[side] for side in ("prompt", "chosen", "rejected")} for p in pairs])
    prepared = DPOTrainer._prepare_dataset(trainer, rows, tokenizer, config, "train")
    return [{name: row[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")} for row in prepared]


def rows(encoded: Encoded) -> list[dict]:
    return [{name: row[name] for name in row if name != "prompt_cut"} for row in encoded.dataset]


def widths(encoded: Encoded) -> list[tuple[int, int, int, int]]:
    """Tokens of prompt, chosen, rejected; tokens taken from the prompt."""
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return [(*(len(row[name]) for name in names), row["prompt_cut"]) for row in encoded.dataset]


@pytest.mark.parametrize("chat", [False, True], ids=["text", "chat"])
def test_ids_equal_trl_s(tokenizer, chat):
    make = messages if chat else pair
    tokenizer.chat_template = CHAT.replace("THOUGHT", "")
    pairs = [
        make("Is 3 a number?", " Yes, 3 is.", " No."),
        make("Is 4 a num", "ber? Yes", " No"),  # 'num' + 'ber' is one token in the whole
        make("Is 5 a num", " No", "ber? Yes"),
        make("\n\nHuman: numbers\n\nAssistant:", " Yes<|end|>", " a<|end|> b"),  # an answer that ends already
        make("ünïcödé 🙂", "🙂", " 🙂🙂"),
    ]
    assert rows(encode(pairs, tokenizer, UNLIMITED)) == trl(pairs, tokenizer)


def test_the_answer_starts_where_a_merge_begins(tokenizer):
    """'num' alone is other tokens than the start of 'number': both answers are read from the same shorter prompt."""
    row = rows(encode([pair("Yes num", "ber", " a")], tokenizer, UNLIMITED))[0]
    assert tokenizer.decode(row["prompt_ids"]) == "Yes"
    assert tokenizer.decode(row["chosen_ids"]) == " number<|end|>"
    assert tokenizer.decode(row["rejected_ids"]) == " num a<|end|>"


def test_a_template_that_opens_the_answer_differently_equals_trl_s(tokenizer):
    tokenizer.chat_template = THINKING
    pairs = [messages("Is 3 a number?", "Yes", "No"), messages("num", "ber", "bers")]
    assert rows(encode(pairs, tokenizer, UNLIMITED)) == trl(pairs, tokenizer)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(TEXT)), min_size=3, max_size=3))
def test_ids_equal_trl_s_wherever_the_prompt_ends(tokenizer, cuts):
    end, first, second = sorted(cuts)
    pairs = [pair(TEXT[:end] or "a", TEXT[end:first], TEXT[end:second])]
    assert rows(encode(pairs, tokenizer, UNLIMITED)) == trl(pairs, tokenizer)


def test_a_start_token_is_as_trl_has_it(with_start):
    pairs = [pair("Is 3 a number?", " Yes", " No")]
    found = rows(encode(pairs, with_start, UNLIMITED))
    assert found == trl(pairs, with_start)
    assert found[0]["prompt_ids"][0] == with_start.bos_token_id


def test_batches_change_nothing(tokenizer):
    """1,201 pairs are two batches, the second of 201."""
    pairs = [pair(f"Is {n} a number?", f" Yes, {n}", " No") for n in range(1201)]
    encoded = encode(pairs, tokenizer, UNLIMITED)
    assert encoded.kept == list(range(1201))
    assert rows(encoded)[1000:1002] == trl(pairs[1000:1002], tokenizer)
    assert encoded.dataset.data.schema.field("chosen_ids").type.value_type == pa.int32()


def test_a_python_tokenizer_works():
    """CANINE makes one token of a character and puts its own start and end around every text."""
    tokenizer = CanineTokenizer()
    assert not tokenizer.is_fast
    pairs = [pair("ab", "cd", "e")]
    assert rows(encode(pairs, tokenizer, UNLIMITED)) == trl(pairs, tokenizer)


def bytes_of(n: int, sign: str = "x") -> str:
    return sign * n


@pytest.fixture(scope="module")
def per_byte() -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges: one token per byte, so lengths can be counted."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = ["<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    model = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(alphabet)}, merges=[]))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=model, eos_token="<|end|>", pad_token="<|end|>")


def test_a_prompt_is_cut_only_where_prompt_and_longer_answer_are_too_long(per_byte):
    """max_length 20. Prompt 12, answers 7 + end = 8 and 3: 12 + 8 = 20 fits. One byte more: 21 does not, 2 are cut."""
    limits = Limits(20, 10)
    fits = encode([pair(bytes_of(12), bytes_of(2), bytes_of(7))], per_byte, limits)
    cut = encode([pair(bytes_of(12), bytes_of(2), bytes_of(8))], per_byte, limits)
    assert widths(fits) == [(12, 3, 8, 0)]
    assert widths(cut) == [(10, 3, 9, 2)]


def test_the_prompt_keeps_its_end(per_byte):
    encoded = encode([pair("abcdefghijkl", bytes_of(9), "y")], per_byte, Limits(20, 4))
    assert per_byte.decode(encoded.dataset[0]["prompt_ids"]) == "ijkl"


def test_half_of_max_length_is_the_default(per_byte):
    assert widths(encode([pair(bytes_of(30), "y", "z")], per_byte, Limits(20))) == [(10, 2, 2, 20)]
    assert (Limits(21).prompt_limit, Limits(None).prompt_limit, Limits(20, 3).prompt_limit) == (10, None, 3)


def test_without_max_length_every_longer_prompt_is_cut(per_byte):
    pairs = [pair(bytes_of(30), "y", "z"), pair(bytes_of(5), bytes_of(90), "z")]
    assert widths(encode(pairs, per_byte, Limits(None, 8))) == [(8, 2, 2, 22), (5, 91, 2, 0)]


def test_a_cut_prompt_keeps_its_start_token(with_start):
    """The start token and the last 3 tokens: 4."""
    whole = encode([pair(TEXT, " Yes", " No")], with_start, UNLIMITED).dataset[0]["prompt_ids"]
    cut = encode([pair(TEXT, " Yes", " No")], with_start, Limits(10, 4)).dataset[0]
    assert cut["prompt_ids"] == [with_start.bos_token_id, *whole[-3:]]
    assert cut["prompt_cut"] == len(whole) - 4


@pytest.mark.parametrize(("mode", "kept"), [("keep_start", [0, 2]), ("keep_end", [0, 1, 2])])
def test_pairs_whose_prompt_fills_the_row_are_dropped_as_trl_drops_them(per_byte, mode, kept):
    """max_length 20, prompts cut to 20 at most: the prompts of 3, 25 and 19 leave 17, 0 and 1 tokens."""
    pairs = [pair(bytes_of(n), "y", "zz") for n in (3, 25, 19)]
    encoded = encode(pairs, per_byte, Limits(20, 20, mode))
    assert (encoded.kept, encoded.given, len(encoded.dataset)) == (kept, 3, len(kept))
    if mode == "keep_start":
        assert rows(encoded) == trl(pairs, per_byte, max_length=20)


def test_no_pair_left_is_an_empty_data_set(per_byte):
    encoded = encode([pair(bytes_of(25), "y", "z")], per_byte, Limits(20, 25))
    assert (encoded.kept, encoded.given, len(encoded.dataset)) == ([], 1, 0)


@pytest.mark.parametrize("mode", ["keep_start", "keep_end"])
@pytest.mark.parametrize("prompt", [1, 4, 9])
@pytest.mark.parametrize("answer", [1, 5, 9, 30])
def test_kept_tokens_are_what_trl_s_collator_scores(mode, prompt, answer):
    """A token is scored if it is marked as the answer's and has another before it in its row."""
    limits = Limits(10, truncation_mode=mode)
    row = {"prompt_ids": [1] * prompt, "chosen_ids": [2] * answer, "rejected_ids": [3]}
    batch = DataCollatorForPreference(pad_token_id=0, max_length=10, truncation_mode=mode)([row])
    assert kept_tokens(prompt, answer, limits) == int(batch["completion_mask"][0, 1:].sum())
    assert kept_tokens(prompt, answer, UNLIMITED) == answer


def test_an_encoder_decoder_reads_prompt_and_answers_apart():
    """Every text ends with </s> (1), also the prompt, and an answer's first piece is that of a text of its own."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁yes", -1.0), ("▁no", -1.0), ("▁is", -1.0)]
    t5 = T5Tokenizer(vocab=pieces, extra_ids=0)
    encoded = encode([pair("is is", " yes", " no no")], t5, UNLIMITED, encoder_decoder=True)
    assert rows(encoded) == [{"prompt_ids": [6, 6, 1], "chosen_ids": [4, 1], "rejected_ids": [5, 5, 1]}]


def test_a_cut_encoder_prompt_keeps_its_end_token():
    """'abcdefgh' + end is 9 tokens, 'xyz' + end 4; 13 > 8, so the last 4 of the prompt stay: f, g, h, end."""
    byt5 = ByT5Tokenizer()
    encoded = encode([pair("abcdefgh", "xyz", "x")], byt5, Limits(8), encoder_decoder=True)
    assert byt5.decode(encoded.dataset[0]["prompt_ids"]) == "fgh</s>"
    assert widths(encoded) == [(4, 4, 2, 5)]


def test_targets_end_even_where_the_tokenizer_does_not_end_them(per_byte):
    encoded = encode([pair("ab", "cd", "e")], per_byte, UNLIMITED, encoder_decoder=True)
    assert per_byte.decode(encoded.dataset[0]["chosen_ids"]) == "cd<|end|>"
    assert widths(encoded) == [(2, 3, 2, 0)]


def test_a_tokenizer_without_an_end_is_refused(tokenizer):
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(PreferenceError, match="no end-of-sequence token"):
        encode([pair("a", "b", "c")], bare, UNLIMITED)
