"""The oddities of real W&B exports, each in a small file of ours."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis import comparability, ranking, significance, verdict
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.sources import columns, table, wandb_runs
from dashboard.sources.imported import Corrections, SourceError
from training.record.schema import Run


def read(text: str | bytes, **corrections):
    content = text if isinstance(text, bytes) else text.encode()
    return wandb_runs.read(content, "export.csv", "abcd1234", Corrections(**corrections))


def test_configuration_is_told_from_metrics_by_name():
    (run,) = read("Name,beta,train/learning_rate,learning_rate,eval/loss,train_loss\na,0.1,0,2e-5,0.5,0.4\n").runs
    assert run.config == {"beta": 0.1, "learning_rate": 2e-5}
    assert run.metrics == {"train/learning_rate": 0, "eval/loss": 0.5, "train_loss": 0.4}
    assert (run.id, run.name, run.source) == ("abcd1234-1", "a", "export.csv")


def test_a_run_of_a_table_has_every_field_of_a_run():
    """It is made past the constructor: repr and == look at all fields."""
    (run,) = read("Name,beta,eval/loss\na,0.1,0.5\n").runs
    made = Run("abcd1234-1", "a", "export.csv", "unknown", {"beta": 0.1}, {"eval/loss": 0.5})
    assert (repr(run), run) == (repr(made), made)


@pytest.mark.parametrize(
    "column", ["eval/loss", "val_loss", "train/rewards/margins", "test_acc", "rewards/chosen", "epoch"]
)
def test_names_of_metrics(column):
    assert columns.is_metric(column)


@pytest.mark.parametrize("column", ["learning_rate", "beta", "eval_steps", "train_batch_size", "eval_strategy", "seed"])
def test_names_of_configuration(column):
    assert not columns.is_metric(column)


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
    (note,) = [note for note in found.notes if "1 names are used by several rows (2 in all)" in note]
    assert "every row is a run of its own" in note
    assert "group them as seeds" in note


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
    (run,) = read("Name,a,b,c,d,e,f\nx,true,FALSE,none,NA,12,TRUE\n").runs
    assert run.config == {"a": True, "b": False, "c": "none", "e": 12, "f": True}


def test_a_repeated_column_is_noted():
    found = read("Name,beta,beta,eval/loss\na,0.1,0.2,1\n")
    assert found.runs[0].config["beta"] == 0.1
    assert 'Column "beta" appears more than once: the first is used.' in found.notes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The file is empty"),
        ("Step,a - eval/loss,a - eval/loss__MIN\n1,2,3\n", "a W&B chart export"),
        ("Wall time,Step,Value\n1,2,3\n", "a TensorBoard scalar export"),
        ("text,score\n\"a\nb\",1\n", 'no column "Name" (its columns: text, score). It seems to be a list of texts'),
        ("Name,Step,eval/loss\na,1,2\n", "no W&B runs table"),
        ("Name,beta,eval/loss\n", "without a single run"),
        ("Name,x,y\n" + "a" * 30_000 + ",1,2\n", "One cell has 30,000 characters"),
        ("Name," + ",".join(map(str, range(3_000))) + "\na\n", "3,001 columns, the limit is 2,000"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary file"),
        ("Name,a,b\n" + '"' + "x" * 200_000 + '",1,2\n', "One cell has 200,000 characters"),
        ("Name,a,b\n" + '"' + "x\n" * 200_000 + ",1,2\n", "no readable CSV"),
        ("Name,a\nx,1\n", "neither metrics nor configuration"),
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


@given(st.text('Name,Stae/los1;\t"\n -', max_size=80))
def test_any_text_is_read_or_refused_in_one_sentence(text):
    try:
        found = read("Name,State,eval/loss,beta\n" + text)
    except SourceError as problem:
        assert "\n" not in str(problem)
    else:
        assert len({run.id for run in found.runs}) == len(found.runs) > 0


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


HEADERS = [
    ["Name", "State", "Runtime", "beta", "eval/loss"],
    ["eval/loss", "Name", "beta", "State", "Runtime"],
    ["State", "beta", "Runtime", "eval/loss", "Name"],
]


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_columns_are_found_by_name_in_any_order(header):
    cells = {"Name": "a", "State": "finished", "Runtime": "12", "beta": "0.1", "eval/loss": "0.5"}
    (run,) = read(",".join(header) + "\n" + ",".join(cells[name] for name in header)).runs
    assert (run.name, run.status, run.seconds, run.config, run.metrics) == (
        "a", "finished", 12, {"beta": 0.1}, {"eval/loss": 0.5},
    )  # fmt: skip


@pytest.mark.parametrize(
    "export",
    [
        "Name,State,beta,eval/loss\r\na,crashed,0.1,0.66\r\n",
        "\ufeffName,State,beta,eval/loss\na,crashed,0.1,0.66",
        '"Name","State","beta","eval/loss"\n"a","crashed","0.1","0.66"\n',
        "Name\tState\tbeta\teval/loss\na\tcrashed\t0.1\t0.66\n",
        "Name;State;beta;eval/loss\na;crashed;0,1;0,66\n",
        "Name;State;beta;eval/loss\n\n;;;\na;crashed;0.1;0.66\n;;;\n",
    ],
)
def test_one_export_in_any_dress_is_one_run(export):
    for content in (export.encode(), export.removeprefix("\ufeff").encode("utf-16")):
        (run,) = read(content).runs
        assert (run.name, run.status, run.error) == ("a", "failed", "crashed, as W&B says")
        assert (run.config, run.metrics) == ({"beta": 0.1}, {"eval/loss": 0.66})


def test_numbers_may_be_quoted_plain_decimals_or_exponents():
    text = 'Name,learning_rate,eval/loss\na,"0.0000001","0.5"\nb,1e-7,5e-1\nc,"1E-07",.5\n'
    runs = read(text).runs
    assert {run.config["learning_rate"] for run in runs} == {1e-7}
    assert {run.metrics["eval/loss"] for run in runs} == {0.5}


def test_the_schedulers_last_value_is_never_the_runs_learning_rate():
    """W&B's `train/learning_rate` is 0 at the end of a linear schedule; without a `learning_rate` it is not known."""
    (run,) = read("Name,beta,train/learning_rate,eval/loss\na,0.1,0,0.5\n").runs
    assert "learning_rate" not in run.config
    assert run.metrics["train/learning_rate"] == 0


def test_a_column_empty_in_every_row_is_unknown_not_equal():
    runs = read("Name,seed,model,eval/loss,eval/f1\na,,,0.5,\nb,,,0.6,\n").runs
    assert [(run.config, run.metrics) for run in runs] == [({}, {"eval/loss": 0.5}), ({}, {"eval/loss": 0.6})]


def test_a_dash_is_null_in_notes_and_a_value_elsewhere():
    (run,) = read("Name,Notes,suffix,eval/loss\na,-,-,0.5\n").runs
    assert (run.notes, run.config) == ((), {"suffix": "-"})


def test_what_excel_writes_beside_na_is_unknown_and_said():
    found = read("Name,long,eval/loss\na,TRUE,1\nb,NA (long run,1\nc,NA,1\nd,nap,1\n")
    assert [run.config.get("long") for run in found.runs] == [True, None, None, "nap"]
    assert [note for note in found.notes if "Row" in note] == [
        'Row 2, column "long": "NA (long run" is taken as not available.'
    ]


def test_one_bad_cell_does_not_turn_a_configuration_column_into_text():
    """`none` and `auto` are usual words where a number may stand; `oops` is not."""
    found = read("Name,beta,clip,eval/loss\na,0.1,1,1\nb,oops,none,1\nc,0.3,2,1\nd,0.4,auto,1\ne,0.5,3,1\n")
    assert [run.config.get("beta") for run in found.runs] == [0.1, None, 0.3, 0.4, 0.5]
    assert [run.config["clip"] for run in found.runs] == [1, "none", 2, "auto", 3]
    assert 'Row 2, column "beta": "oops" is no number, as the others are; it is left out.' in found.notes


def test_many_bad_cells_are_counted_not_listed():
    text = "Name,beta,eval/loss\n" + "a,0.1,0.5\n" * 100 + "a,0.1,oops\n" * 30
    notes = [note for note in read(text).notes if "oops" in note or "more cells" in note]
    assert len(notes) == 21
    assert notes[-1] == "10 more cells do not fit their columns."


def test_python_and_nested_json_stay_text():
    (run,) = read('Name,a,b,eval/loss\nx,"{\'r\': 16}","{""r"": 16}",0.5\n').runs
    assert run.config == {"a": "{'r': 16}", "b": '{"r": 16}'}


def test_the_same_id_twice_is_one_run_and_equal_names_are_not():
    found = read("Name,ID,eval/loss\na,x1,0.5\na,x2,0.6\na,x1,0.5\n")
    assert [run.metrics["eval/loss"] for run in found.runs] == [0.5, 0.6]
    assert any("1 rows repeat the ID of a row above" in note for note in found.notes)


def test_several_sweeps_and_budgets_stay_with_their_runs():
    runs = read("Name,Sweep,max_steps,eval/loss\na,s1,100,1\nb,s2,500,1\nc,,,1\n").runs
    assert [(run.sweep, run.max_steps) for run in runs] == [("s1", 100), ("s2", 500), (None, None)]


def test_ragged_rows_are_read_and_said():
    found = read("Name,beta,eval/loss\na,0.1\nb,0.2,0.5\n")
    assert [run.metrics for run in found.runs] == [{}, {"eval/loss": 0.5}]
    assert any("1 rows have fewer or more cells than the header" in note for note in found.notes)


def test_other_spellings_become_wandbs_keys_and_are_noted():
    found = read("Name,beta,eval_loss,eval_rewards/margins,my_f1\na,0.1,0.5,1.5,0.9\n")
    assert found.runs[0].metrics == {"eval/loss": 0.5, "eval/rewards/margins": 1.5, "my_f1": 0.9}
    assert any('"eval_loss" is "eval/loss", "eval_rewards/margins"' in note for note in found.notes)


@pytest.mark.parametrize("header", ["eval_loss,eval/loss", "eval/loss,eval_loss"])
def test_of_two_columns_with_one_meaning_the_one_spelt_as_wandb_does_is_used(header):
    values = {"eval_loss": "0.9", "eval/loss": "0.5"}
    found = read(f"Name,beta,{header}\na,0.1," + ",".join(values[name] for name in header.split(",")))
    assert found.runs[0].metrics == {"eval/loss": 0.5}
    assert 'Column "eval_loss" means "eval/loss", which another column gives: it is left out.' in found.notes


def test_the_user_says_what_a_column_is():
    text = "Name,quality,eval/temperature,strength,eval/loss\na,0.7,0.2,0.1,0.5\n"
    (run,) = read(
        text,
        config=frozenset({"eval/temperature"}),
        metrics=frozenset({"quality"}),
        renamed={"strength": "eval/rewards/margins"},
    ).runs
    assert run.config == {"eval/temperature": 0.2}
    assert run.metrics == {"quality": 0.7, "eval/rewards/margins": 0.1, "eval/loss": 0.5}


def test_the_columns_that_a_correction_may_name_are_told():
    assert read("Name,beta,eval/loss\na,0.1,0.5\n").named == {"Name", "beta", "eval/loss"}


@pytest.mark.parametrize("cell", ["[1, 2]", "[]", "NaN", "inf", "1e400", "text"])
def test_a_count_of_steps_that_is_none_takes_no_file_down(cell):
    runs = read(f'Name,max_steps,train/global_step,eval/loss\na,"{cell}",{cell if "," not in cell else 1},0.5\n').runs
    assert (runs[0].max_steps, runs[0].metrics["eval/loss"]) == (None, 0.5)


def test_a_time_of_creation_is_seconds_since_1970():
    """2025-05-20T00:05:54Z is 20,228 days (1,747,699,200 s) and 354 s after 1970."""
    runs = read("Name,Created,eval/loss\na,2025-05-20T00:05:54.000Z,1\nb,yesterday,1\n").runs
    assert [run.created for run in runs] == [1_747_699_200 + 354, None]


def test_runs_made_without_the_constructor_are_runs():
    import pickle
    from dataclasses import replace

    from training.record.schema import Run

    (run,) = read("Name,State,beta,eval/loss\na,finished,0.1,0.5\n").runs
    same = Run(
        id="abcd1234-1", name="a", source="export.csv", status="finished", config={"beta": 0.1},
        metrics={"eval/loss": 0.5},
    )  # fmt: skip
    assert run == same == replace(run) == pickle.loads(pickle.dumps(run))
    assert repr(run) == repr(same)


def test_real_oddities_are_told(shared_data):
    """Excel lost `)` and a comma in one header and wrote NA; 17 of its 18 runs crashed."""
    folder = shared_data / "wandb_runs"
    crashed = read((folder / "torchcell_excel_edited_crashed.csv").read_bytes())
    assert [run.status for run in crashed.runs].count("failed") == 17
    assert sum("NA (long run" in note for note in crashed.notes) == 2
    assert "adapters.io_process_worker_ratio" not in crashed.runs[0].config
    assert crashed.runs[17].config["adapters.io_process_worker_ratio"] == 0.2
    gan = read((folder / "alighieri_assgan.csv").read_bytes())
    assert sum(math.isnan(run.metrics.get("train/loss_g", 0)) for run in gan.runs) > 0
    assert {run.config["model_opts.args.classification_loss"] for run in gan.runs} == {False}
    seeds = read((folder / "djswanevelder_v1_endtime.csv").read_bytes())
    assert len({run.id for run in seeds.runs}) == 246
    assert seeds.runs[0].config["data.classes"] == ["ruddy_turnstone", "missile", "limpkin"]
