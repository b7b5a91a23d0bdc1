"""What a first reader of reports stumbled over: claims beyond what is known, and healthy runs that must stay silent."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from studies import series
from verdicts import run, together, with_scores

from dashboard.analysis import budgets, improvement, losses, verdict
from dashboard.analysis.effects import effects
from dashboard.analysis.findings import checks, studies
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence, study
from dashboard.analysis.suggestions import suggestions
from dashboard.sources.imported import with_evaluations

CONFIG = {"beta": 0.1, "loss_type": ["sigmoid"]}


def curves(**points):
    """Curves by their W&B key, slashes written as two underscores."""
    return {key.replace("__", "/"): series(values) for key, values in points.items()}


def said(*evidence, at="last"):
    return {finding.id: finding for finding in checks.findings(study(evidence), at)}


def unstated(first, loss):
    """A run of unknown loss type: its training log begins at step 10, and it was evaluated at 100 and 200."""
    history = curves(
        train__loss={10: first, 100: first * 0.9},
        train__rewards__margins={10: 0.01, 100: 0.2},
        eval__loss={100: loss, 200: loss},
        eval__rewards__accuracies={100: 0.7, 200: 0.7},
    )
    return Evidence(run("a", 0.7, loss, 500, config={"beta": 0.1}, step=200), history)


@pytest.mark.parametrize(
    ("first", "loss", "kinds"),
    [
        (25.0 - 0.01 / 0.01, 30.0, ("ipo",)),  # (h - 5)^2 at h = 0.01 / 0.1: 25 - 1 at first order
        (0.99, 0.75, ("hinge",)),  # 1 - 0.01
        (0.6881, 0.75, ("sigmoid",)),  # ln 2 - 0.01 / 2
        (2.4, 0.75, None),  # noise, as of dropout: near to none
    ],
)
def test_the_first_training_losses_tell_a_loss_type_that_is_not_stated(first, loss, kinds):
    hint = losses.loss_hint(unstated(first, loss))
    assert (hint and hint.loss_types) == kinds
    assert hint is None or not hint.proven
    found = said(unstated(first, loss))
    other = kinds in (("ipo",), ("hinge",))
    assert ("loss-type-not-stated" in found) == other
    assert ("worse-than-untrained" in found) != other


def test_an_ipo_run_is_not_said_to_be_surest_where_it_is_wrong():
    """A loss of 30 is 43 times ln 2, and says nothing if the loss type is IPO."""
    sentence = improvement.over_base(unstated(24.0, 30.0), "last").sentence
    assert "what loss, now 30.0000, it had before training is not known" in sentence
    answer = verdict.answer(together(unstated(24.0, 30.0).run), EVAL_LOSS, "last", study([unstated(24.0, 30.0)]))
    assert not any("untrained" in warning for warning in answer.warnings)


def test_a_loss_type_that_is_only_assumed_is_said_to_be():
    assumed = Evidence(run("a", 0.7, 0.55, 500))
    shown, stated = unstated(0.6881, 0.55), Evidence(run("a", 0.7, 0.55, 500, config=CONFIG))
    before = "against 0.6931 before training"
    assert f"{before}, if it is the sigmoid loss." in improvement.over_base(assumed, "last").sentence
    for known in (shown, stated):
        assert improvement.over_base(known, "last").sentence.endswith(f"{before}.")


def evaluated(points, **about):
    """A run by its evaluation losses, with the best checkpoint that its log shows."""
    history = curves(eval__loss=points, eval__rewards__accuracies=dict.fromkeys(points, 0.7))
    return Evidence(with_evaluations(run("a", config=CONFIG, step=max(points), **about), history), history)


@pytest.mark.parametrize(("points", "chosen"), [({100: 0.5}, False), ({50: 0.6, 100: 0.5}, True)])
def test_one_evaluation_is_no_choice_among_checkpoints(points, chosen):
    one = evaluated(points)
    details = verdict.answer(together(one.run), EVAL_LOSS, "best", study([one])).details
    assert any("best of several checkpoints" in detail for detail in details) == chosen


def reversed_evaluation():
    """Training pairs get better, evaluation pairs ever worse than chance: the first evaluation is the best."""
    steps = range(10, 201, 10)
    evaluated = {50: (0.84, 0.42), 100: (1.0, 0.35), 150: (1.15, 0.31), 200: (1.2, 0.30)}
    history = curves(
        train__loss={step: 0.69 - 0.001 * step for step in steps},
        train__rewards__accuracies={step: 0.5 + 0.0015 * step for step in steps},
        eval__loss={step: loss for step, (loss, _) in evaluated.items()},
        eval__rewards__accuracies={step: accuracy for step, (_, accuracy) in evaluated.items()},
    )
    config = {**CONFIG, "per_device_train_batch_size": 16}
    return Evidence(with_evaluations(run("a", config=config, n=500, step=200, metrics={}), history), history)


def test_reversed_labels_are_found_though_the_best_evaluation_is_the_least_trained():
    found = said(reversed_evaluation(), at="best")
    assert "30.0% of 500 evaluation pairs as labelled" in found["reversed-labels"].sentence
    assert "evaluation-loss-turned" not in found
    assert "all of it below one half" in found["accuracy-may-be-chance"].sentence
    assert not any("was lowest there" in one.reason for one in suggestions(study([reversed_evaluation()]), "best"))


def test_a_run_whose_loss_turned_is_not_also_to_be_trained_longer():
    history = curves(
        eval__loss={100: 0.65, 200: 0.50, 300: 0.55, 400: 0.60, 500: 0.70},
        eval__rewards__accuracies={100: 0.60, 200: 0.66, 300: 0.70, 400: 0.75, 500: 0.80},
    )
    one = Evidence(run("a", 0.8, 0.7, None, config={"beta": 0.1}), history)
    other = Evidence(run("b", 0.7, 0.7, None, config={"beta": 0.2}))
    reasons = [found.reason for found in suggestions(study([one, other]), "last")]
    assert any("was lowest there" in reason for reason in reasons)
    assert not any("still got better" in reason for reason in reasons)


def pairs_suggested(*evidence):
    return [found for found in suggestions(study(evidence), "last") if "evaluation pairs" in found.reason]


def test_more_pairs_are_not_suggested_where_they_would_be_of_no_use():
    """0.80 and 0.79 on 1,000: (1.960 + 0.842)^2 (0.16 + 0.1659) / 0.01^2 = 25,580, over 50 times 400."""

    def two(n, same=False, scores=False):
        about = [{"beta": 0.1, "seed": 1}, {"beta": 0.1 if same else 0.2, "seed": 2}]
        accurate = (round(0.80 * n), round(0.79 * n))
        made = [run(str(count), count / n, n=n, config=config) for count, config in zip(accurate, about, strict=True)]
        if not scores:
            return map(Evidence, made)
        h = [np.where(np.arange(n) < count, 1.0, -1.0) for count in accurate]
        return [with_scores(one.name, x, config=one.config) for one, x in zip(made, h, strict=True)]

    (found,) = pairs_suggested(*two(1000))
    assert found.config["max_eval_samples"] == 26_000
    assert pairs_suggested(*two(400)) == []
    assert pairs_suggested(*two(1000, same=True)) == []
    assert pairs_suggested(*two(1000, scores=True)) == []


def test_suggestions_speak_of_the_run_that_the_verdict_calls_the_best():
    """One beta: ranked by loss, and so b is the best, though a is more accurate."""
    runs = [run("a", 0.80, 0.55, 1000, config={**CONFIG, "learning_rate": 1e-6, "seed": 1})]
    runs += [run("b", 0.78, 0.50, 1000, config={**CONFIG, "learning_rate": 2e-6, "seed": 1})]
    reasons = [found.reason for found in suggestions(study(map(Evidence, runs)), "last")]
    assert any(reason.startswith("b again with seed 2") for reason in reasons)


def test_no_run_is_suggested_along_an_effect_that_another_parameter_explains():
    """Accuracy follows the learning rate; beta falls as it rises, loosely: alone it seems to matter, beside it not."""
    rng = np.random.default_rng(5)
    power = np.linspace(-7, -4, 24)
    betas = 10 ** (-1 - 0.25 * (power + 5.5) + 0.4 * rng.standard_normal(24))
    betas[-1] = betas.min() / 1.1
    runs = [
        run(str(i), 0.6 + 0.05 * (p + 7) + 0.002 * rng.standard_normal(), config={"learning_rate": 10**p, "beta": b})
        for i, (p, b) in enumerate(zip(power.tolist(), betas.tolist(), strict=True))
    ]
    found = {effect.key: effect for effect in effects(runs, "last")}
    assert found["beta"].p <= 0.05 and found["beta"].explained
    reasons = [one.reason for one in suggestions(study(map(Evidence, runs)), "last")]
    assert any(reason.startswith("Learning rate 3e-4") for reason in reasons)
    assert not any(reason.startswith("Beta") for reason in reasons)


def test_an_explained_effect_says_that_little_is_left():
    """Three columns: y is x and noise, z is x and more noise. z alone has p < 0.05, beside x nothing."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(40)
    z, y = x + rng.standard_normal(40), 0.7 + 0.01 * (x + 0.2 * rng.standard_normal(40))
    values = zip(x.tolist(), z.tolist(), y.tolist(), strict=True)
    runs = [run(str(i), c, config={"first": a, "second": b}) for i, (a, b, c) in enumerate(values)]
    (second,) = [effect for effect in effects(runs, "last") if effect.key == "second"]
    assert second.p_corrected < 0.05
    assert "with the others held fixed little of it is left (Spearman" in second.sentence


@pytest.mark.parametrize(("n", "epochs", "pairs"), [(500, 1.0, 500), (500, 2.0, 1000), (512, 1.0, 512)])
def test_pairs_seen_are_known_though_the_last_batch_is_smaller(n, epochs, pairs):
    """500 pairs in batches of 16 are 32 steps an epoch, 512 places: the summary's 500 is no multiple of 16."""
    steps = math.ceil(n / 16) * int(epochs)
    summary = {"train_runtime": 50.0, "train_samples_per_second": round(n * epochs / 50, 3)}
    config = {"per_device_train_batch_size": 16, "num_train_epochs": epochs}
    made = run("a", config=config, step=steps, epoch=epochs)
    assert budgets.pairs_seen(made) is None
    assert budgets.pairs_seen(run("a", config=config, step=steps, epoch=epochs, metrics=summary)) == pairs


def test_runs_on_data_of_other_sizes_are_no_equal_budgets():
    config = {"per_device_train_batch_size": 16, "num_train_epochs": 1.0, **CONFIG}
    runs = []
    for n in (500, 4000):
        metrics = {EVAL_LOSS: 0.5, "train_runtime": 50.0, "train_samples_per_second": round(n / 50, 3)}
        runs.append(run(str(n), config=config, step=math.ceil(n / 16), epoch=1.0, metrics=metrics))
    found = {one.id: one for one in studies.check(study(map(Evidence, runs)), "last")}
    assert found["different-budgets"].sentence.startswith("The runs trained on 500 to 4,000 training pairs")


def test_the_spread_between_seeds_is_told_beside_the_verdict():
    """Two seeds, 0.70 and 0.72: s = 0.02 / sqrt(2) = 1.41 points; 1 degree: chi-square 5.024 and 0.000982 give 0.63 and
    45.1; two runs differ by more than chance from t s sqrt(2) = 12.706 x 2.0 = 25.4 points on."""
    runs = [run(f"s{seed}", 0.68 + 0.02 * seed, n=500, config={**CONFIG, "seed": seed}) for seed in (1, 2)]
    runs += [run("other", 0.75, n=500, config={**CONFIG, "beta": 0.2, "seed": 1})]
    (found,) = [
        one for one in verdict.answer(together(*runs), EVAL_ACCURACY, "last").details if "The seed alone" in one
    ]
    assert "2 runs of one configuration differ by a standard deviation of 1.4 points between seeds" in found
    assert "(95% interval 0.6 to 45.1). Two single runs less than 25.4 points apart" in found
    unknown = [run(name, 0.7, n=500, config=CONFIG) for name in "ab"]
    details = verdict.answer(together(*unknown), EVAL_ACCURACY, "last").details
    assert not any("The seed alone" in detail for detail in details)


def test_a_half_count_in_a_foreign_log_is_a_mean_of_batch_means():
    """0.625 of 12 is 7.5 pairs; TRL counts no halves. Batches of 8 and 4: (4 / 8 + 3 / 4) / 2 = 0.625, 7 right."""
    config = {**CONFIG, "per_device_eval_batch_size": 8}
    foreign = Evidence(run("a", 0.625, n=12, config=config))
    found = {one.id: one for one in studies.check(study([foreign]), "last")}["batch-mean-accuracy"]
    assert 7 in found.evidence["runs"]["a"]["right"]
    h = np.array([1.0] * 7 + [0.0] + [-1.0] * 4)
    own = with_scores("a", h, config={"per_device_eval_batch_size": 8})
    assert "batch-mean-accuracy" not in {one.id for one in studies.check(study([own]), "last")}


def test_an_accuracy_in_percent_is_said_to_be_there_and_not_judged():
    percent = Evidence(run("a", 73.6, n=500, config=CONFIG))
    assert "73.6 is no reward accuracy from 0 to 1" in improvement.over_base(percent, "last").sentence
    assert "a (73.6). Divide percentages by 100." in said(percent)["accuracy-no-share"].sentence
    assert "accuracy-no-share" not in said(Evidence(run("a", 1.0, n=500, config=CONFIG)))


def test_spikes_are_told_by_their_steps():
    norms = {step: 1.0 + 0.1 * math.sin(step) for step in range(1, 61)} | {50: 300.0, 51: 80.0}
    two = Evidence(run("a", config=CONFIG), curves(train__grad_norm=norms))
    one = Evidence(run("a", config=CONFIG), curves(train__grad_norm=norms | {51: 1.0}))
    assert "in a (at 2 logged steps, most at step 50: " in said(two)["gradient-spikes"].sentence
    assert "in a (at step 50: " in said(one)["gradient-spikes"].sentence


class Job:
    """A healthy run of one epoch as TRL logs it, made by other means than `studies.simulated`.

    250 steps of 16 pairs, a learning rate that warms up and falls by a cosine; margins grow with its integral, and a
    pair's end is normal with an accuracy of 60% to 85% and a confidence that fits within 40%; the chosen answers lose
    probability.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 11])
        self.mean = NormalDist().inv_cdf(self.rng.uniform(0.6, 0.85))
        self.spread = 2 * self.mean * self.rng.uniform(0.6, 1.4)
        self.fall, self.beta = self.rng.uniform(0, 1), float(self.rng.choice([0.05, 0.1, 0.3]))
        self.pairs = self.rng.standard_normal(int(self.rng.choice([200, 500, 1000])))
        steps = np.arange(251)
        rate = np.where(steps < 25, steps / 25, 0.5 * (1 + np.cos(np.pi * (steps - 25) / 225)))
        self.grown = 1 - np.exp(-4 * np.cumsum(rate) / rate.sum())

    def rewards(self, step: int, z):
        grown = self.grown[step]
        margin = self.spread * grown * (self.mean * min(1.0, 1.6 * grown) + z)
        chosen = 0.45 * margin - self.fall * self.spread * grown * self.mean
        return chosen, chosen - margin

    def metrics(self, split, chosen, rejected):
        h = chosen - rejected
        means = {"loss": np.logaddexp(0, -h), "rewards/chosen": chosen, "rewards/rejected": rejected}
        means |= {"rewards/margins": h, "rewards/accuracies": h > 0, "logps/chosen": chosen / self.beta - 180}
        return {f"{split}/{key}": float(np.mean(values)) for key, values in means.items()}

    def evidence(self) -> Evidence:
        points: dict[str, dict[int, float]] = {}
        for step in range(10, 251, 10):
            logged = self.metrics("train", *self.rewards(step - 5, self.rng.standard_normal(160)))
            logged["train/grad_norm"] = math.exp(self.rng.normal(1, 0.15) + 0.05 * self.rng.standard_t(5))
            if step % 50 == 0:
                noise = 0.15 * self.rng.standard_normal(len(self.pairs))
                logged |= self.metrics("eval", *self.rewards(step, self.pairs + noise))
            for key, value in logged.items():
                points.setdefault(key, {})[step] = value
        history = {key: series(values, 250) for key, values in points.items()}
        config = {"beta": self.beta, "loss_type": ["sigmoid"], "learning_rate": 5e-7, "per_device_train_batch_size": 16}
        about = {"step": 250, "max_steps": 250, "n": len(self.pairs), "config": config, "metrics": {}}
        return Evidence(with_evaluations(run("a", **about), history), history)


def test_three_hundred_healthy_runs_of_another_making_raise_two_alarms_at_most():
    alarms = [
        finding.id
        for seed in range(300)
        for finding in checks.findings(study([Job(seed).evidence()]), "best")
        if finding.severity != "info"
    ]
    assert len(alarms) <= 2, alarms
