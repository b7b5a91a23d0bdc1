"""What several tests need: a tiny untrained model, a few pairs, the real logs of other people."""

import gc
import json
import os
from functools import cache
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

# Tests must not depend on a network: a Hub id fails at once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Nothing is kept between tests, and nothing outside of their own folders.
os.environ["PREFSCOPE_CACHE"] = ""

# How long an example takes says how busy the machine is, nothing of the code.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

# Files that take long: begun first, so that no worker is left alone with one of them at the end.
LONG = (
    *("test_ray_engine.py", "test_importance.py", "test_sweep.py", "test_seq2seq.py", "test_distributed.py"),
    *("test_reporting.py", "test_run.py", "test_recipe_runs.py", "test_fast_references.py", "test_resume.py"),
    *("test_leaderboard_page.py", "test_coverage.py", "test_planted_faults.py", "test_report.py"),
    *("test_generate_rewards.py", "test_generate.py", "test_accessibility.py", "test_comparing.py"),
    *("test_sources_hostile.py", "test_pruning_simulation.py", "test_curves_page.py", "test_embedded.py"),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for a browser or for other programs, and do nothing."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Files are dealt out in the order of their collection, not by their number of tests (pytest-xdist's default)."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.path.name, len(LONG)))


def pytest_collection_finish() -> None:
    """What is imported stays to the end, and need not be looked through at each collection of garbage.

    Each Trainer asks for some: of 19 tests that train, all files being imported, 15 s of processor time become 5 s.
    """
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def sweep_files_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's file is checked once a test, not each time the sweep is opened: that takes a good part of a second."""
    from training.sweeps import store

    monkeypatch.setattr(store.file, "read", cache(store.file.read))


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The dashboard. One for all tests of a process: Dash gives all callbacks to the first app that is made."""
    from dashboard.app import create_app

    return create_app(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def client(app, tmp_path):
    """A client of the dashboard, over a runs folder of the test's own (`tmp_path`), with one run in it."""
    from make_runs import make_run

    from dashboard.components import context
    from dashboard.components.evidence import Studies
    from dashboard.components.memory import Memory
    from dashboard.sources.catalog import Catalog

    app.server.config.update({context.KEY: Catalog(tmp_path), context.STUDIES: Studies(), context.MEMORY: Memory()})
    make_run(tmp_path, "one", beta=0.1)
    return app.server.test_client()
