"""Runs in our own format among other files: where they lie, in an archive, damaged, or beside what nobody may open."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dashboard.sources import files, own_runs
from dashboard.sources.imported import Imported
from dashboard.studies import study_of
from training.record import reader
from training.record.writer import SCORE_COLUMNS, RunWriter, share_pairs

N = 400


def scored_run(runs: Path, name: str, right: int) -> None:
    """A finished run with the scores of N pairs, of which the first `right` are ranked right."""
    h = np.where(np.arange(N) < right, 5.0, -5.0)
    zeros, nine, no = np.zeros(N), np.full(N, 9), np.full(N, False)
    pairs = [f"pair {number}" for number in range(N)]
    columns = (pairs, h - 50, zeros - 60, zeros - 50, zeros - 60, nine, nine, no, no)
    writer = RunWriter(runs, name)
    writer.publish({"config": {"beta": 0.1, "loss_type": ["sigmoid"]}, "data": {"eval": "e" * 64, "n_eval": N}})
    metrics = {"eval/loss": 0.5, "eval/rewards/accuracies": right / N}
    writer.log(10, 1.0, metrics)
    writer.scores(10, pa.table(dict(zip(SCORE_COLUMNS.names, columns, strict=True)), schema=SCORE_COLUMNS))
    writer.best(10, "eval/rewards/accuracies", metrics)
    writer.finish("finished")


def write_runs(runs: Path) -> None:
    """Two finished runs with scores; their 400 shared pairs are of 100 prompts, four each."""
    scored_run(runs, "better", right=360)
    scored_run(runs, "worse", right=300)
    prompts = [[{"role": "user", "content": f"prompt {number // 4}"}] for number in range(N)]
    share_pairs(runs, "e" * 64, pa.table({"pair_id": [f"pair {number}" for number in range(N)], "prompt": prompts}))


def packed(folder: Path, *left_out: str) -> bytes:
    """A .zip of the folder, its own name first, hidden folders too."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in left_out:
                archive.write(path, path.relative_to(folder.parent))
    return out.getvalue()


def read(found: list[files.File]) -> Imported:
    return own_runs.read(own_runs.folders(found))


@pytest.fixture
def runs(tmp_path) -> Path:
    write_runs(tmp_path / "runs")
    return tmp_path / "runs"


def test_runs_on_disk_are_read_where_they_lie(runs):
    found = read(files.walk(runs)[0])
    assert [run.name for run in found.runs] == ["better", "worse"]
    assert found.folders == {"better": runs / "better", "worse": runs / "worse"}
    assert found.histories["better"]["eval/rewards/accuracies"].values[-1] == 0.9


def test_runs_in_an_archive_keep_their_scores_and_the_prompts_of_their_pairs(runs):
    """Four pairs of each prompt are one draw: without the prompts the comparison would be surer than it may be."""
    found = read(files.of_bytes("x.zip", packed(runs))[0])
    assert [(run.id, run.status) for run in found.runs] == [("better", "finished"), ("worse", "finished")]
    assert reader.score_steps(found.folders["better"]) == [10]
    (scores,) = study_of(found)["better"].scores.values()
    (on_disk,) = study_of(read(files.walk(runs)[0]))["better"].scores.values()
    assert len(np.unique(scores.prompts)) == len(np.unique(on_disk.prompts)) == N // 4
    assert np.array_equal(scores.h, on_disk.h)


def test_nothing_but_the_record_is_laid_out(runs):
    (runs / "better" / "evil.sh").write_text("x")
    (runs / "better" / "scores" / "step-x.parquet").write_text("x")
    (runs / "better" / "checkpoints").mkdir(exist_ok=True)
    (runs / "better" / "checkpoints" / "config.json").write_text("{}")
    folder = read(files.of_bytes("x.zip", packed(runs))[0]).folders["better"]
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "config.json", "metrics.jsonl", "scores/step-10.parquet", "summary.json",
    ]  # fmt: skip


def test_runs_of_one_name_in_two_folders_of_an_archive_stay_two(tmp_path):
    for parent in ("one", "two"):
        scored_run(tmp_path / "all" / parent, "same", right=300)
    found = read(files.of_bytes("x.zip", packed(tmp_path / "all"))[0])
    assert [run.id for run in found.runs] == ["same", "all/two/same"]
    assert found.folders["same"] != found.folders["all/two/same"]


@pytest.mark.parametrize("name", ["a b", "ü" * 90, "日" * 100, "a:b", "-"])
def test_a_folders_name_leads_nowhere(tmp_path, name):
    scored_run(tmp_path / "runs", "plain", right=300)
    (tmp_path / "runs" / "plain").rename(tmp_path / "odd")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in (tmp_path / "odd").rglob("*"):
            if path.is_file():
                archive.write(path, f"../../{name}/{path.relative_to(tmp_path / 'odd').as_posix()}")
    found = read(files.of_bytes("x.zip", out.getvalue())[0])
    (folder,) = found.folders.values()
    assert [run.status for run in found.runs] == ["finished"]
    assert folder.parent.name.startswith("prefscope-")


def test_a_damaged_file_in_an_archive_is_named_and_the_rest_of_its_run_is_read(runs):
    content = bytearray(packed(runs))
    place = content.index(b"better/scores/step-10.parquet") + 200
    content[place : place + 50] = bytes(50)
    found = read(files.of_bytes("x.zip", bytes(content))[0])
    assert [run.status for run in found.runs] == ["finished", "finished"]
    assert reader.score_steps(found.folders["worse"]) == [10]
    assert reader.score_steps(found.folders["better"]) == []


def test_a_run_without_a_record_yet_and_a_corrupt_one_are_listed_with_their_problem(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.json").write_text('{"format": 1, "config": {"beta": 0.1}}')
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{")
    (tmp_path / "bad" / "metrics.jsonl").write_text("")
    found = read(files.walk(tmp_path)[0])
    problems = {run.name: run.error for run in found.runs}
    assert set(problems) == {"new", "bad"}
    assert problems["bad"]


def test_a_models_folder_is_no_run_even_with_metrics_in_it(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    assert own_runs.folders(files.walk(tmp_path)[0]) == {}


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json", "samples.jsonl", "scores/step-10.parquet"])
def test_a_pipe_or_a_link_in_a_run_is_never_opened(runs, name):
    (runs / "better" / name).unlink(missing_ok=True)
    os.mkfifo(runs / "better" / name)
    (runs / "worse" / name).unlink(missing_ok=True)
    (runs / "worse" / name).symlink_to("/dev/zero")
    found = read(files.walk(runs)[0])
    assert len(found.runs) == 2
    for folder in found.folders.values():
        assert not (folder / name).exists()
        assert runs not in folder.parents


def test_a_link_in_place_of_the_scores_is_not_followed(runs, tmp_path):
    (runs / "better" / "scores").rename(tmp_path / "elsewhere")
    (runs / "better" / "scores").symlink_to(tmp_path / "elsewhere")
    assert reader.score_steps(read(files.walk(runs)[0]).folders["better"]) == []
