"""What people published of projects whose log cannot be had, and what the report says of runs made by these numbers."""

import csv
import json

import numpy as np
import pytest
from judged import EVAL_COMMON, epochs, findings, identical_reference, report
from reports import scores

from dashboard.analysis import significance
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from training.record.writer import RunWriter


def test_qwen2_full_hh_had_beta_0_1_and_lost_nothing_that_can_be_told(tmp_path):
    """Published: beta 1, and an accuracy that declines 0.6052, 0.5972, 0.5940. On 5,000 pairs z = 1.14."""
    evaluations = [
        {"loss": loss, "rewards/accuracies": accuracy, **identical_reference(fell)}
        for loss, accuracy, fell in (
            (1.60, 0.6052, (77.0, 84.0)),
            (1.75, 0.5972, (95.0, 103.0)),
            (1.87, 0.5940, (110.0, 119.0)),
        )
    ]
    data = {"n_train": 112052, "n_eval": 5000}
    made = report(epochs(tmp_path, "qwen2-full-hh", evaluations, {"beta": 1.0}, data, best=1))
    assert set(findings(made)) == {"wrong-stated-beta", "worse-than-untrained", "likelihood-displacement"}
    assert "qwen2-full-hh (stated 1, is 0.1)" in findings(made)["wrong-stated-beta"].sentence
    assert "1.6000 against 0.6931, 2.3 times as much" in findings(made)["worse-than-untrained"].sentence
    assert "(chosen -77.00 nats, rejected -84.00)" in findings(made)["likelihood-displacement"].sentence
    last = report(tmp_path, moment="last")
    assert "1.8700 against 0.6931, 2.7 times as much" in findings(last)["worse-than-untrained"].sentence
    assert "(chosen -110.00 nats, rejected -119.00)" in findings(last)["likelihood-displacement"].sentence
    shares = [significance.Proportion(one["rewards/accuracies"], 5000) for one in evaluations]
    assert round(significance.z_unpaired(shares[0], shares[2]), 2) == 1.14


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_three_epochs_of_qwen2_full_hh_as_three_runs_tie(tmp_path):
    """500 s x 10 pairs a second."""
    shares = {"epoch 1": 0.6052, "epoch 2": 0.5972, "epoch 3": 0.5940}
    told = {"eval/runtime": 500, "eval/samples_per_second": 10.0}
    rows = [
        {"Name": name, "State": "finished", "eval/rewards/accuracies": share, **told} for name, share in shares.items()
    ]
    made = report(table(tmp_path / "epochs.csv", rows))
    assert [line.tied for line in made.content.lines] == [True, True, True]
    assert not made.content.verdict.proven


def test_five_of_five_right_proves_little(tmp_path):
    """gpt2-static-hh: 5 training rows, 5 evaluation rows, 5 steps; Wilson's interval of 5 of 5 is 56.6% to 100.0%."""
    losses = (0.62, 0.55, 0.50, 0.47, 0.46)
    evaluations = [{"loss": loss, "rewards/accuracies": 1.0} for loss in losses]
    made = report(epochs(tmp_path, "gpt2-static-hh", evaluations, data={"n_train": 5, "n_eval": 5}, best=4))
    assert set(findings(made)) == {"tiny-evaluation-set", "tiny-training-set"}
    assert "(100.0% of 5 pairs, 95% interval 56.6% to 100.0%" in findings(made)["tiny-evaluation-set"].sentence
    assert "gpt2-static-hh (5 pairs, 5.0 epochs)" in findings(made)["tiny-training-set"].sentence


@pytest.mark.parametrize(("accuracy", "right"), [(0.6875, "5 or 8"), (0.625, "4 or 7")])
def test_an_accuracy_of_ten_pairs_is_a_mean_of_batch_means(tmp_path, accuracy, right):
    """gpt2-rm-single-context: batches of 8 and 2. 0.6875 = (3/8 + 2/2) / 2 = (7/8 + 1/2) / 2."""
    config = {"per_device_eval_batch_size": 8}
    evaluations = [{"loss": 0.6, "rewards/accuracies": accuracy}]
    made = report(epochs(tmp_path, "gpt2-rm", evaluations, config, {"n_train": 10, "n_eval": 10}))
    assert set(findings(made)) == {"tiny-evaluation-set", "tiny-training-set", "batch-mean-accuracy"}
    assert f"gpt2-rm ({right} of 10 pairs right). In batches of 8" in findings(made)["batch-mean-accuracy"].sentence
    assert "does not show that anything was learned" in findings(made)["tiny-evaluation-set"].sentence


def test_a_beta_in_a_folder_name_is_said_to_be_confirmed_by_the_log(tmp_path):
    """The same words as for recovery_beta_*, where those logs are not present."""
    history = [
        {"step": 10 * epoch, "epoch": float(epoch), "eval_loss": 0.6, "eval_rewards/accuracies": 0.8}
        | {f"eval_{key}": value for key, value in identical_reference((20.0 * epoch, 45.0 * epoch)).items()}
        for epoch in (1, 2, 3)
    ]
    state = {"global_step": 30, "max_steps": 30, "num_train_epochs": 3, "log_history": history}
    folder = tmp_path / "dpo_beta_0.1" / "checkpoint-30"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps(state))
    told = findings(report(tmp_path / "dpo_beta_0.1"))["beta-by-name-only"].sentence
    assert "dpo_beta_0.1 (beta 0.1, confirmed by the log)" in told


# One policy, scored as five betas.


def scored(folder, name, h, beta):
    metrics = {EVAL_LOSS: float(np.logaddexp(0, -beta * h).mean()), EVAL_ACCURACY: float((h > 0).mean())}
    writer = RunWriter(folder, name)
    data = {"eval": "e" * 64, "n_eval": len(h), "dataset": "ours"}
    writer.publish({"config": {"beta": beta, "loss_type": ["sigmoid"]}, "data": data})
    writer.log(10, 1.0, metrics)
    writer.scores(10, scores(h))
    writer.best(10, EVAL_ACCURACY, metrics)
    writer.finish("finished")


def test_one_policy_scored_as_five_betas_is_one_policy(tmp_path):
    """Its logged losses spread; its rank, its loss at a common beta and its accuracy are one."""
    h = np.random.default_rng(0).normal(6, 12, 400)
    for beta in (0.01, 0.05, 0.1, 0.3, 0.5):
        scored(tmp_path, f"beta-{beta}", h, beta)
    made = report(tmp_path, sort=EVAL_COMMON, b=0.1)
    lines = made.content.lines
    assert len(lines) == 5
    assert np.ptp([line.run.metrics[EVAL_LOSS] for line in lines]) > 0.1
    common = [line.run.metrics[EVAL_COMMON] for line in lines]
    assert common == pytest.approx([float(np.logaddexp(0, -0.1 * h).mean())] * 5, abs=1e-6)
    assert {line.ranks[EVAL_COMMON] for line in lines} == {line.ranks[EVAL_ACCURACY] for line in lines} == {1}
    assert all(line.tied for line in lines)
    assert not made.content.verdict.proven
    assert len({line.group for line in lines}) == 5
