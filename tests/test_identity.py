"""Beta and reference from `logps - rewards / beta = constant`: what is told, and what is not."""

import json
import math
from array import array
from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis.identity import identify
from dashboard.analysis.references import references
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run, Series

CHOSEN, REJECTED = (-350.123457, -380.123457, -420.123457), (-450.765432, -520.765432, -610.765432)


def curve(values) -> Series:
    nothing = array("d", [math.nan] * len(values))
    return Series(array("q", [100 * (n + 1) for n in range(len(values))]), nothing, nothing, array("d", values))


def evidence(
    name="a", stated=0.1, beta=0.1, reference=(-340.0, -400.0), chosen=CHOSEN, rejected=REJECTED, noise=None, **config
) -> Evidence:
    """Rewards are beta * (logps - reference), and `noise` is added to the log-probabilities that are logged."""
    logps = np.array([chosen, rejected], dtype=float)
    rewards = beta * (logps - np.array(reference)[:, None])
    logged = logps if noise is None else logps + noise
    rows = dict(
        zip(("logps/chosen", "logps/rejected", "rewards/chosen", "rewards/rejected"), [*logged, *rewards], strict=True)
    )
    history = {f"eval/{key}": curve(values.tolist()) for key, values in rows.items()}
    about = {"beta": stated, **config} if stated is not None else config
    metrics = {key: series.values[-1] for key, series in history.items()}
    run = Run(name, name, "log", "finished", config=about, metrics=metrics, step=100 * len(chosen), n_eval=1000)
    return Evidence(run, history)


def alone(name, **kwargs) -> Evidence:
    """A run of a runs table: its last evaluation only."""
    return replace(evidence(name, **kwargs), history={})


def test_a_stated_beta_is_confirmed_by_the_runs_own_evaluations():
    found = identify(evidence())
    assert (found.state, found.beta, found.proven_by) == ("confirmed", 0.1, "itself")
    assert found.reference is not None
    assert (found.reference.chosen, found.reference.rejected) == pytest.approx((-340, -400))


def test_a_wrong_stated_beta_is_refuted_and_the_right_one_named():
    """Stated 1, but rewards fall by 0.1 for every nat: 0.1."""
    found = identify(evidence(stated=1.0))
    assert (found.state, found.stated, found.beta) == ("refuted", 1.0, 0.1)
    assert found.reference is not None
    assert found.reference.chosen == pytest.approx(-340)


def test_a_beta_that_is_not_stated_is_recovered():
    found = identify(evidence(stated=None, beta=0.035))
    assert (found.state, found.stated, found.beta) == ("recovered", None, 0.035)


def test_two_evaluations_are_enough_and_one_is_not():
    assert identify(evidence(chosen=CHOSEN[:2], rejected=REJECTED[:2], stated=1.0)).state == "refuted"
    found = identify(evidence(chosen=CHOSEN[:1], rejected=REJECTED[:1], stated=1.0))
    assert (found.state, found.why) == ("unknown", "it has one evaluation")


def test_rewards_that_hardly_move_tell_nothing():
    """1e-4 nats of movement drown in float32's rounding of 340 nats, 3.4e-4."""
    still = evidence(chosen=(-340.0001, -340.0002), rejected=(-400.0001, -400.0002), stated=1.0)
    assert identify(still).state == "unknown"


def test_printed_digits_widen_the_bounds():
    """Rewards printed with one digit, -1.0, -4.0, -8.0 and so on: off by 0.05, half a nat at beta 0.1."""
    rough = evidence(beta=0.1)
    history = {
        key: curve([round(value, 1) for value in series.values]) if "rewards" in key else series
        for key, series in rough.history.items()
    }
    exact, found = identify(rough), identify(replace(rough, history=history))
    assert found.state == "confirmed"
    assert found.estimate.high - found.estimate.low > 50 * (exact.estimate.high - exact.estimate.low)


@pytest.mark.parametrize("evaluations", [2, 3, 10])
@pytest.mark.parametrize("moved", [0.5, 5.0, 50.0])
def test_noise_never_refutes_a_right_beta(evaluations, moved):
    """16-bit log-probabilities are off by 0.1 nats: 400 runs each; the bounds are at 99.9%, so 4 would be too many."""
    random = np.random.default_rng(evaluations)
    refuted = 0
    for _ in range(400):
        chosen, rejected = (start - moved * np.sort(random.random(evaluations)) for start in (-340.0, -400.0))
        noise = random.normal(0, 0.1, (2, evaluations))
        refuted += identify(evidence(chosen=chosen, rejected=rejected, noise=noise)).state == "refuted"
    assert refuted <= 3


def test_a_moving_reference_is_not_judged():
    assert identify(evidence(stated=1.0, sync_ref_model=True)).why == "its reference model moves (sync_ref_model)"


def test_a_loss_without_reference_has_none():
    found = identify(evidence(reference=(0.0, 0.0)))
    assert found.state == "confirmed"
    assert found.reference is None


def test_an_evaluation_before_training_shows_the_reference_without_beta():
    found = identify(evidence(stated=None, chosen=(-340.0,), rejected=(-400.0,)))
    assert found.beta is None
    assert (found.reference.chosen, found.reference.rejected) == (-340.0, -400.0)


def test_an_evaluation_that_diverged_is_passed_over():
    noise = np.zeros((2, 3))
    noise[0, 1] = math.nan
    assert identify(evidence(noise=noise)).estimate.evaluations == 2


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-320, 0.0, 12345.678])
def test_absurd_numbers_are_survived(value):
    rows = {key: curve([value, -value, 1.0]) for key in evidence().history}
    broken = replace(evidence(), history=rows)
    assert references(study([broken, evidence("b")])).identities["b"].state == "confirmed"


def test_a_log_without_log_probabilities_says_so():
    run = Run("a", "a", "log", "finished", config={"beta": 0.1}, metrics={"eval/loss": 0.5})
    assert identify(Evidence(run)).why == "its source lacks eval/logps or eval/rewards"


def other(name, scale, **kwargs) -> Evidence:
    """A run that ended elsewhere, on the same pairs."""
    return alone(name, chosen=(-340.0 - 30.123457 * scale,), rejected=(-400.0 - 70.765432 * scale,), **kwargs)


def test_runs_that_share_a_reference_confirm_each_others_beta():
    found = references(study([other("a", 1), other("b", 2, stated=0.5, beta=0.5), other("c", 0.4)]))
    assert {one.state for one in found.identities.values()} == {"confirmed"}
    (group,) = found.groups
    assert group.runs == ("a", "b", "c")
    assert group.proven


def test_a_wrong_beta_among_right_ones_is_found_and_its_run_stays_in_the_group():
    found = references(study([other("a", 1), other("b", 2, stated=0.5, beta=0.2), other("c", 0.4)]))
    assert (found.identities["b"].state, found.identities["b"].beta) == ("refuted", 0.2)
    assert found.identities["a"].state == "confirmed"
    assert [group.runs for group in found.groups] == [("a", "b", "c")]


def test_a_beta_not_stated_is_recovered_from_the_others():
    found = references(study([other("a", 1), other("b", 2, stated=None, beta=0.3), other("c", 0.4)]))
    assert (found.identities["b"].state, found.identities["b"].beta) == ("recovered", 0.3)
    assert found.identities["b"].proven_by == "others"


def test_another_reference_is_no_wrong_beta():
    """-340 against -335: no beta brings chosen and rejected to the others' reference at once."""
    odd = other("odd", 2, reference=(-335.0, -402.0))
    found = references(study([other("a", 1), other("b", 0.4), odd]))
    assert found.identities["odd"].state == "unknown"
    assert [group.runs for group in found.groups] == [("a", "b"), ("odd",)]


def test_copies_of_one_run_prove_nothing():
    found = references(study([other("a", 1, stated=0.7), other("b", 1, stated=0.7)]))
    assert {one.state for one in found.identities.values()} == {"unknown"}


def test_six_pairs_are_enough_for_arithmetic(shared_data):
    """recovery_beta_*: the beta of the folder's name explains three evaluations of six pairs."""
    for beta in (0.05, 0.1, 0.5):
        path = shared_data / "trainer_state" / f"recovery_beta_{beta}" / "checkpoint-81" / "trainer_state.json"
        rows = [row for row in json.loads(path.read_text())["log_history"] if "eval_loss" in row]
        keys = [f"{kind}/{side}" for kind in ("logps", "rewards") for side in ("chosen", "rejected")]
        history = {f"eval/{key}": curve([row[f"eval_{key}"] for row in rows]) for key in keys}
        for stated, state in ((beta, "confirmed"), (0.2, "refuted"), (None, "recovered")):
            run = Run("r", "r", path.parent.name, "finished", config={} if stated is None else {"beta": stated})
            found = identify(Evidence(run, history))
            assert (found.state, found.beta) == (state, beta)
            assert found.reference.chosen == pytest.approx(-141.9473012)
