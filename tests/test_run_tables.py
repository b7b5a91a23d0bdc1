"""Tables that people keep by hand: results of several runs, and one run's table from a notebook or a model card."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import run_tables
from dashboard.sources.imported import Corrections, SourceError


def read(text: str, **corrections):
    return run_tables.read(text.encode(), "results.csv", "p", Corrections(**corrections))


def points(found, run, key):
    series = found.histories[run.id][key]
    return list(zip(series.steps, series.epochs, series.values, strict=True))


TRIALS = (
    "trial;loss-1;rewards/accuracies-1;loss-2;rewards/accuracies-2\n"
    '"(learning_rate=1e-6,  beta=0.1, lr_scheduler_type=""linear"")";24,19;0,66;23,54;0,78\n'
    "\"(learning_rate=5e-6, beta=0.10, lr_scheduler_type='cosine')\";22,04;0,68;;\n"
)


def test_settings_written_as_one_text_are_configuration():
    first, second = read(TRIALS).runs
    assert first.config == {"learning_rate": 1e-6, "beta": 0.1, "lr_scheduler_type": "linear"}
    assert second.config == {"learning_rate": 5e-6, "beta": 0.1, "lr_scheduler_type": "cosine"}
    assert (first.name, first.status, first.n_eval) == ("trial 1", "unknown", None)


def test_numbered_columns_are_a_curve_over_evaluations_and_an_empty_one_did_not_happen():
    found = read(TRIALS)
    first, second = found.runs
    assert points(found, first, "eval/loss") == [(1, 1.0, 24.19), (2, 2.0, 23.54)]
    assert points(found, second, "eval/loss") == [(1, 1.0, 22.04)]
    assert first.metrics == {"eval/loss": 23.54, "eval/rewards/accuracies": 0.78}
    assert (first.best_step, first.epoch, second.epoch) == (2, 2.0, 1.0)
    assert any("the number is taken as epoch and step" in note for note in found.notes)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')", "(beta=0.1", "(beta=f(1))", "(beta=0.1, beta)", "beta", "(beta=[1,2])", "(=1)",
        "(beta=0.1)(x=2)", "(beta=__import__('os'))", "()", "((((((", "(beta='a)",
    ],
)  # fmt: skip
def test_what_is_no_plain_list_of_settings_is_a_name(text):
    (run,) = read(f'trial,eval_loss\n"{text}",0.5\n').runs
    assert (run.name, run.config) == (text, {})


@given(st.text("(),=\"'ab1.- \n", max_size=60))
def test_any_settings_are_read_or_kept_as_a_name(text):
    cell = text.replace('"', '""')
    (run,) = read(f'trial,eval_loss\n"{cell}",0.5\n').runs
    assert run.metrics == {"eval/loss": 0.5}
    assert run.name


NOTEBOOK = (
    "Step\tTraining Loss\tValidation Loss\tRewards/chosen\tRewards/accuracies\n"
    "100\tNo log\t0.69\t0.01\t0.51\n"
    "200\t0.600000\t0.65\t0.02\t0.6\n"
)


def test_a_notebooks_table_is_one_runs_curve():
    """Hugging Face's notebook table: `No log` is where the training loss was not logged yet."""
    found = read(NOTEBOOK)
    (run,) = found.runs
    assert (run.name, run.step, run.best_step) == ("results", 200, 200)
    assert [(step, value) for step, _, value in points(found, run, "eval/loss")] == [(100, 0.69), (200, 0.65)]
    assert [(step, value) for step, _, value in points(found, run, "train/loss")] == [(200, 0.6)]
    assert all(math.isnan(epoch) for _, epoch, _ in points(found, run, "eval/rewards/chosen"))
    assert run.best == {"eval/loss": 0.65, "eval/rewards/chosen": 0.02, "eval/rewards/accuracies": 0.6}
    assert not any("No log" in note for note in found.notes)


CARD = """---
license: mit
---
# A model

| Hyper-parameter | Value |
|---|---|
| a \\| b | 1 |

| Training Loss | Epoch  | Step | Validation Loss | Rewards/accuracies |
|:-------------:|:------:|:----:|:---------------:|:------------------:|
| 0.5           | 1.0    | 200  | **0.60**        | 0.72               |
| 0.6           | 0.5    | 100  | 0.61            | 0.7                |

More text.
"""


def test_a_model_cards_table_is_found_between_its_text():
    found = read(CARD)
    (run,) = found.runs
    assert points(found, run, "eval/loss") == [(100, 0.5, 0.61), (200, 1.0, 0.6)]
    assert run.metrics == {"train/loss": 0.5, "eval/loss": 0.6, "eval/rewards/accuracies": 0.72}
    assert "results.csv has 2 tables: the first that shows runs is read." in found.notes


def test_epochs_stand_in_for_steps_and_it_is_said():
    found = read("Epoch,Training Loss,Validation Loss\n1,0.6,0.7\n2,0.5,0.65\n")
    assert points(found, found.runs[0], "eval/loss") == [(1, 1.0, 0.7), (2, 2.0, 0.65)]
    assert "The table has no steps: the epoch is taken in their place." in found.notes


def test_epochs_that_are_not_whole_are_numbered():
    found = read("Epoch,Validation Loss\n0.5,0.7\n1.0,0.65\n")
    assert points(found, found.runs[0], "eval/loss") == [(1, 0.5, 0.7), (2, 1.0, 0.65)]
    assert "Epochs are not whole: the rows are numbered instead." in found.notes


def test_a_repeated_step_keeps_the_later_row_and_says_so():
    found = read("Step,Validation Loss\n1,0.7\n1,0.6\nx,0.5\n-3,0.5\ninf,0.1\n")
    assert [(step, value) for step, _, value in points(found, found.runs[0], "eval/loss")] == [(1, 0.6)]
    assert "4 rows have no step of their own and are left out." in found.notes


@pytest.mark.parametrize("column", ["run", "Name", "MODEL", "trial", "Experiment", "run_name"])
def test_a_spreadsheet_of_results(column):
    found = read(f"{column},beta,lr,eval loss,rewards/accuracies\na,0.1,1e-5,0.5,82.9%\nb,0.2,1e-5,0.6,80 %\n".replace(
        "Name,", "name,"
    ))  # fmt: skip
    assert [run.name for run in found.runs] == ["a", "b"]
    assert found.runs[0].config == {"beta": 0.1, "learning_rate": 1e-5}
    assert [run.metrics for run in found.runs] == [
        {"eval/loss": 0.5, "eval/rewards/accuracies": 0.829},
        {"eval/loss": 0.6, "eval/rewards/accuracies": 0.8},
    ]
    assert {(run.status, run.n_eval) for run in found.runs} == {("unknown", None)}
    assert any("does not say whether its runs finished" in note for note in found.notes)


def test_rows_without_a_name_are_numbered_and_numbers_are_no_names():
    assert [run.name for run in read("beta,eval loss\n0.1,0.5\n0.2,0.6\n").runs] == ["row 1", "row 2"]
    assert [run.name for run in read("run,beta,eval loss\n7,0.1,0.5\n,0.2,0.6\n").runs] == ["run 7", "row 2"]


def test_accuracies_above_one_are_percent_and_said_to_be():
    found = read("run,eval rewards/accuracies\na,82.9\nb,0\n")
    assert [run.metrics["eval/rewards/accuracies"] for run in found.runs] == [0.8290000000000001, 0.0]
    assert any("they are taken as percent" in note for note in found.notes)


def test_an_accuracy_just_above_one_among_shares_is_left_as_it_is():
    found = read("run,eval rewards/accuracies\na,1.2\nb,0.7\n")
    assert [run.metrics["eval/rewards/accuracies"] for run in found.runs] == [1.2, 0.7]


def test_percentages_with_decimal_commas():
    (run,) = read("run;beta;rewards/accuracies\na;0,1;82,9%\n").runs
    assert (run.config, run.metrics) == ({"beta": 0.1}, {"eval/rewards/accuracies": 0.829})


def test_rouge_1_and_rouge_2_are_no_evaluations():
    found = read("run,beta,rouge-1,rouge-2,eval_loss\na,0.1,0.3,0.2,0.5\n")
    assert found.histories == {}
    assert found.runs[0].config == {"beta": 0.1, "rouge-1": 0.3, "rouge-2": 0.2}


def test_corrections_win_and_the_names_that_they_may_use_are_told():
    found = read(
        "run,rouge-1,strength,eval_loss\na,0.3,0.1,0.5\n",
        metrics=frozenset({"rouge-1"}), renamed={"strength": "eval/rewards/margins"},
    )  # fmt: skip
    assert found.runs[0].metrics == {"rouge-1": 0.3, "eval/rewards/margins": 0.1, "eval/loss": 0.5}
    assert found.named == {"run", "rouge-1", "strength", "eval_loss"}


def test_a_numbered_metric_can_be_renamed_by_what_its_columns_share():
    found = read(TRIALS, renamed={"loss": "eval/ipo_loss"})
    assert set(found.histories["p-1"]) == {"eval/ipo_loss", "eval/rewards/accuracies"}
    assert {"loss", "loss-1", "loss-2"} <= found.named


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('text,score\n"a\nb",1\n', "it seems to be a list of texts and scores"),
        ("prompt,chosen,rejected\na,b,c\n", "it seems to be preference pairs"),
        ("Step,a - eval/loss,a - eval/loss__MIN\n1,2,3\n", "it seems to be a W&B chart export"),
        ("Wall time,Step,Value\n1,2,3\n", "it seems to be a TensorBoard scalar export"),
        ("instruction,input,output\na,b,c\n", "it seems to be instructions and answers"),
        ("city,people\na,1\n", "no column is a metric known here"),
        ("Step,Epoch\n1,2\n", "no column is a metric known here"),
        ("eval_loss\n1\n", "it has a single column"),
        ("run,eval_loss\n", "without a single row"),
        ("", "The file is empty"),
        ("# A card\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "no column is a metric known here"),
    ],
)
def test_what_is_no_table_of_runs_is_refused_in_one_sentence(text, reason):
    with pytest.raises(SourceError) as problem:
        read(text)
    assert reason in str(problem.value)
    assert "\n" not in str(problem.value)


_LINES = st.lists(st.lists(st.text("ab1.,%|-\"' ", max_size=6), max_size=4), max_size=5)
_HEADERS = st.sampled_from(
    ["run,eval_loss,beta", "Step,Validation Loss", "trial,loss-1,loss-2", "Epoch,loss", "|loss|"]
)


@given(_HEADERS, st.sampled_from([",", ";", "\t", "|"]), _LINES)
def test_any_table_is_read_or_refused(header, separator, lines):
    text = "\n".join([header.replace(",", separator), "|-|-|", *(separator.join(row) for row in lines)])
    for content in (text, text.replace("|-|-|\n", "")):
        try:
            found = read(content)
        except SourceError as problem:
            assert "\n" not in str(problem)
        else:
            assert len({run.id for run in found.runs}) == len(found.runs) > 0
            assert found.histories.keys() <= {run.id for run in found.runs}


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content):
    try:
        run_tables.read(content, "x.csv", "p")
    except SourceError as problem:
        assert str(problem)


def test_the_ipo_table_is_read_as_its_author_meant_it(shared_data):
    """23 trials; trial 4 had three evaluations, its last loss 19,7 and margin 0,11; trial 20 had ten."""
    content = (shared_data / "wandb_runs" / "cluebbers_hyperparameters_ipo.csv").read_bytes()
    found = run_tables.read(content, "ipo.csv", "p")
    assert len(found.runs) == 23
    fourth, twentieth = found.runs[3], found.runs[19]
    assert fourth.config == {
        "learning_rate": 5e-6, "warmup_ratio": 0.1, "weight_decay": 0, "beta": 0.1, "lr_scheduler_type": "linear",
    }  # fmt: skip
    assert fourth.metrics == {"eval/loss": 19.7, "eval/rewards/accuracies": 0.68, "eval/rewards/margins": 0.11}
    assert points(found, fourth, "eval/loss") == [(1, 1.0, 21.69), (2, 2.0, 20.31), (3, 3.0, 19.7)]
    assert len(found.histories[twentieth.id]["eval/loss"]) == 10
    assert not any("row" in note.lower() and "no number" in note for note in found.notes)


def test_every_other_real_csv_is_refused_by_what_it_is(shared_data):
    for path in sorted(shared_data.glob("*/*.csv")):
        if path.name != "cluebbers_hyperparameters_ipo.csv":
            with pytest.raises(SourceError, match=r"it seems to be|no column is a metric"):
                run_tables.read(path.read_bytes(), path.name, "p")


@pytest.mark.parametrize(
    ("column", "n"),
    [
        ("rewards/accuracies (640 pairs)", 640), ("Reward accuracy (n = 1,286)", 1286),
        ("reward accuracy (50 eval pairs)", 50), ("rewards/accuracies (512 examples) ↑", 512),
        ("rewards/accuracies (7 samples)", 7), ("rewards/accuracies (%)", None),
        ("rewards/accuracies (seed 3)", None), ("rewards/accuracies (n=0)", None), ("rewards/accuracies ↑", None),
    ],
)  # fmt: skip
def test_what_stands_in_parenthesis_after_a_metric_is_no_part_of_it_but_may_count_its_pairs(column, n):
    found = read(f'run,beta,"{column}"\na,0.1,0.75\n')
    assert (found.runs[0].metrics, found.runs[0].n_eval) == ({"eval/rewards/accuracies": 0.75}, n)
    assert any("nor how many pairs" in note for note in found.notes) is (n is None)


def test_two_different_counts_of_pairs_are_none():
    (run,) = read("run,rewards/accuracies (640 pairs),eval_loss (64 pairs)\na,0.75,0.5\n").runs
    assert run.n_eval is None


def test_a_split_in_parenthesis_is_part_of_the_name():
    (run,) = read("run,loss (train),loss (eval),rewards/margins (val) ↑\na,0.4,0.5,1.5\n").runs
    assert run.metrics == {"train/loss": 0.4, "eval/loss": 0.5, "eval/rewards/margins": 1.5}


def test_pairs_are_counted_from_runtime_and_speed_in_a_table_too():
    (run,) = read("run,eval_loss,eval_runtime,eval_samples_per_second\na,0.5,50,20\n").runs
    assert run.n_eval == 1000


@pytest.mark.parametrize(
    "header", ["run,beta,accuracy", "run,β,Accuracy", "run,rewards/margins,acc", "run,loss type,eval acc"]
)
def test_an_accuracy_beside_beta_or_rewards_is_the_reward_accuracy_and_that_is_said(header):
    found = read(f"{header}\na,0.1,0.75\n")
    assert found.runs[0].metrics["eval/rewards/accuracies"] == 0.75
    name, beside = header.split(",")[2], header.split(",")[1]
    assert (
        f'"{name}" is taken for the reward accuracy, as "{beside}" stands beside it; if it is another one: '
        f'--map "{name}=eval/accuracy".'
    ) in found.notes


def test_an_accuracy_that_nothing_tells_to_be_dpos_is_left_as_it_is_and_that_is_said():
    found = read("run,seed,accuracy\na,1,0.75\n")
    assert found.runs[0].metrics == {"eval/accuracy": 0.75}
    assert any('--map "accuracy=eval/rewards/accuracies"' in note for note in found.notes)


def test_a_reward_accuracy_that_is_named_or_a_users_word_leaves_the_other_accuracy_alone():
    both = read("run,beta,accuracy,rewards/accuracies\na,0.1,0.9,0.75\n")
    assert both.runs[0].metrics == {"eval/accuracy": 0.9, "eval/rewards/accuracies": 0.75}
    told = read("run,beta,accuracy\na,0.1,0.9\n", renamed={"accuracy": "eval/accuracy"})
    assert told.runs[0].metrics == {"eval/accuracy": 0.9}
    config = read("run,beta,accuracy,loss\na,0.1,0.9,0.5\n", config=frozenset({"accuracy"}))
    assert (config.runs[0].config["accuracy"], config.runs[0].metrics) == (0.9, {"eval/loss": 0.5})


def test_numbered_accuracies_are_the_reward_accuracys_curve():
    found = read("trial,beta,accuracy-1,accuracy-2\na,0.1,0.6,0.7\n")
    assert points(found, found.runs[0], "eval/rewards/accuracies") == [(1, 1.0, 0.6), (2, 2.0, 0.7)]


def test_a_table_with_a_capital_name_is_read_where_w_and_b_has_not_written_it():
    (run,) = read("| Name | beta | accuracy | loss |\n|---|---|---|---|\n| a | 0.1 | 82.9% | 0.5 |\n").runs
    assert (run.name, run.metrics) == ("a", {"eval/rewards/accuracies": 0.829, "eval/loss": 0.5})


def test_configuration_is_known_by_the_names_that_people_write():
    (run,) = read("run,Beta,LR (peak),Seed,eval_loss\na,0.1,1e-6,3,0.5\n").runs
    assert run.config == {"beta": 0.1, "learning_rate": 1e-6, "seed": 3}


def test_a_results_table_of_a_readme_is_read_as_it_is_meant():
    """Settings in the name, the number of pairs in the header, a margin beside the accuracy, bold cells, intervals."""
    found = read(
        "# A model\n\n| run | accuracy (640 pairs) | eval loss | margin | wins |\n|---|---|---|---|---|\n"
        "| beta 0.5, lr 1e-4 | 0.872 | **0.524** | 0.43 | 63% [57, 68] |\n"
    )
    (run,) = found.runs
    assert (run.name, run.n_eval) == ("beta 0.5, lr 1e-4", 640)
    assert run.config == {"beta": 0.5, "learning_rate": 1e-4, "wins": "63% [57, 68]"}
    assert run.metrics == {"eval/rewards/accuracies": 0.872, "eval/loss": 0.524, "eval/rewards/margins": 0.43}
    assert any('"accuracy (640 pairs)" is taken for the reward accuracy, as "margin" stands' in n for n in found.notes)


def test_a_margin_alone_is_not_taken_for_a_reward_margin():
    assert read("run,margin,loss\na,0.5,0.6\n").runs[0].metrics == {"margin": 0.5, "eval/loss": 0.6}


def test_a_row_whose_step_is_no_whole_number_is_left_out_and_counted():
    """Steps 2.5, -3 and x are none; of the two rows of step 1 the later one counts: 4 of 6 rows are left out."""
    content = b"step,eval_loss\n1,0.6\n1,0.5\n-3,0.1\n2.5,0.2\nx,0.3\n4,0.7\n"
    found = run_tables.read(content, "one.csv", "p")
    (run,) = found.runs
    series = found.histories[run.id]["eval/loss"]
    assert (list(series.steps), list(series.values)) == ([1, 4], [0.5, 0.7])
    assert "4 rows have no step of their own and are left out." in found.notes
