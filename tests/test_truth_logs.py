"""The logs that people have of their runs, and what the whole report says of each: all that is true, no more.

Every finding that fires is named here, and was judged true by hand.
"""

import pytest
from judged import findings, named, notes, report, runs

from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS


def all_words(made):
    content = made.content
    said = [*content.verdict.sentences, *(finding.sentence for finding in content.findings), *content.importance]
    return " ".join([*said, *(one.reason for one in content.suggestions), *content.notes])


# trainer_state.json of three small runs, beta in the name of the folder only.


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.5])
def test_recovery_beta_is_confirmed_and_six_pairs_are_too_few(shared_data, beta):
    made = report(shared_data / "trainer_state" / f"recovery_beta_{beta}")
    name = f"recovery_beta_{beta}"
    assert {run.name for run in runs(made)} == {name, f"{name}/checkpoint-7"}
    assert set(findings(made)) == {
        "tiny-evaluation-set",
        "different-budgets",
        "unknown-state",
        "beta-by-name-only",
        "same-reference",
        "one-seed-only",
    }
    told = findings(made)["beta-by-name-only"].sentence
    assert f"{name} (beta {beta}, confirmed by the log)" in told
    assert f"{name}/checkpoint-7 (beta {beta}, not confirmed)" in told
    few = findings(made)["tiny-evaluation-set"].sentence
    assert "of 6 pairs" in few and "only multiples of 1/6 possible" in few
    assert not made.content.verdict.proven
    nested = ("checkpoint-27", "checkpoint-54", "checkpoint-81", "one run")
    assert any(all(words in note for words in nested) for note in notes(made))
    assert any("is a run of its own: its max_steps is 7, not 81" in note for note in notes(made))


def test_losses_of_the_three_betas_are_not_compared(shared_data):
    made = report(*(shared_data / "trainer_state" / f"recovery_beta_{beta}" for beta in (0.05, 0.1, 0.5)))
    assert len(made.content.lines) == 6
    assert set(findings(made)) == {
        "tiny-evaluation-set",
        "loss-not-comparable",
        "different-budgets",
        "unknown-state",
        "beta-by-name-only",
        "same-reference",
        "one-seed-only",
    }
    assert made.content.key == EVAL_ACCURACY
    assert findings(made)["same-reference"].sentence.startswith("All 6 runs share one reference model")
    assert len({line.group for line in made.content.lines}) == 3


def test_two_larger_states_are_judged_by_what_they_have(shared_data):
    """cs5788 logs no log-probabilities: beta is unknown. llama2 does: it was 0.1. One of its losses is NaN."""
    state = shared_data / "trainer_state"
    first, second = report(state / "cs5788"), report(state / "llama2_miniguanaco")
    assert set(findings(first)) == {"unknown-state", "likelihood-displacement"}
    assert "(chosen -1.52, rejected -2.11 in reward)" in findings(first)["likelihood-displacement"].sentence
    assert set(findings(second)) == {"unknown-state", "beta-recovered", "loss-not-finite"}
    assert "llama2_miniguanaco (beta 0.1)" in findings(second)["beta-recovered"].sentence
    assert "eval/loss once, at step 600" in findings(second)["loss-not-finite"].sentence


# Event files of t5-human-like and gpt2-human-like.


def test_the_noise_of_t5_and_the_109_rows_of_gpt2_are_found(shared_data):
    """52.6152 s x 6.215 pairs a second = 327 = 3 epochs of 109. T5's loss began at 8.05 and never fell below 2.19."""
    made = report(shared_data / "tfevents")
    assert set(findings(made)) == {
        "no-evaluation",
        "noisy-start",
        "tiny-training-set",
        "training-pairs-solved",
        "clipped-gradients",
        "unknown-state",
    }
    assert named(made, findings(made)["noisy-start"].runs) == {"t5_small_DPO_ds302"}
    assert "8.0461 at step 10, due 0.6931; never below 2.1878" in findings(made)["noisy-start"].sentence
    assert "(109 pairs, 2.8 epochs)" in findings(made)["tiny-training-set"].sentence
    assert "trivially easy" in findings(made)["training-pairs-solved"].sentence
    assert made.content.verdict.best is None
    assert sum("holds no scalars" in note for note in notes(made)) == 2


def test_a_chart_export_is_judged_by_its_four_curves(shared_data):
    assert set(findings(report(shared_data / "tensorboard_csv"))) == {"accuracy-without-n", "unknown-state"}


def test_runs_of_other_fields_are_not_judged_as_dpo(shared_data):
    assert set(findings(report(shared_data / "wandb_history"))) == {"no-evaluation", "unknown-state"}
    assert set(findings(report(shared_data / "wandb_runs" / "alighieri_assgan.csv"))) == {"no-evaluation"}


def test_ln_2_is_no_measure_of_the_ipo_table(shared_data):
    made = report(shared_data / "wandb_runs" / "cluebbers_hyperparameters_ipo.csv")
    assert len(made.content.lines) == 23
    assert set(findings(made)) == {
        "loss-not-comparable",
        "different-budgets",
        "confounded-hyper-parameters",
        "accuracy-without-n",
        "unknown-state",
        "loss-type-not-stated",
    }
    first = next(run for run in runs(made) if run.name == "trial 1")
    assert (first.config["beta"], first.best[EVAL_LOSS], first.best[EVAL_ACCURACY]) == (0.1, 23.54, 0.78)
    assert "all 23 runs (each that of ipo)" in findings(made)["loss-type-not-stated"].sentence
    assert not any(said in all_words(made) for said in ("ln 2", "0.6931", "than the untrained model"))
    assert "1.3 nats" in findings(made)["loss-not-comparable"].sentence
