"""Each fault in the numbers is found, and alone; a sound study is silent."""

import math
from array import array
from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis.findings import checks, identities
from dashboard.analysis.references import as_trained, references
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run, Series


def run(
    name, scale=1.0, beta=0.1, stated="same", reference=(-340.0, -400.0), evaluations=3, n=1000, data=None
) -> Evidence:
    """A run with curves: log-probabilities fall by 10 and 25 nats (times `scale`) from one evaluation to the next."""
    random = np.random.default_rng(sum(map(ord, name)))
    moved = -scale * np.array([[10.0], [25.0]]) * (np.arange(1, evaluations + 1) + 0.1 * random.random(evaluations))
    logps, rewards = np.array(reference)[:, None] + moved, beta * moved
    rows = {
        "logps/chosen": logps[0],
        "logps/rejected": logps[1],
        "rewards/chosen": rewards[0],
        "rewards/rejected": rewards[1],
    }
    rows["rewards/margins"] = rewards[0] - rewards[1]
    nothing, steps = array("d", [math.nan] * evaluations), array("q", range(10, 10 * evaluations + 1, 10))
    history = {f"eval/{key}": Series(steps, nothing, nothing, array("d", values)) for key, values in rows.items()}
    metrics = {key: series.values[-1] for key, series in history.items()}
    config = {} if stated is None else {"beta": beta if stated == "same" else stated}
    made = Run(name, name, "log", "finished", config, metrics, step=10 * evaluations, n_eval=n, data=data or {})
    return Evidence(made, history)


def found(*runs):
    return {finding.id: finding for finding in identities.check(study(runs), "last")}


def test_a_sound_run_is_silent_and_a_sound_study_says_only_what_it_shares():
    assert found(run("a")) == {}
    both = found(run("a"), run("b", scale=2, beta=0.5))
    assert list(both) == ["same-reference"]
    assert both["same-reference"].severity == "info"
    assert both["same-reference"].sentence.startswith("Both runs share one reference model and one evaluation set, and")


def test_runs_with_hashes_are_silent():
    data = {"eval": "a" * 16}
    assert found(run("a", data=data), run("b", scale=2, data=data)) == {}


def test_a_wrong_stated_beta_is_found_alone():
    only = found(run("a", stated=1.0))
    assert list(only) == ["wrong-stated-beta"]
    assert "one constant only with another: a (stated 1, is 0.1)." in only["wrong-stated-beta"].sentence
    assert only["wrong-stated-beta"].severity == "bad"
    many = found(run("a"), run("b", scale=2), run("c", scale=3, stated=0.5))
    assert {key: finding.runs for key, finding in many.items() if finding.severity != "info"} == {
        "wrong-stated-beta": ("c",)
    }


def test_beta_1_of_three_epochs_was_0_1():
    """As in qwen2-full-hh: stated 1, three epochs, and a log-probability of chosen answers that fell by many nats."""
    only = found(run("qwen2-full-hh", scale=4, stated=1.0, n=5000))
    numbers = only["wrong-stated-beta"].evidence["runs"]["qwen2-full-hh"]
    assert (numbers["stated"], numbers["beta"], numbers["evaluations"]) == (1.0, 0.1, 3)


def test_a_beta_that_is_not_stated_is_told():
    only = found(run("a", stated=None))
    assert list(only) == ["beta-recovered"]
    assert only["beta-recovered"].sentence.endswith("logps and rewards tell it: a (beta 0.1).")


def test_another_reference_is_found_alone():
    only = found(run("a"), run("b", reference=(-300.0, -410.0)))
    assert list(only) == ["reference-differs"]
    assert "a (-340.00 and -400.00 nats); b (-300.00 and -410.00 nats)" in only["reference-differs"].sentence


@pytest.mark.parametrize("other", [{"n": 500}, {"data": {"eval": "b" * 16}}])
def test_another_evaluation_set_is_named_where_number_or_hash_show_it(other):
    first = run("a", data={"eval": "a" * 16} if "data" in other else {})
    assert list(found(first, run("b", reference=(-300.0, -410.0), **other))) == ["evaluation-set-differs"]


def test_a_reference_that_moves_is_found_alone():
    """The reference falls by 20 nats after the second evaluation: no straight line, no constant."""
    moving = run("a", evaluations=4)
    shifted = {
        key: replace(series, values=array("d", [value - 20 * (n > 1) for n, value in enumerate(series.values)]))
        if "logps/chosen" in key
        else series
        for key, series in moving.history.items()
    }
    assert list(found(replace(moving, history=shifted))) == ["reference-drifts"]


def margins(evidence: Evidence, by: float) -> Evidence:
    series = evidence.history["eval/rewards/margins"]
    changed = replace(series, values=array("d", [value + by for value in series.values]))
    return replace(evidence, history={**evidence.history, "eval/rewards/margins": changed})


def test_margins_that_do_not_add_up_are_found_alone():
    only = found(margins(run("a"), 1.0))
    assert list(only) == ["margins-do-not-add-up"]
    assert "a (off by up to 1)" in only["margins-do-not-add-up"].sentence


@pytest.mark.parametrize("by", [1e-6, 0.005, math.nan])
def test_rounding_and_divergence_are_no_fault_of_margins(by):
    """16-bit rewards of 3 are printed to 0.016: 2^-7 of 7.5 is 0.06."""
    assert found(margins(run("a"), by)) == {}


def test_curves_of_different_lengths_are_not_compared():
    """A chart export has one metric per file, cut where the user cut it."""
    short = run("a")
    series = short.history["eval/rewards/margins"]
    cut = Series(series.steps[:1], series.epochs[:1], series.times[:1], series.values[:1])
    metrics = {**short.run.metrics, "eval/rewards/margins": cut.values[0]}
    changed = Evidence(replace(short.run, metrics=metrics), {**short.history, "eval/rewards/margins": cut})
    assert found(changed) == {}


def test_no_more_than_five_runs_are_named():
    several = [run(f"r{i}", reference=(-340.0 - 20 * (i > 6), -400.0)) for i in range(9)]
    assert "r0, r1, r2, r3, r4 and 2 more (" in found(*several)["reference-differs"].sentence


def test_a_beta_in_a_folders_name_is_said_to_be_one():
    note = 'beta = 0.1 is only the name of its folder, "dpo_beta_0.1": a hint, until the log confirms it.'
    made = run("a")
    told = found(replace(made, run=replace(made.run, notes=(note,))))
    assert list(told) == ["beta-by-name-only"]
    assert told["beta-by-name-only"].sentence.endswith("a (beta 0.1, confirmed by the log).")
    alone = run("b", evaluations=1)
    told = found(replace(alone, run=replace(alone.run, notes=(note,))))
    assert told["beta-by-name-only"].sentence.endswith(
        "not confirmed). A name that the log does not confirm is a hint."
    )


def test_of_two_groups_the_runs_of_the_shared_reference_are_named():
    other = run("c", reference=(-360.0, -400.0))
    shared = found(run("a"), run("b", scale=2, beta=0.5), other)["same-reference"]
    assert shared.sentence.startswith("a and b share one reference model and one evaluation set")


def test_what_is_proven_of_beta_counts_in_every_other_finding():
    """Stated 1, trained with 0.1: a margin of nats is a reward by 0.1, and both losses have one scale."""
    runs = study([run("a", stated=1.0), run("b", scale=2)])
    known = references(runs)
    assert [one.run.config["beta"] for one in as_trained(runs, known).values()] == [0.1, 0.1]
    ids = {finding.id for finding in checks.findings(runs, "last")}
    assert "wrong-stated-beta" in ids and "loss-not-comparable" not in ids
