"""`python -m training.publish`, on runs that were really trained."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from fake_hub import FakeHub

from training.publish import main
from training.publishing import upload
from training.publishing.card import DATA
from training.record import reader
from training.record.history import read_history
from training.record.markdown import excerpt
from training.run import main as train

# PEFT 0.21 asks for an attribute that Transformers 5.23 has renamed.
PEFT = "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
WEIGHTS = {"model.safetensors"}
EVERY = {"README.md", "curves.png", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_model, pairs_file) -> Path:
    """Two runs of a few steps: `full` and `lora`."""
    folder = tmp_path_factory.mktemp("secret place") / "runs"
    shared = {
        "runs": folder,
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "learning_rate": 1e-2,
        "max_steps": 6,
        "eval_steps": 2,
        "save_steps": 2,
        "logging_steps": 1,
        "sample_max_new_tokens": 4,
    }
    for own in ({"name": "full"}, {"name": "lora", "use_peft": True}):
        assert train(["-q", *(f"--{key}={value}" for key, value in {**shared, **own}.items())]) == 0
    return folder


@pytest.fixture(scope="module")
def published(runs) -> Path:
    folder = runs.parent / "published"
    assert main(["full", "--runs", str(runs), "--dry_run", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def adapter(runs) -> Path:
    folder = runs.parent / "new" / "adapter"
    assert main([str(runs / "lora"), "--dry_run", str(folder)]) == 0
    return folder


def cells(card: str) -> dict[str, list[str]]:
    """The card's tables: the first cell of each row, without code marks -> the others."""
    rows = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
    return {row[0].strip("`"): [cell.strip("`") for cell in row[1:]] for row in rows}


def value(cell: str) -> float:
    return float(cell.split(" (")[0])


def test_the_folder_loads_in_transformers_with_the_weights_of_the_best_checkpoint(runs, published):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(published), AutoTokenizer.from_pretrained(published)
    best = AutoModelForCausalLM.from_pretrained(runs / "full" / "checkpoints" / "best")
    ids = tokenizer("Is 3 a number?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, best(ids).logits)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_only_what_is_safe_and_needed_is_published(published, adapter):
    names = {path.name for path in published.iterdir()}
    assert names == EVERY | WEIGHTS | {"config.json", "generation_config.json"}
    assert {path.name for path in adapter.iterdir()} == EVERY | {"adapter_model.safetensors", "adapter_config.json"}


def test_the_cards_numbers_are_the_records(runs, published):
    run, history = reader.read_run(runs / "full"), read_history(runs / "full")
    found, at = cells((published / "README.md").read_text()), run.best_step
    curve = {key: dict(zip(series.steps, series.values, strict=True)) for key, series in history.items()}
    assert f"Published is step {at}, the best by `eval/rewards/accuracies`" in (published / "README.md").read_text()
    assert f"this model (step {at})" in found["4 pairs"]
    for row, key, scale in (
        ("reward accuracy", "eval/rewards/accuracies", 1),
        ("margin of log-ratios, nats", "eval/rewards/margins", run.config["beta"]),
        ("chosen log-ratio, nats", "eval/rewards/chosen", run.config["beta"]),
        ("rejected log-ratio, nats", "eval/rewards/rejected", run.config["beta"]),
        ("loss (`sigmoid`)", "eval/loss", 1),
    ):
        assert value(found[row][1]) == pytest.approx(curve[key][at] / scale, abs=5e-5)
        assert value(found[row][0]) == pytest.approx(curve[key][0] / scale, abs=5e-5)
    for step, cell in ((0, 0), (at, 1)):
        scores = reader.read_scores(runs / "full", step).to_pylist()
        right = sum(row["chosen_logp"] > row["rejected_logp"] for row in scores)
        assert value(found["ranking accuracy"][cell]) == right / 4
    longer = sum(row["chosen_tokens"] > row["rejected_tokens"] for row in scores)
    longer += sum(row["chosen_tokens"] == row["rejected_tokens"] for row in scores) / 2
    assert value(found['accuracy of "the longer answer wins"'][1]) == longer / 4


def test_the_cards_settings_are_the_records(runs, published):
    run, found = reader.read_run(runs / "full"), cells((published / "README.md").read_text())
    for key in ("learning_rate", "beta", "per_device_train_batch_size", "gradient_accumulation_steps", "seed"):
        assert float(found[key][0]) == run.config[key]
    for key, label in DATA.items():
        assert found[label] == [str(run.data[key])]
    for package, version in run.environment["packages"].items():
        assert found[package] == [version]
    assert int(found["parameters"][0]) == run.environment["parameters"]
    assert found["steps taken"] == ["6 of 6"]


def test_the_cards_samples_are_the_records(runs, published):
    run, card = reader.read_run(runs / "full"), (published / "README.md").read_text()
    rows = [row for row in reader.read_samples(runs / "full") if row["step"] == run.best_step]
    assert rows
    for row in rows:
        assert f"{excerpt('Base model', row['base'])}\n\n{excerpt('This model', row['dpo'])}\n" in card


def test_few_pairs_speak_against_the_run(published):
    assert "- **few pairs**: It was evaluated on 4 pairs, fewer than 100." in (published / "README.md").read_text()


@pytest.mark.filterwarnings(PEFT)
@pytest.mark.parametrize(("kind", "bases"), [("published", 0), ("adapter", 1)])
def test_the_cards_code_runs_inside_the_folder(kind, bases, tiny_model, request, monkeypatch, capsys):
    folder = request.getfixturevalue(kind)
    (code,) = re.findall("```python\n(.*?)\n```", (folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(folder)
    assert code.count(f"'{tiny_model.name}')  # the base model: put its folder here") == bases
    scope: dict[str, object] = {}
    exec(code.replace(f"'{tiny_model.name}'", repr(str(tiny_model))), scope)
    assert isinstance(scope["prompt"], str)
    assert scope["prompt"].startswith("Is ")
    assert len(capsys.readouterr().out.splitlines()) >= 1


@pytest.mark.filterwarnings(PEFT)
def test_the_adapter_loads_in_peft_and_changes_the_base_model(adapter, tiny_model):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = base(ids).logits
        after = PeftModel.from_pretrained(base, adapter)(ids).logits
    assert not torch.allclose(before, after)
    assert yaml.safe_load((adapter / "README.md").read_text().split("---\n")[1])["library_name"] == "peft"


def test_no_path_of_the_machine_is_published(published, adapter, tiny_model):
    for path in (*published.iterdir(), *adapter.iterdir()):
        content = path.read_bytes()
        assert b"secret place" not in content, path
        assert str(tiny_model.parent).encode() not in content, path


def test_the_last_checkpoint_is_published_where_it_is_asked_for(runs, tmp_path):
    assert main(["full", "--runs", str(runs), "--dry_run", str(tmp_path / "x"), "--checkpoint", "last"]) == 0
    card = (tmp_path / "x" / "README.md").read_text()
    assert "Published is step 6, the newest checkpoint." in card
    assert "optimizer.pt" not in {path.name for path in (tmp_path / "x").iterdir()}


def one_line(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training.publish: ")
    return line


def test_a_folder_that_is_not_empty_is_refused(runs, tmp_path, capsys):
    (tmp_path / "kept").write_text("mine")
    assert main(["full", "--runs", str(runs), "--dry_run", str(tmp_path)]) == 2
    assert "exists and is not empty; name another folder" in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    (tmp_path / "empty").mkdir()
    assert main(["full", "--runs", str(runs), "--dry_run", str(tmp_path / "empty")]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ful", "--dry_run", "x"], "no run 'ful' in "),
        (["ful", "--dry_run", "x"], "runs there: full"),
        (["nothing like it", "--dry_run", "x"], "runs there: full, lora"),
        (["full"], "say where to: --repo user/name uploads, --dry_run FOLDER"),
    ],
)
def test_a_mistake_is_one_line(runs, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--runs", str(runs)]) == 2
    assert words in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("repo", "words"), [("model", "--repo user/model"), ("a/b/c", "cannot be a repository")])
def test_a_repository_that_cannot_be_is_one_line(runs, capsys, repo, words):
    assert main(["full", "--runs", str(runs), "--repo", repo]) == 1
    assert words in one_line(capsys)


@pytest.fixture
def copy(runs, tmp_path) -> Path:
    """A run that a test may break."""
    shutil.copytree(runs / "full", tmp_path / "runs" / "full")
    return tmp_path / "runs" / "full"


def test_a_run_without_a_best_checkpoint_says_what_it_has(copy, tmp_path, capsys):
    shutil.rmtree(copy / "checkpoints" / "best")
    assert main([str(copy), "--dry_run", str(tmp_path / "x")]) == 2
    assert "full (finished) has no checkpoints/best; --checkpoint last publishes checkpoint-6" in one_line(capsys)
    shutil.rmtree(copy / "checkpoints")
    assert main([str(copy), "--dry_run", str(tmp_path / "x"), "--checkpoint", "last"]) == 2
    assert "full has no whole checkpoint" in one_line(capsys)


def test_what_cannot_be_made_whole_is_not_made(copy, tmp_path, capsys):
    (copy / "checkpoints" / "best" / "config.json").write_text("{")
    assert main([str(copy), "--dry_run", str(tmp_path / "x")]) == 2
    assert "is broken" in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.fixture
def hub(monkeypatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setattr(upload, "HfApi", lambda token: fake)
    monkeypatch.setattr(upload, "get_token", lambda: "hf_token")
    return fake


def test_the_upload_is_the_dry_run(runs, published, hub, capsys):
    assert main(["full", "--runs", str(runs), "--repo", "me/model", "--private"]) == 0
    created, (_, repo, files, message, _) = hub.told
    assert created == ("create", "me/model", True, True)
    assert (repo, message) == ("me/model", "Publish full, best")
    assert files.keys() == {path.name for path in published.iterdir()}
    for name in files.keys() - {"README.md"}:
        assert files[name] == (published / name).read_bytes()
    assert files["README.md"].decode() == (published / "README.md").read_text().replace(
        "name = '.'", "name = 'me/model'"
    )
    assert capsys.readouterr().out == "https://hub/me/model: full, best\n"


def test_without_a_token_nothing_is_made(runs, hub, monkeypatch, capsys):
    monkeypatch.setattr(upload, "get_token", lambda: None)
    assert main(["full", "--runs", str(runs), "--repo", "me/model"]) == 1
    assert "no Hugging Face token: say `hf auth login`, or set HF_TOKEN" in one_line(capsys)
    assert hub.told == []


def test_without_a_network_one_line_says_so(runs, monkeypatch, capsys):
    """The real client, offline: conftest sets HF_HUB_OFFLINE."""
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    assert main(["full", "--runs", str(runs), "--repo", "me/model"]) == 1
    assert "the Hub cannot be reached (no network, or HF_HUB_OFFLINE is set); nothing was uploaded" in one_line(capsys)
