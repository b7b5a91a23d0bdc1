"""What cannot be computed is refused in one sentence that says why; what was kept of a model is used again."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.generate import handlers
from training.generating import trained as trained_module
from training.generating.models import Models
from training.generating.protocol import Refused, Request
from training.generating.rewards import TokenRewards
from training.generating.serving import Cancelled, Job

PAIR = {"prompt": "Is 3 a number?", "answers": [" Yes, 3 is a number.", " No, 3 is not a number at all!"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, pairs_file: Path) -> Path:
    """A full and an adapter run of two steps; each begins with a base model of its own."""
    from training.run import main

    folder = tmp_path_factory.mktemp("trained")
    for name, own in (("full", ()), ("lora", ("--use_peft", "--learning_rate=3e-2")), ("lora2", ("--use_peft",))):
        told = {
            "runs": folder,
            "name": name,
            "model_name_or_path": tiny_model,
            "dataset_name": pairs_file,
            "max_steps": 2,
            "eval_steps": 2,
            "save_steps": 2,
            "max_length": 48,
            "sample_max_new_tokens": 2,
        }
        assert main(["-q", *(f"--{key}={value}" for key, value in told.items()), *own]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the full run, to be spoilt."""
    return Path(shutil.copytree(trained / "full", tmp_path / "full"))


@pytest.fixture(scope="module")
def answer() -> TokenRewards:
    return handlers()["token_rewards"]


def ask(answer: TokenRewards, run: Path, **other: Any) -> Mapping[str, Any]:
    return answer(Job(Request(1, "token_rewards", {"run": str(run), **PAIR, **other})))


def changed(run: Path, **config: Any) -> Path:
    """The run, its record with other values."""
    head = json.loads((run / "config.json").read_bytes())
    head["config"] |= config
    (run / "config.json").write_text(json.dumps(head))
    return run


def reason(answer: TokenRewards, run: Path, **other: Any) -> str:
    with pytest.raises(Refused) as found:
        ask(answer, run, **other)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_without_a_wish_it_is_the_best_checkpoint_and_else_the_newest(answer, run):
    assert ask(answer, run)["checkpoint"] == ask(answer, run, checkpoint="best")["checkpoint"] == "best"
    shutil.rmtree(run / "checkpoints" / "best")
    assert ask(answer, run)["checkpoint"] == "checkpoint-2"


def test_the_step_of_the_best_checkpoint_names_it_where_its_own_is_gone(answer, run):
    assert ask(answer, run, checkpoint=2)["checkpoint"] == "checkpoint-2"
    shutil.rmtree(run / "checkpoints" / "checkpoint-2")
    best = json.loads((run / "summary.json").read_bytes())["best_step"]
    assert ask(answer, run, checkpoint=best)["checkpoint"] == "best"


def test_a_checkpoint_that_was_not_kept_is_refused_with_those_that_were(answer, run):
    assert "no checkpoint of step 7; kept: step 2, the best (step" in reason(answer, run, checkpoint=7)
    shutil.rmtree(run / "checkpoints")
    assert "no best checkpoint; kept: none" in reason(answer, run, checkpoint="best")
    assert "no checkpoint; kept: none" in reason(answer, run)


def test_weights_that_may_carry_code_are_no_checkpoint(answer, run):
    for folder in (run / "checkpoints").iterdir():
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "kept: none" in reason(answer, run)


def test_a_folder_that_is_no_run_is_refused(answer, run, tmp_path):
    assert "it is not a run" in reason(answer, tmp_path)
    assert "not the whole path" in reason(answer, Path("full"))
    assert "not the whole path" in reason(answer, Path("/a\0"))


@pytest.mark.parametrize("wrong", ["newest", 2.0, True, ["best"], {"step": 2}])
def test_a_checkpoint_is_best_or_a_step(answer, run, wrong):
    assert reason(answer, run, checkpoint=wrong) == '"checkpoint" is neither "best" nor a step'


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": None},
        {"prompt": []},
        {"prompt": [{"role": "user"}]},
        {"answers": ["one", [{"role": "assistant", "content": "two"}]]},
        {"answers": ["one"]},
        {"answers": "two"},
        {"answers": [1, 2]},
    ],
)
def test_what_is_no_pair_is_refused(answer, run, wrong):
    found = reason(answer, run, **wrong)
    assert "not like its prompt" in found or "not the two of a pair" in found


def test_a_pair_that_training_would_leave_out_is_refused(answer, run):
    assert reason(answer, run, answers=["same", "same "]) == "training left such a pair out: equal answers"
    assert "empty answer" in reason(answer, run, answers=["same", " "])


def test_a_prompt_that_fills_the_row_is_refused_and_says_so(answer, run):
    """max_length 48; the prompt may keep as many, and 60 words are more."""
    changed(run, max_prompt_length=48)
    assert "fills all 48 tokens" in reason(answer, run, prompt="number " * 60)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_name_or_path": "nobody/has-this"}, "'nobody/has-this' is not on this machine"),
        ({"model_name_or_path": "/not/here any more"}, "'/not/here any more' is not on this machine"),
        ({"sync_ref_model": True}, "its reference changed, and was not kept"),
        ({"load_in_4bit": True}, "over quantised weights"),
        ({"beta": None}, "has no beta"),
    ],
)
def test_a_reference_that_cannot_be_had_is_told(answer, run, config, sentence):
    assert sentence in reason(answer, changed(run, **config))


def test_a_base_model_without_safetensors_is_told(answer, run, tmp_path, tiny_model):
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    assert "no .safetensors files" in reason(answer, changed(run, model_name_or_path=str(base)))


def test_broken_weights_and_tokenizers_are_told(answer, run):
    weights = run / "checkpoints" / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "best cannot be loaded" in reason(answer, run)
    (run / "checkpoints" / "checkpoint-2" / "tokenizer.json").write_text("{")
    assert "tokenizer" in reason(answer, run, checkpoint=2)


def test_weights_that_diverged_are_told(answer, run):
    file = run / "checkpoints" / "best" / "model.safetensors"
    weights = load_file(file)
    weights["transformer.wte.weight"] = torch.full_like(weights["transformer.wte.weight"], float("nan"))
    save_file(weights, file, metadata={"format": "pt"})
    assert "not finite" in reason(answer, run)


def test_a_model_that_brings_code_is_not_run(answer, run, tmp_path, tiny_model):
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    about = json.loads((base / "config.json").read_bytes())
    about |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (base / "config.json").write_text(json.dumps(about))
    (base / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "cannot be loaded" in reason(answer, changed(run, model_name_or_path=str(base), trust_remote_code=True))
    assert not (tmp_path / "ran").exists()


def test_the_two_answers_may_come_in_either_order(answer, run):
    found, turned = ask(answer, run), ask(answer, run, answers=PAIR["answers"][::-1])
    assert found["tokens"] == turned["tokens"][::-1]
    assert found["totals"] == pytest.approx(turned["totals"][::-1], abs=1e-6)


def test_a_relative_base_model_is_one_of_the_folder_where_training_began(answer, run, tiny_model):
    expected = ask(answer, run)["totals"]
    head = json.loads((run / "config.json").read_bytes())
    head["environment"]["folder"] = str(tiny_model.parent)
    head["config"]["model_name_or_path"] = tiny_model.name
    (run / "config.json").write_text(json.dumps(head))
    assert ask(TokenRewards(Models(2**30)), run)["totals"] == expected


def test_a_cancelled_request_ends_before_its_next_model(run):
    models = Models(2**30)
    job = Job(Request(1, "token_rewards", {"run": str(run), **PAIR}))
    job.cancel()
    with pytest.raises(Cancelled):
        TokenRewards(models)(job)
    assert len(models) == 1


def test_a_memory_for_one_model_is_enough_and_is_kept_to(answer, trained, tiny_model):
    """Of a full run policy and reference take turns; the sizes are those of the files without their headers."""
    size = sum(value.nbytes for value in load_file(tiny_model / "model.safetensors").values())
    models = Models(int(1.5 * size))
    assert ask(TokenRewards(models), trained / "full") == ask(answer, trained / "full")
    assert len(models) == 1
    assert models.bytes == size


def test_a_model_that_does_not_fit_is_refused_with_both_sizes(trained):
    assert "GB of memory, and of what is free here models may take 1e-06 GB" in reason(
        TokenRewards(Models(1000)), trained / "full"
    )


def test_runs_with_adapters_share_one_copy_of_their_base_model(answer, trained):
    models = Models(2**30)
    fresh = TokenRewards(models)
    first = ask(fresh, trained / "lora")
    alone = models.bytes
    second, again = ask(fresh, trained / "lora2"), ask(fresh, trained / "lora")
    assert len(models) == 1
    assert alone < models.bytes < 1.5 * alone
    assert first == again
    assert first["totals"] != second["totals"] == ask(TokenRewards(Models(2**30)), trained / "lora2")["totals"]
    full = ask(fresh, trained / "full")  # its reference is that same copy, without adapters
    assert len(models) == 2
    assert full["totals"] == ask(TokenRewards(Models(2**30)), trained / "full")["totals"]


def test_more_adapters_than_are_kept_still_answer_alike(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("training.generating.models.ADAPTERS", 1)
    fresh = TokenRewards(Models(2**30))
    first, second = ask(fresh, trained / "lora"), ask(fresh, trained / "lora2")
    assert ask(fresh, trained / "lora") == first
    assert ask(fresh, trained / "lora2") == second


def test_a_best_checkpoint_that_was_replaced_is_loaded_anew(answer, run):
    before = ask(answer, run)["totals"]
    file = run / "checkpoints" / "best" / "model.safetensors"
    weights = {name: value + 0.01 * torch.randn_like(value) for name, value in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    assert ask(answer, run)["totals"] != before


def test_running_out_of_memory_gives_all_models_back_and_says_so(run, monkeypatch):
    models = Models(2**30)
    fresh = TokenRewards(models)
    ask(fresh, run)

    def exhausted(*_: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("training.generating.rewards._log_probs", exhausted)
    assert "out of memory" in reason(fresh, run)
    assert len(models) == 0


def test_a_checkpoint_that_goes_while_it_is_asked_for_is_told(answer, run, monkeypatch):
    found = trained_module.read(run, "best")
    shutil.rmtree(found.checkpoint)
    monkeypatch.setattr(trained_module, "read", lambda *_: found)
    assert "has replaced best meanwhile, ask again" in reason(answer, run)
