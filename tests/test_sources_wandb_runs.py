"""The oddities of real W&B exports, each in a small file of ours."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis import comparability, ranking, significance, verdict
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.sources import table, wandb_runs
from dashboard.sources.imported import SourceError


def read(text: str | bytes):
    content = text if isinstance(text, bytes) else text.encode()
    return wandb_runs.read(content, "export.csv", "abcd1234")


def test_configuration_is_told_from_metrics_by_name():
    (run,) = read("Name,beta,train/learning_rate,learning_rate,eval/loss,train_loss\na,0.1,0,2e-5,0.5,0.4\n").runs
    assert run.config == {"beta": 0.1, "learning_rate": 2e-5}
    assert run.metrics == {"train/learning_rate": 0, "eval/loss": 0.5, "train_loss": 0.4}
    assert (run.id, run.name, run.source) == ("abcd1234-1", "a", "export.csv")


@pytest.mark.parametrize(
    "column", ["eval/loss", "val_loss", "train/rewards/margins", "test_acc", "rewards/chosen", "epoch"]
)
def test_names_of_metrics(column):
    assert wandb_runs.is_metric(column)


@pytest.mark.parametrize("column", ["learning_rate", "beta", "eval_steps", "train_batch_size", "eval_strategy", "seed"])
def test_names_of_configuration(column):
    assert not wandb_runs.is_metric(column)


def test_nan_is_diverged_and_empty_is_not_logged():
    diverged, silent = read("Name,beta,eval/loss\na,0.1,NaN\nb,0.1,\n").runs
    assert math.isnan(diverged.metrics["eval/loss"])
    assert "eval/loss" not in silent.metrics


def test_one_bad_cell_does_not_turn_a_column_into_text():
    found = read("Name,beta,eval/loss\na,0.1,0.5\nb,0.1,oops\nc,0.2,0.7\n")
    assert [run.metrics.get("eval/loss") for run in found.runs] == [0.5, None, 0.7]
    assert 'Row 2, column "eval/loss": "oops" is no number; it is left out.' in found.notes


def test_a_switch_named_like_a_metric_is_configuration():
    (run,) = read("Name,beta,classification_loss\na,0.1,true\n").runs
    assert run.config["classification_loss"] is True
    assert run.metrics == {}


def test_semicolons_with_decimal_commas():
    (run,) = read("Name;beta;eval/loss\r\na;0,1;0,66\r\n").runs
    assert run.config["beta"] == 0.1
    assert run.metrics["eval/loss"] == 0.66


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8", "cp1252"])
def test_encodings(encoding):
    (run,) = read("Name\tbeta\teval/loss\nmüde\t0.1\t0.5".encode(encoding)).runs
    assert run.name == "müde"
    assert run.metrics == {"eval/loss": 0.5}


def test_equal_names_are_different_runs_and_said_to_be():
    found = read("Name,seed,eval/loss\na,1,0.5\na,2,0.6\n")
    assert [run.id for run in found.runs] == ["abcd1234-1", "abcd1234-2"]
    assert "1 names are used by several rows (seeds?): every row is a run of its own." in found.notes


def test_states():
    text = "Name,State,eval/loss\na,finished,1\nb,crashed,1\nc,running,1\nd,killed,1\ne,odd,1\n"
    assert [run.status for run in read(text).runs] == ["finished", "failed", "running", "stopped", "unknown"]
    assert read(text).runs[1].error == "crashed, as W&B says"


def test_a_missing_state_is_unknown_not_finished():
    found = read("Name,beta,eval/loss\na,0.1,0.5\n")
    assert found.runs[0].status == "unknown"
    assert any('no column "State"' in note for note in found.notes)


def test_empty_notes_are_written_as_a_dash():
    dash, text = read("Name,Notes,eval/loss\na,-,1\nb,too hot,1\n").runs
    assert (dash.notes, text.notes) == ((), ("too hot",))


def test_truth_values_and_categories():
    (run,) = read("Name,a,b,c,d,e\nx,true,FALSE,none,NA,12\n").runs
    assert run.config == {"a": True, "b": False, "c": "none", "e": 12}


def test_a_repeated_column_is_noted():
    found = read("Name,beta,beta,eval/loss\na,0.1,0.2,1\n")
    assert found.runs[0].config["beta"] == 0.1
    assert 'Column "beta" appears more than once: the first is used.' in found.notes


def test_pairs_come_from_runtime_and_speed():
    """111.3291 s x 11.551 per second = 1,285.9624, within 111.3291 * 0.0005 + 11.551 * 0.00005 = 0.056 of 1,286."""
    assert wandb_runs.pairs({"eval/runtime": 111.3291, "eval/samples_per_second": 11.551}) == 1286
    assert wandb_runs.pairs({"eval/runtime": 10.0, "eval/samples_per_second": 10.25}) is None
    assert wandb_runs.pairs({"eval/runtime": 5000.0, "eval/samples_per_second": 10.0}) is None
    assert wandb_runs.pairs({"eval/runtime": math.nan, "eval/samples_per_second": 1.0}) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The file is empty"),
        ("Step,a - eval/loss,a - eval/loss__MIN\n1,2,3\n", "a W&B chart export"),
        ("Wall time,Step,Value\n1,2,3\n", "a TensorBoard scalar export"),
        ("text,score\n\"a\nb\",1\n", 'no column "Name" (its columns: text, score)'),
        ("Name,Step,eval/loss\na,1,2\n", "no W&B runs table"),
        ("Name,beta,eval/loss\n", "without a single run"),
        ("Name,x\n" + "a" * 30_000 + ",1\n", "One cell has 30,000 characters"),
        ("Name," + ",".join(map(str, range(3_000))) + "\na\n", "3,001 columns, the limit is 2,000"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary file"),
        ("Name,a\n" + '"' + "x" * 200_000 + '",1\n', "no readable CSV"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused_in_one_sentence(text, reason):
    with pytest.raises(SourceError) as problem:
        read(text)
    assert reason in str(problem.value)
    assert "\n" not in str(problem.value)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content):
    try:
        wandb_runs.read(content, "x.csv", "p")
    except SourceError as problem:
        assert str(problem)


_CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=8))
def test_any_cells_become_runs(cells):
    import csv
    import io

    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("Name", "beta", "eval/loss"), *(("a", *pair) for pair in cells)])
    content = out.getvalue().encode()
    if b"\0" in content:
        return
    assert len(wandb_runs.read(content, "x.csv", "p").runs) == len(cells)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_back(value):
    plain = table.Table(("a",), (), decimal_comma=False)
    comma = table.Table(("a",), (), decimal_comma=True)
    assert plain.number(repr(value)) == value
    assert comma.number(repr(value).replace(".", ",")) == value


@pytest.mark.parametrize("text", ["", "-", "1_000", "0x10", "1.2.3", "١٢", "12 apples", "e5"])
def test_what_is_no_number_is_none(text):
    assert table.Table(("a",), (), decimal_comma=False).number(text) is None


def test_the_orca_export_tells_its_truth(shared_data):
    """Section 4 of the reference on the real file."""
    content = (shared_data / "wandb_runs" / "orca_sweep_export.csv").read_bytes()
    found = wandb_runs.read(content, "orca.csv", "p")
    assert found.notes == ()
    assert len(found.runs) == 14
    assert {run.n_eval for run in found.runs} == {1286}
    assert {run.status for run in found.runs} == {"finished"}
    (group,) = comparability.evaluation_sets(found.runs)
    names = {run.id: run.name for run in found.runs}
    by_loss = verdict.answer(group, EVAL_LOSS, "last")
    by_accuracy = verdict.answer(group, EVAL_ACCURACY, "last")
    assert names[by_loss.best] == "daily-sweep-5"
    assert names[by_accuracy.best] == "ruby-sweep-8"
    assert len(by_accuracy.tied) == 9
    ranks = {names[run]: rank for run, rank in ranking.rank(found.runs, EVAL_LOSS, "last").items()}
    assert (ranks["daily-sweep-1"], ranks["magic-sweep-7"]) == (8, 12)
    worse = [run.name for run in found.runs if comparability.worse_than_untrained(run, run.metrics[EVAL_LOSS])]
    assert len(worse) == 4
    assert significance.share_of_batches(ranking.proportions(found.runs, "last").values()) > 0


def test_every_real_csv_is_read_or_refused_in_one_sentence(shared_data):
    outcomes = {}
    for path in sorted(shared_data.glob("*/*.csv")):
        try:
            outcomes[path.name] = len(wandb_runs.read(path.read_bytes(), path.name, "p").runs)
        except SourceError as problem:
            outcomes[path.name] = str(problem)
    assert outcomes["djswanevelder_v1_endtime.csv"] == 246
    assert outcomes["torchcell_excel_edited_crashed.csv"] == 18
    assert outcomes["alighieri_assgan.csv"] == 21
    assert "chart export" in outcomes["druidowm_nanogpt.csv"]
    assert "TensorBoard" in outcomes["fawa_DPO_curves_EvalLoss.csv"]


def test_a_list_written_as_json_is_a_list_and_anything_else_stays_text():
    (run,) = read('Name,loss_type,lora,tags_of,odd,eval/loss\na,"[""sigmoid"",""sft""]","[1,2]","[[1]]",[x],0.5\n').runs
    assert run.config == {"loss_type": ["sigmoid", "sft"], "lora": [1, 2], "tags_of": "[[1]]", "odd": "[x]"}
    assert comparability.loss_type(run.config) == "sigmoid+sft"


def test_a_run_that_logged_once_is_ranked():
    """`_step` counts calls of wandb.log from 0; it is no optimizer step."""
    (run,) = read("Name,State,_step,eval/loss\na,finished,0,0.5\n").runs
    assert ranking.rank([run], EVAL_LOSS, "last") == {run.id: 1}
