"""Whatever the runs are, the analysis raises nothing, and its sentences are sentences."""

import json
import math
import re
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dashboard.analysis.findings import checks
from dashboard.analysis.study import Evidence, Scores, study
from dashboard.reports import build, document, text
from dashboard.sources.imported import Corrections, Imported
from training.record.schema import Run, Series

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

STATES = ("finished", "running", "failed", "pruned", "stopped", "unknown")
ODD = (math.nan, math.inf, -math.inf, 0.0, 1.0, 0.5, -1.0, 1e-300, 1e300, 0.6931, 1 / 3)
KEYS = (
    *("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected", "logps/chosen"),
    *("logps/rejected", "runtime", "samples_per_second", "steps_per_second", "samples/gold", "grad_norm"),
)
LOGGED = [f"{split}/{key}" for split in ("eval", "train") for key in KEYS]

SEARCH = (Phase.explicit, Phase.reuse, Phase.generate)  # to shrink a whole study takes minutes

numbers = st.sampled_from(ODD) | st.floats(-500, 500) | st.floats(0, 1)
metrics = st.dictionaries(st.sampled_from(LOGGED), numbers)
configs = st.fixed_dictionaries(
    {},
    optional={
        "beta": st.sampled_from([0.01, 0.1, 0.1, 0.5, 0, -1, "0.1", None, math.nan, math.inf, 1e-320]),
        "learning_rate": st.sampled_from([1e-6, 1e-5, 3e-5, 1e-4, 0.0]),
        "loss_type": st.sampled_from(["sigmoid", "ipo", ["sigmoid", "sft"], [], "odd", 7, None]),
        "seed": st.sampled_from([1, 2, 42, "a"]),
        "per_device_train_batch_size": st.sampled_from([0, 1, 8, "many"]),
        "per_device_eval_batch_size": st.sampled_from([0, 3, 8]),
        "gradient_accumulation_steps": st.sampled_from([0, 1, 4]),
        "label_smoothing": st.sampled_from([0, 0.1, "x"]),
        "max_grad_norm": st.sampled_from([0, 1.0, math.nan]),
        "sync_ref_model": st.booleans(),
        "max_length": st.sampled_from([512, 1024, "long"]),
        "warmup_ratio": st.sampled_from([0.0, 0.1, 0.3, math.nan]),
        "optim": st.sampled_from(["adamw", "rmsprop", "x" * 300]),
    },
)


@st.composite
def curves(draw):
    keys = draw(st.lists(st.sampled_from(LOGGED), unique=True))
    found = {}
    for key in keys:
        steps = sorted(draw(st.sets(st.integers(0, 400), max_size=8)))
        values = draw(st.lists(numbers, min_size=len(steps), max_size=len(steps)))
        epochs = draw(st.sampled_from([math.nan, 0.01]))
        found[key] = Series(
            array("q", steps),
            array("d", [epochs * step for step in steps]),
            array("d", [math.nan] * len(steps)),
            array("d", values),
        )
    return found


@st.composite
def scored(draw, step):
    n = draw(st.sampled_from([0, 1, 2, 5, 6, 12, 130]))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    prompts = draw(st.sampled_from([np.arange(n), np.zeros(n, dtype=np.int64), np.arange(n) // 2]))
    kind = draw(st.sampled_from(["normal", "same", "zero", "right", "wrong", "nan", "huge"]))
    chosen = rng.normal(0, 5, n)
    h = {
        "normal": rng.normal(1, 5, n),
        "same": np.full(n, 1.0),
        "zero": np.zeros(n),
        "right": rng.uniform(1, 9, n),
        "wrong": -rng.uniform(1, 9, n),
        "nan": np.where(np.arange(n) % 3, 1.0, math.nan),
        "huge": rng.normal(0, 1e6, n),
    }[kind]
    tokens = rng.integers(0, 40, (2, n))
    names = tuple(f"{draw(st.sampled_from('ab'))}{i}" for i in range(n))
    cut = rng.random(n) < draw(st.sampled_from([0.0, 0.5]))
    return Scores(step, names, prompts, chosen, chosen - h, chosen - 50, chosen - h - 60, *tokens, cut)


@st.composite
def evidences(draw, number):
    step = draw(st.sampled_from([None, 0, 1, 100, 400]))
    best_step = draw(st.sampled_from([None, 0, 1, 100]))
    count = st.sampled_from([None, 0, 1, 2, 3, 5, 6, 10, 1286])
    name = draw(st.sampled_from(["a", "b", "x" * 300]))
    audit = {"duplicates": {"exact": draw(st.integers(0, 50)), "eval_prompts_in_train": draw(st.integers(0, 50))}}
    run = Run(
        f"p-{number}",
        name,
        draw(st.sampled_from(["one", "two"])),
        draw(st.sampled_from(STATES)),
        draw(configs),
        draw(metrics),
        draw(metrics),
        best_step,
        step=step,
        max_steps=draw(st.sampled_from([None, 0, 100, 400])),
        epoch=draw(st.sampled_from([None, 0.0, 0.5, 3.0, math.nan])),
        n_eval=draw(count),
        data=draw(st.sampled_from([{}, {"eval": "e" * 16}, {"n_train": 50, "n_eval": 50, "audit": audit}])),
        environment=draw(st.sampled_from([{}, {"devices": 1, "dtype": "float32"}])),
        apart=draw(st.sampled_from([None, None, "a mean of several runs"])),
    )
    steps = draw(st.sets(st.sampled_from([0, 1, 100, 400]), max_size=2))
    samples = tuple(
        {"step": at, "prompt": str(i), "base": "yes " * i, "dpo": "no " * i, "tokens": i, "ended": i % 2 == 0}
        for at in draw(st.sampled_from([(), (0, 100), (0, 100, 400)]))
        for i in range(draw(st.sampled_from([1, 12])))
    )
    return Evidence(run, draw(curves()), {at: draw(scored(at)) for at in sorted(steps)}, samples)


@st.composite
def studies(draw):
    made = [draw(evidences(number)) for number in range(draw(st.integers(0, 5)))]
    copies = [replace(one, run=replace(one.run, id=f"{one.run.id}-copy")) for one in made if draw(st.booleans())]
    return study([*made, *copies])


def is_sound(sentence):
    """One or more whole sentences without a value that nobody wrote for people."""
    words = sentence.removeprefix("None of the ")
    assert not re.search(r"\b(nan|None|inf|True|False)\b", words), sentence
    assert sentence.endswith("."), sentence
    assert "  " not in sentence, sentence


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), phases=SEARCH)
@given(studies(), st.sampled_from(["best", "last"]))
def test_any_study_has_findings_in_sentences(runs, at):
    for finding in checks.findings(runs, at):
        is_sound(finding.sentence)
        assert set(finding.runs) <= set(runs)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=SEARCH)
@given(studies(), st.sampled_from(["best", "last"]))
def test_any_study_makes_a_report(runs, at):
    if not runs:
        return
    found = Imported(tuple(one.run for one in runs.values()), {run: one.history for run, one in runs.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build.reading, "read", lambda paths, told: found)
        patch.setattr(build, "study_of", lambda imported: runs)
        made = build.build([Path("made")], Corrections(), moment=at)
    content = made.content
    for sentence in (*content.verdict.sentences, *content.importance, *(one.reason for one in content.suggestions)):
        is_sound(sentence)
    json.loads(document.render(content))
    text.render(content, width=text.WIDTH, colour=False)
