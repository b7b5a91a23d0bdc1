"""A real project's sweep file runs as it is, on data in its columns and a tiny GPT-2."""

import json

import pytest
from recipe_data import gpt2, orca, texts, write

from training.record import reader


@pytest.fixture(scope="module")
def swept(tmp_path_factory, shared_data):
    """Two trials of the file, with the recipe that its own project became."""
    from training.sweep import main

    folder = tmp_path_factory.mktemp("orca")
    rows = orca()
    words = {
        "config": "gpt2-orca",
        "count": 2,
        "workers": 1,
        "seed": 27,  # draws the shortest runs: 100 steps of 2 and of 4 pairs
        "runs": folder / "runs",
        "model_name_or_path": gpt2(folder / "model", texts(rows)),
        "dataset_name": write(folder / "data", rows),
        "max_length": 64,
        "sample_max_new_tokens": 2,
        "eval_steps": 0.5,
        "save_steps": 0.5,
    }
    status = main([str(shared_data / "sweeps" / "orca_sweep_config.yaml"), *(f"--{k}={v}" for k, v in words.items())])
    return folder / "runs", status


def test_its_trials_are_trained_with_what_they_drew(swept):
    """beta, batch, accumulation and steps from the file's lists, the learning rate between e^-13.8155 and e^-6.9078."""
    runs, status = swept
    assert status == 0
    folders = sorted(path for path in runs.iterdir() if not path.name.startswith("."))
    assert len(folders) == 2
    for folder in folders:
        run = reader.read_run(folder)
        assert run.status in ("finished", "pruned")
        assert run.max_steps in (100, 200, 500)
        assert run.config["beta"] in (0.01, 0.1, 0.2, 0.5)
        assert 1e-6 * 0.999 <= run.config["learning_rate"] <= 1e-3 * 1.001
        assert run.config["per_device_train_batch_size"] in (2, 4, 8)
        assert run.sweep is not None


def test_its_raw_loss_is_replaced_by_the_loss_at_a_common_beta(swept):
    """The file asks for eval/loss while beta varies: the geometric median of 0.01, 0.1, 0.2 and 0.5 is 0.141."""
    runs, _ = swept
    (sweep,) = (runs / ".shared" / "sweeps").glob("*/sweep.json")
    objective = json.loads(sweep.read_text())["objective"]
    assert objective["metric"] == "eval/common_beta_loss"
    assert objective["common_beta"] == pytest.approx(0.141, abs=5e-4)
    for folder in (path for path in runs.iterdir() if not path.name.startswith(".")):
        assert "eval/common_beta_loss" in reader.read_run(folder).metrics


def test_the_file_is_kept_byte_for_byte(swept, shared_data):
    runs, _ = swept
    (kept,) = (runs / ".shared" / "sweeps").glob("*/sweep.yaml")
    assert kept.read_bytes() == (shared_data / "sweeps" / "orca_sweep_config.yaml").read_bytes()
