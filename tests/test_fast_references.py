"""Runs of one folder compute the reference's scores once, and get the numbers of TRL's own steps."""

import gc
import json
import shutil
import weakref

import numpy as np
import pytest

from training.record import reader

STEPS = 4


def arguments(runs, name, tiny_model, pairs_file, **more):
    told = {
        "runs": runs,
        "name": name,
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": STEPS,
        "learning_rate": 3e-3,
        "eval_steps": 2,
        "logging_steps": 1,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 2,
        **more,
    }
    return ["-q", *(f"--{key}={value}" for key, value in told.items())]


def counts(run):
    return json.loads((run / "config.json").read_text())["data"]["reference"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_model, pairs_file):
    """Two runs of 4 steps of 4 pairs and one of 12, in one folder, and one by TRL's own steps."""
    from training.run import main

    folder = tmp_path_factory.mktemp("runs")
    for name, more in (
        ("first", {}),
        ("second", {}),
        ("longer", {"max_steps": 12, "eval_steps": 12}),
        ("stock", {"fast": False}),
    ):
        assert main(arguments(folder, name, tiny_model, pairs_file, **more)) == 0
    return folder


def test_only_pairs_that_training_comes_to_are_computed(runs):
    """4 steps of 4 pairs: 16 of the 36 for training, and all 4 for evaluation."""
    found = counts(runs / "first")
    assert found["train"] == {"found": 0, "computed": 16}
    assert found["eval"] == {"found": 0, "computed": 4}


def test_a_run_that_finds_them_computes_none(runs):
    assert counts(runs / "second")["train"] == {"found": 16, "computed": 0}
    assert counts(runs / "second")["eval"] == {"found": 4, "computed": 0}


def test_a_longer_run_computes_the_rest(runs):
    assert counts(runs / "longer")["train"] == {"found": 16, "computed": 20}


def test_trls_own_steps_share_nothing(runs):
    assert counts(runs / "stock") is None


@pytest.mark.parametrize(
    "key", ["train/loss", "eval/loss", "train/rewards/margins", "eval/logps/chosen", "eval/entropy"]
)
def test_the_numbers_are_those_of_trls_own_steps(runs, key):
    from training.record.history import read_history

    stock = read_history(runs / "stock")[key]
    for name in ("first", "second"):
        ours = read_history(runs / name)[key]
        assert list(ours.steps) == list(stock.steps)
        assert list(ours.values) == pytest.approx(list(stock.values), rel=1e-4, abs=1e-5)


def test_scores_say_the_same_reference_to_rounding(runs):
    stock, ours = (reader.read_scores(runs / name, STEPS) for name in ("stock", "second"))
    assert ours["pair_id"].to_pylist() == stock["pair_id"].to_pylist()
    for column in ("chosen_logp", "ref_chosen_logp", "ref_rejected_logp"):
        assert ours[column].to_pylist() == pytest.approx(stock[column].to_pylist(), abs=1e-4)


def test_an_adapter_has_the_reference_of_its_base_model(runs, tiny_model, pairs_file):
    from training.run import main

    more = {"use_peft": True, "lora_target_modules": "c_attn"}
    assert main(arguments(runs, "lora", tiny_model, pairs_file, **more)) == 0
    assert counts(runs / "lora")["train"] == {"found": 16, "computed": 0}


def test_a_damaged_store_is_computed_again_and_told(tmp_path, runs, tiny_model, pairs_file):
    from training.run import main

    shutil.copytree(runs / ".shared" / "reference", tmp_path / ".shared" / "reference")
    for segment in (tmp_path / ".shared" / "reference").rglob("*.parquet"):
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)
    assert main(arguments(tmp_path, "a", tiny_model, pairs_file)) == 0
    assert counts(tmp_path / "a")["train"] == {"found": 0, "computed": 16}
    notices = [json.loads(line)["message"] for line in (tmp_path / "a" / "notices.jsonl").read_text().splitlines()]
    assert len([message for message in notices if "not used" in message]) == len(set(notices)) > 0


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_second_run_of_a_warm_process_starts_from_the_first_evaluation(tmp_path, tiny_model, pairs_file):
    """The evaluation before training is not made again: the same scores, samples and metrics, at any beta."""
    from training.arguments import parse
    from training.dpo import train
    from training.kept import Kept
    from training.record.history import read_history

    kept = Kept(lasting=True)
    for name, beta in (("cold", 0.1), ("warm", 0.4)):
        outcome = train(parse(arguments(tmp_path, name, tiny_model, pairs_file, beta=beta)), kept)
        assert outcome.status == "finished", outcome.error
    cold, warm = (read_history(tmp_path / name) for name in ("cold", "warm"))
    for key in ("eval/loss", "eval/rewards/accuracies", "eval/logps/chosen", "eval/entropy", "eval/logits/chosen"):
        assert warm[key].steps[0] == 0
        assert warm[key].values[0] == pytest.approx(cold[key].values[0], rel=1e-6), key
    scores = [reader.read_scores(tmp_path / name, 0).to_pydict() for name in ("cold", "warm")]
    assert scores[0]["pair_id"] == scores[1]["pair_id"]
    assert scores[1]["chosen_logp"] == pytest.approx(scores[0]["chosen_logp"], abs=1e-4)
    assert scores[1]["chosen_logp"] == scores[1]["ref_chosen_logp"]
    samples = [[row for row in reader.read_samples(tmp_path / name) if row["step"] == 0] for name in ("cold", "warm")]
    assert samples[0] == samples[1]


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_warm_process_trains_as_a_cold_one(tmp_path, tiny_model, pairs_file):
    """The second run of a process, on a copy of the kept model, ends with the weights of a run of its own process."""
    import torch
    from transformers import AutoModelForCausalLM

    from training.arguments import parse
    from training.dpo import train
    from training.kept import Kept

    kept = Kept(lasting=True)
    train(parse(arguments(tmp_path, "other", tiny_model, pairs_file, beta=0.5, learning_rate=1e-2)), kept)
    train(parse(arguments(tmp_path, "warm", tiny_model, pairs_file)), kept)
    train(parse(arguments(tmp_path, "cold", tiny_model, pairs_file)))
    warm, cold = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name / "checkpoints" / f"checkpoint-{STEPS}").state_dict()
        for name in ("warm", "cold")
    )
    assert all(torch.equal(warm[name], cold[name]) for name in cold)


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_judge_ends_a_run_and_says_why(tmp_path, tiny_model, pairs_file):
    from training.arguments import parse
    from training.dpo import train

    def judge(step, max_steps, scores, metrics):
        assert max_steps == STEPS
        assert len(scores) == 4
        return "far behind" if step == 2 and metrics["eval/common_beta_loss"] > 0 else None

    outcome = train(parse(arguments(tmp_path, "a", tiny_model, pairs_file, common_beta=0.2)), judge=judge)
    assert outcome.status == "pruned"
    run = reader.read_run(tmp_path / "a")
    assert (run.status, run.step) == ("pruned", 2)
    assert ("pruned", "far behind") in [(n["kind"], n["message"]) for n in reader.read_notices(tmp_path / "a")]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"ld_alpha": 0.5}, "--ld_alpha"),
        ({"disable_dropout": False}, "--disable_dropout false"),
        ({"neftune_noise_alpha": 5.0}, "--neftune_noise_alpha"),
    ],
)
def test_where_scores_cannot_be_shared_trls_own_steps_are_taken_and_told(tmp_path, tiny_model, pairs_file, more, named):
    from training.run import main

    assert main(arguments(tmp_path, "a", tiny_model, pairs_file, **more)) == 0
    assert counts(tmp_path / "a") is None
    assert [n["message"] for n in reader.read_notices(tmp_path / "a") if named in n["message"]]


def warm(told, kept):
    """One run of a process that makes several."""
    from training.arguments import parse
    from training.dpo import train

    outcome = train(parse(told), kept)
    assert outcome.status == "finished", outcome.error
    return outcome.directory


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_warm_process_keeps_no_trainer_and_tells_each_run_its_own_damage(
    tmp_path, tiny_model, pairs_file, monkeypatch
):
    """A trainer holds a model and its optimizer: with each that stays, a worker grows."""
    from training.fast.trainer import ReferenceTrainer
    from training.kept import Kept

    trainers = []
    build = ReferenceTrainer.__init__
    monkeypatch.setattr(
        ReferenceTrainer,
        "__init__",
        lambda self, *a, **k: (trainers.append(weakref.ref(self)), build(self, *a, **k))[1],
    )
    kept = Kept(lasting=True)
    first = warm(arguments(tmp_path, "first", tiny_model, pairs_file), kept)
    gc.collect()
    assert [trainer() for trainer in trainers] == [None]
    segment = next((tmp_path / ".shared" / "reference").rglob("*.parquet"))
    shutil.copy(segment, segment.with_name(f"{'0' * 64}.parquet"))
    second = warm(arguments(tmp_path, "second", tiny_model, pairs_file), kept)
    assert counts(second)["train"] == {"found": 16, "computed": 0}
    told = [
        [n["message"] for n in reader.read_notices(run) if "is not used" in n["message"]] for run in (first, second)
    ]
    assert [len(lines) for lines in told] == [0, 1]


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_warm_process_starts_with_what_a_cold_one_logs_in_batches_of_another_size(tmp_path, tiny_model, pairs):
    """eval/logits/chosen is TRL's mean over batches of their means: 10 pairs of unlike lengths, by 4 and by 1."""
    from training.kept import Kept
    from training.record.history import read_history

    pairs_file = tmp_path / "unlike.jsonl"
    unlike = [{**pair, "chosen": pair["chosen"] * (1 + n % 5)} for n, pair in enumerate(pairs)]
    pairs_file.write_text("".join(json.dumps(pair) + "\n" for pair in unlike))
    kept = Kept(lasting=True)
    more = {"dataset_test_size": 0.25, "per_device_eval_batch_size": 1}
    warm(arguments(tmp_path, "other", tiny_model, pairs_file, **more | {"per_device_eval_batch_size": 4}), kept)
    runs = [
        warm(arguments(tmp_path, name, tiny_model, pairs_file, **more), k)
        for name, k in (("warm", kept), ("cold", Kept()))
    ]
    starts = [read_history(run)["eval/logits/chosen"].values[0] for run in runs]
    assert starts[0] == pytest.approx(starts[1], rel=1e-5)


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_warm_process_answers_anew_for_a_model_that_generates_otherwise(tmp_path, tiny_model, pairs_file):
    """The same weights, but always the likeliest token."""
    from training.kept import Kept

    greedy = tmp_path / "greedy"
    shutil.copytree(tiny_model, greedy)
    settings = json.loads((greedy / "generation_config.json").read_text())
    (greedy / "generation_config.json").write_text(json.dumps({**settings, "do_sample": True, "top_k": 1}))
    kept, more = Kept(lasting=True), {"sample_max_new_tokens": 8}
    warm(arguments(tmp_path / "runs", "other", tiny_model, pairs_file, **more), kept)
    runs = [
        warm(arguments(tmp_path / "runs", name, greedy, pairs_file, **more), k)
        for name, k in (("warm", kept), ("cold", Kept()))
    ]
    answers = [[row["dpo"] for row in reader.read_samples(run) if row["step"] == 0] for run in runs]
    assert answers[0] == answers[1]


def test_batches_that_accelerate_splits_are_those_of_trl(tmp_path, tiny_model, pairs_file):
    from training.run import main

    more = {"accelerator_config": '{"split_batches": true}'}
    assert main(arguments(tmp_path, "a", tiny_model, pairs_file, **more)) == 0


@pytest.mark.filterwarnings("ignore")  # as training.run does
def test_a_reference_that_is_not_finite_is_told_as_what_it_is(tmp_path, tiny_model, pairs_file, monkeypatch):
    """The pairs of training were foreseen, and their reference scores computed: NaN."""
    from training.arguments import parse
    from training.dpo import train
    from training.fast.references import References

    compute = References._batch

    def batch(self, trainer, dataset, rows):
        return compute(self, trainer, dataset, rows) if "train" in self.counts else np.full((len(rows), 2), np.nan)

    monkeypatch.setattr(References, "_batch", batch)
    outcome = train(parse(arguments(tmp_path, "a", tiny_model, pairs_file)))
    assert outcome.status == "failed"
    assert "the loss is" in outcome.error


@pytest.mark.skipif("__import__('torch').accelerator.is_available()", reason="there is an accelerator")
def test_offloading_without_an_accelerator_is_refused_in_a_line(tmp_path, tiny_model, pairs_file, capsys):
    from training.run import main

    assert main(arguments(tmp_path, "a", tiny_model, pairs_file, activation_offloading=True)) == 2
    assert "there is none here" in capsys.readouterr().err
