"""Which runs may be compared: by hashes, by the reference's log-probabilities, and by what is only assumed."""

import math
from array import array
from dataclasses import replace

import pytest

from dashboard.analysis import comparability, losses
from dashboard.analysis.losses import loss_hint, untrained_loss, untrained_words
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run, Series


def run(
    name, reference=(-340.0, -400.0), scale=1.0, beta=0.1, data=None, source="export.csv", n=1000, **config
) -> Evidence:
    """A row of a runs table; its rewards are beta * (logps - reference). No log-probabilities without a reference."""
    metrics = {"eval/loss": 0.5, "eval/rewards/accuracies": 0.8}
    if reference is not None:
        for side, start, moved in zip(("chosen", "rejected"), reference, (-30.123457, -70.765432), strict=True):
            metrics |= {f"eval/logps/{side}": start + scale * moved, f"eval/rewards/{side}": beta * scale * moved}
    about = {"beta": beta, **config}
    return Evidence(Run(name, name, source, "finished", config=about, metrics=metrics, n_eval=n, data=data or {}))


def own(name, digest="a" * 16, **kwargs) -> Evidence:
    return run(name, data={"eval": digest, "dataset": "ours"}, source="runs", max_length=512, **kwargs)


def members(groups):
    return [[one.id for one in group.runs] for group in groups]


def test_one_reference_makes_one_group_and_it_is_proven():
    (group,) = comparability.accuracy_groups(study([run("a"), run("b", scale=2), run("c", scale=0.3)]))
    assert (group.id, group.label, group.proven) == ("reference-340-400", "1,000 pairs of export.csv", True)


def test_another_reference_parts_runs_of_one_file():
    groups = comparability.accuracy_groups(study([run("a"), run("b", scale=2), run("c", reference=(-300.0, -410.0))]))
    assert members(groups) == [["a", "b"], ["c"]]
    assert groups[1].label == "1,000 pairs of export.csv, reference-300-410"


def test_a_runs_table_row_joins_our_own_run_on_the_same_pairs():
    """The foreign rows have no hash; the reference's log-probabilities are those of the run that has one."""
    (group,) = comparability.accuracy_groups(study([run("a"), own("b", scale=2)]))
    assert group.id == "pairs-aaaaaaaa/length-512/reference-340-400"
    assert group.proven


def test_other_hashes_are_other_sets_even_with_equal_references():
    assert members(comparability.accuracy_groups(study([own("a"), own("b", digest="b" * 16, scale=2)]))) == [
        ["a"],
        ["b"],
    ]


def test_another_max_length_is_another_group():
    longer = own("b", scale=2)
    longer = replace(longer, run=replace(longer.run, config={**longer.run.config, "max_length": 1024}))
    assert members(comparability.accuracy_groups(study([own("a"), longer]))) == [["a"], ["b"]]


def test_without_log_probabilities_source_and_number_are_assumed():
    groups = comparability.accuracy_groups(
        study([run("a", reference=None), run("b", reference=None), run("c", reference=None, n=50)])
    )
    assert members(groups) == [["a", "b"], ["c"]]
    assert not any(group.proven for group in groups)
    assert groups[0].id.startswith("source-")


def test_a_run_that_tells_nothing_is_assumed_with_its_file_if_that_is_one_group():
    (group,) = comparability.accuracy_groups(study([run("a"), run("b", scale=2), run("c", reference=None)]))
    assert not group.proven
    parted = comparability.accuracy_groups(
        study([run("a"), run("b", reference=(-9.0, -8.0)), run("c", reference=None)])
    )
    assert len(parted) == 3


def test_the_fingerprint_of_the_reference_proves_where_nothing_was_evaluated():
    model = {"reference": {"fingerprint": "f" * 64}}
    first = own("a", reference=None)
    first = replace(first, run=replace(first.run, data={**first.run.data, **model}))
    second = replace(first, run=replace(first.run, id="b"))
    (group,) = comparability.accuracy_groups(study([first, second]))
    assert (group.id, group.proven) == ("pairs-aaaaaaaa/length-512/model-ffffffff", True)


def test_loss_groups_part_by_beta_loss_type_and_arguments():
    runs = [
        run("a", loss_type="sigmoid"),
        run("b", scale=2, loss_type=["sigmoid"], label_smoothing=0.0),
        run("c", scale=3, loss_type="sigmoid", beta=0.5),
        run("d", scale=4, loss_type="ipo"),
        run("e", scale=5, loss_type="sigmoid", label_smoothing=0.1),
        run("f", scale=6),
    ]
    groups = comparability.loss_groups(study(runs))
    assert members(groups) == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]
    assert [group.id.partition("400/")[2] for group in groups] == [
        "sigmoid/beta-0.1",
        "sigmoid/beta-0.5",
        "ipo/beta-0.1",
        "sigmoid/beta-0.1/label_smoothing-0.1",
        "loss-type-not-stated/beta-0.1",
    ]
    assert [group.proven for group in groups] == [True, True, True, True, False]


def test_loss_groups_take_the_proven_beta_and_not_the_stated_one():
    wrong = run("c", scale=3, loss_type="sigmoid")
    wrong = replace(wrong, run=replace(wrong.run, config={**wrong.run.config, "beta": 0.9}))
    groups = comparability.loss_groups(
        study([run("a", loss_type="sigmoid"), run("b", scale=2, loss_type="sigmoid"), wrong])
    )
    assert members(groups) == [["a", "b", "c"]]


def test_a_raw_loss_is_refused_across_betas_and_an_accuracy_never():
    runs = [run("a", beta=0.1).run, run("b", beta=0.5).run]
    refused = comparability.refusal(runs, "eval/loss")
    assert refused is not None
    assert refused.startswith("Beta differs (0.1–0.5): eval/loss is on another scale for each;")
    assert comparability.refusal(runs, "eval/rewards/accuracies") is None
    assert comparability.refusal(runs, "eval/rewards/margins").endswith("divide by beta to compare.")
    assert comparability.refusal(runs[:1], "eval/loss") is None


def config(**given) -> Run:
    return Run("a", "a", "s", "finished", config=given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"loss_type": ["hinge"]}, 1.0),
        ({"loss_type": "nca_pair"}, 2 * math.log(2)),
        ({"loss_type": "bco_pair"}, 1.386),
        ({"loss_type": "discopop"}, 0.847),
        ({"loss_type": "exo_pair", "label_smoothing": 1e-3}, 2.761),
        ({"loss_type": "ipo", "beta": 0.1}, 25.0),
        ({"loss_type": "ipo", "beta": 0.01}, 2500.0),
        ({"loss_type": "sppo_hard", "beta": 0.1}, 50.0),
        ({"loss_type": ["sigmoid", "hinge"], "loss_weights": [1.0, 0.5]}, 1.193),
        ({"loss_type": "ipo"}, None),
        ({"loss_type": "exo_pair"}, None),
        ({"loss_type": ["sigmoid", "sft"]}, None),
        ({"loss_type": "kto_pair"}, None),
        ({"loss_type": "sigmoid", "loss_weights": [1.0, 2.0]}, None),
        ({}, math.log(2)),
    ],
)
def test_the_untrained_loss_of_every_loss_type(given, expected):
    """Diagnostics 3.8; weighted: ln 2 + 0.5 * 1."""
    assert untrained_loss(config(**given)) == (None if expected is None else pytest.approx(expected, abs=5e-4))


def test_the_untrained_loss_is_the_trainers_own():
    trl = pytest.importorskip("trl")
    from training.watch import untrained_loss as of_training

    for kind in (
        "sigmoid",
        "hinge",
        "ipo",
        "robust",
        "nca_pair",
        "sppo_hard",
        "apo_down",
        "discopop",
        "aot",
        "exo_pair",
    ):
        given = {"loss_type": [kind], "beta": 0.3, "label_smoothing": 0.01}
        arguments = trl.DPOConfig(output_dir="unused", report_to=[], use_cpu=True, **given)
        assert untrained_loss(config(**given)) == pytest.approx(of_training(arguments))


def test_an_ipo_loss_below_its_start_is_not_worse_than_untrained():
    ipo = config(loss_type="ipo", beta=0.1)
    assert not comparability.worse_than_untrained(ipo, 24.19)
    assert comparability.worse_than_untrained(ipo, 25.5)


def test_words_say_what_is_assumed():
    assert untrained_words(config(loss_type="ipo", beta=0.1)) == "25.0000"
    assert untrained_words(config()).startswith("ln 2 = 0.6931, if it is the sigmoid loss")


@pytest.mark.parametrize(("beta", "loss"), [(0.1, 24.19), (0.1, 19.69), (0.2, 5.42), (0.275, 2.9)])
def test_a_loss_of_ipos_size_is_hinted_at(beta, loss):
    """The decimal-comma table: 1 / (4 * 0.1^2) = 25, 1 / (4 * 0.2^2) = 6.25, 1 / (4 * 0.275^2) = 3.31."""
    hint = loss_hint(Evidence(Run("a", "a", "s", "unknown", config={"beta": beta}, metrics={"eval/loss": loss})))
    assert hint is not None
    assert (hint.loss_types, hint.proven) == (("ipo",), False)


@pytest.mark.parametrize(("beta", "loss"), [(0.1, 0.45), (0.5, 2.09), (0.1, 3.0), (0.1, math.nan), (None, 24.0)])
def test_a_loss_that_may_be_sigmoid_is_not(beta, loss):
    assert (
        loss_hint(Evidence(Run("a", "a", "s", "unknown", config={"beta": beta}, metrics={"eval/loss": loss}))) is None
    )


@pytest.mark.parametrize(
    ("key", "step", "loss", "kinds"),
    [
        ("eval/loss", 0, 25.0, ("ipo",)),
        ("eval/loss", 0, 0.69315, ("sigmoid",)),
        ("train/loss", 1, 1.0, ("hinge",)),
        ("eval/loss", 0, 0.3, None),
    ],
)
def test_the_loss_before_training_proves_the_type(key, step, loss, kinds):
    nothing = array("d", [math.nan])
    history = {key: Series(array("q", [step]), nothing, nothing, array("d", [loss]))}
    hint = loss_hint(Evidence(Run("a", "a", "s", "unknown", config={"beta": 0.1}), history))
    assert (hint and (hint.loss_types, hint.proven)) == (kinds and (kinds, True))
    assert losses.loss_hint(Evidence(config(loss_type="sigmoid", beta=0.1), history)) is None


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        (["a.csv"], "1,000 pairs of a.csv"),
        (["a.csv", "b.csv", "a.csv"], "1,000 pairs of a.csv and b.csv"),
        (["a.csv", "b.csv", "c.csv"], "1,000 pairs of a.csv and 2 more sources"),
    ],
)
def test_a_group_is_named_after_all_its_sources(sources, name):
    runs = [run(str(number), source=source, scale=1 + number) for number, source in enumerate(sources)]
    (group,) = comparability.accuracy_groups(study(runs))
    assert group.label == name


def test_a_group_by_hash_is_named_after_its_data_and_the_number_that_some_run_tells():
    runs = [own("a", n=None).run, own("b").run, own("c").run]
    (group,) = comparability.evaluation_sets(runs)
    assert group.name == "1,000 pairs of ours"


def test_a_group_tells_on_how_many_scales_its_losses_are():
    """Beta 0.1, 0.1 and 0.2 are two scales; the same runs at one beta are on one."""
    for betas, scales in (((0.1, 0.1, 0.2), 2), ((0.1, 0.1, 0.1), 1)):
        runs = [run(str(n), beta=beta, scale=1 + n, loss_type=["sigmoid"]) for n, beta in enumerate(betas)]
        (group,) = comparability.accuracy_groups(study(runs))
        assert group.scales == scales == len(comparability.loss_groups(study(runs)))


def test_a_group_has_the_betas_that_are_proven_and_stated_nowhere():
    """Run c states no beta; the reference that a and b share proves its 0.1."""
    runs = [run("a"), run("b", scale=2), run("c", scale=3)]
    silent = replace(runs[2].run, config={})
    (group,) = comparability.accuracy_groups(study([*runs[:2], Evidence(silent)]))
    assert group.recovered == {"c": pytest.approx(0.1)}
