"""What several tests need: a tiny untrained model, a few pairs, the real logs of other people."""

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

# Tests must not depend on a network: a Hub id fails at once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Nothing is kept between tests, and nothing outside of their own folders.
os.environ["PREFSCOPE_CACHE"] = ""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real logs and pairs of other people, where they are present."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real logs (../shared/data) is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def pairs() -> list[dict[str, str]]:
    """40 plain-text pairs over 20 prompts: the chosen answer says yes, the rejected one no."""
    return [
        {
            "prompt": f"Is {n} a number?",
            "chosen": f" Yes, {n} is a number{'.' * (1 + turn)}",
            "rejected": f" No, {n} is not a number at all{'!' * (1 + turn)}",
        }
        for n in range(20)
        for turn in range(2)
    ]


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory: pytest.TempPathFactory, pairs: list[dict[str, str]]) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "yes no.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, pairs: list[dict[str, str]]) -> Path:
    """An untrained GPT-2 of 2 layers and 32 dimensions with its own tokenizer, in a folder."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        (text for pair in pairs for text in pair.values()),
        vocab_size=320,
        special_tokens=["<|end|>", "<|pad|>"],
        show_progress=False,
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token="<|end|>", pad_token="<|pad|>")
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=128,
            n_embd=32,
            n_layer=2,
            n_head=2,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    folder = tmp_path_factory.mktemp("tiny model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
