"""Per-pair scores and the metrics made of them are exact."""

import math

import pytest


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model, pairs_file):
    """A run of 6 steps with evaluation batches of 3: the 4 evaluation pairs come as 3 + 1."""
    from training.run import main

    runs = tmp_path_factory.mktemp("runs")
    arguments = {
        "runs": runs,
        "name": "tiny",
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": 6,
        "learning_rate": 3e-3,
        "eval_steps": 3,
        "logging_steps": 2,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 3,
        "sample_max_new_tokens": 4,
    }
    assert main(["-q", *(f"--{key}={value}" for key, value in arguments.items())]) == 0
    return runs / "tiny"


def naive(model, tokenizer, prompt: str, answer: str) -> float:
    """The answer's log-probability, one token after the other, each from a full softmax."""
    import torch

    start = tokenizer(prompt)["input_ids"]
    ids = tokenizer(prompt + answer + tokenizer.eos_token)["input_ids"]
    with torch.no_grad():
        logps = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logps[at - 1, ids[at]]) for at in range(len(start), len(ids)))


def test_scores_equal_a_naive_loop_over_tokens(trained, tiny_model):
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer, GPT2LMHeadModel

    from training.record import reader

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    policy = GPT2LMHeadModel.from_pretrained(trained / "checkpoints" / "checkpoint-6").eval()
    reference = GPT2LMHeadModel.from_pretrained(tiny_model).eval()
    digest = reader.read_run(trained).data["eval"]
    texts = pq.read_table(trained.parent / ".shared" / digest / "pairs.parquet").to_pylist()
    scores = {row["pair_id"]: row for row in reader.read_scores(trained, 6).to_pylist()}
    assert len(texts) == len(scores) == 4
    for pair in texts:
        row = scores[pair["pair_id"]]
        for side in ("chosen", "rejected"):
            expected = naive(policy, tokenizer, pair["prompt"], pair[side])
            assert row[f"{side}_logp"] == pytest.approx(expected, abs=1e-4)
            expected = naive(reference, tokenizer, pair["prompt"], pair[side])
            assert row[f"ref_{side}_logp"] == pytest.approx(expected, abs=1e-4)
            tokens = len(tokenizer(pair["prompt"] + pair[side])["input_ids"]) - len(
                tokenizer(pair["prompt"])["input_ids"]
            )
            assert row[f"{side}_tokens"] == tokens + 1  # the end of the sequence is scored too
            assert not row[f"{side}_truncated"]


def test_the_logged_loss_is_the_mean_over_pairs_not_over_batches(trained):
    """softplus(-beta h), each pair once; TRL's own mean takes the batch of one pair as often as the batch of three."""
    from training.record import reader

    rows = reader.read_scores(trained, 6).to_pylist()
    margins = [r["chosen_logp"] - r["ref_chosen_logp"] - r["rejected_logp"] + r["ref_rejected_logp"] for r in rows]
    losses = [math.log1p(math.exp(-0.1 * h)) for h in margins]
    last = reader.read_run(trained).metrics
    assert last["eval/loss"] == pytest.approx(sum(losses) / 4, abs=1e-6)
    assert last["eval/rewards/margins"] == pytest.approx(0.1 * sum(margins) / 4, abs=1e-6)
    assert last["eval/trl/rewards/margins"] != pytest.approx(0.1 * sum(margins) / 4, abs=1e-5)
    by_batch = [(sum(margins) - h) / 6 + h / 2 for h in margins]  # whichever pair came alone
    assert any(last["eval/trl/rewards/margins"] == pytest.approx(0.1 * mean, abs=1e-5) for mean in by_batch)


def test_before_training_the_loss_is_ln_2_and_nothing_is_preferred(trained):
    from training.record.history import read_history

    history = read_history(trained)
    assert history["eval/loss"].steps[0] == 0
    assert history["eval/loss"].values[0] == pytest.approx(math.log(2), abs=1e-6)
    assert history["eval/rewards/accuracies"].values[0] == 0.5
    assert history["eval/trl/rewards/accuracies"].values[0] == 0.0  # TRL's strict > calls every tie wrong


def test_every_evaluation_is_scored_and_sampled(trained):
    from training.record import reader

    assert reader.score_steps(trained) == [0, 3, 6]
    samples = reader.read_samples(trained)
    assert sorted({row["step"] for row in samples}) == [0, 3, 6]
    assert all(row["base"] == row["dpo"] for row in samples if row["step"] == 0)
    assert all(row["tokens"] <= 4 for row in samples)


def test_truncation_is_flagged_on_the_side_that_was_cut(tmp_path, tiny_model, pairs_file):
    """The rejected answers are longer: a limit between the two cuts them only."""
    from transformers import AutoTokenizer

    from training.record import reader
    from training.run import main

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    prompt, chosen = "Is 10 a number?", " Yes, 10 is a number.."
    limit = len(tokenizer(prompt + chosen)["input_ids"]) + 1
    arguments = {"runs": tmp_path, "name": "cut", "model_name_or_path": tiny_model, "dataset_name": pairs_file}
    options = {"max_length": limit, "max_steps": 1, "sample_max_new_tokens": 1}
    assert main(["-q", *(f"--{key}={value}" for key, value in {**arguments, **options}.items())]) == 0
    rows = reader.read_scores(tmp_path / "cut", 0).to_pylist()
    assert all(row["rejected_truncated"] for row in rows)
    assert not any(row["chosen_truncated"] for row in rows)


def test_keep_end_cuts_the_prompt_first(tmp_path, tiny_model, pairs_file):
    """With room for both answers and no prompt, nothing of them is cut, and their first token has some context."""
    from transformers import AutoTokenizer

    from training.record import reader
    from training.run import main

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    answer = " No, 10 is not a number at all!!"
    limit = len(tokenizer(answer)["input_ids"]) + 3
    arguments = {"runs": tmp_path, "name": "end", "model_name_or_path": tiny_model, "dataset_name": pairs_file}
    options = {"max_length": limit, "max_steps": 1, "sample_max_new_tokens": 1, "truncation_mode": "keep_end"}
    assert main(["-q", *(f"--{key}={value}" for key, value in {**arguments, **options}.items())]) == 0
    rows = reader.read_scores(tmp_path / "end", 0).to_pylist()
    assert not any(row["rejected_truncated"] or row["chosen_truncated"] for row in rows)
    assert all(row["chosen_tokens"] > 1 for row in rows)


@pytest.mark.parametrize(
    ("loss_type", "more"),
    [
        ("sigmoid", {}),
        ("ipo", {}),
        ("hinge", {}),
        ("robust", {"label_smoothing": 0.1}),
        ("apo_zero", {}),
        ("sigmoid_norm", {}),
        ("bco_pair", {}),
    ],
)
def test_scores_are_sums_in_nats_whatever_the_loss(loss_type, more, tmp_path, tiny_model, pairs_file):
    """The reward is beta times the log-ratio summed over tokens, also where the loss is per token (ipo)."""
    import pyarrow.parquet as pq
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from training.record import reader
    from training.run import main

    told = {
        "runs": tmp_path,
        "name": "a",
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "loss_type": loss_type,
        "beta": 0.3,
        "max_steps": 2,
        "learning_rate": 1e-3,
        "sample_max_new_tokens": 2,
        **more,
    }
    assert main(["-q", *(f"--{key}={value}" for key, value in told.items())]) == 0
    run = reader.read_run(tmp_path / "a")
    assert run.config["loss_type"] == [loss_type]
    scores = reader.read_scores(tmp_path / "a", 2).to_pylist()
    h = [
        row["chosen_logp"] - row["ref_chosen_logp"] - row["rejected_logp"] + row["ref_rejected_logp"] for row in scores
    ]
    assert run.metrics["eval/rewards/margins"] == pytest.approx(0.3 * sum(h) / len(h), rel=1e-6)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "a" / "checkpoints" / "checkpoint-2", dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    (pair,) = [
        pair
        for pair in pq.read_table(tmp_path / ".shared" / run.data["eval"] / "pairs.parquet").to_pylist()
        if pair["pair_id"] == scores[0]["pair_id"]
    ]
    prompt = tokenizer(pair["prompt"])["input_ids"]
    whole = tokenizer(pair["prompt"] + pair["chosen"] + tokenizer.eos_token)["input_ids"]
    with torch.no_grad():
        logps = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    naive = sum(float(logps[at - 1, whole[at]]) for at in range(len(prompt), len(whole)))
    assert scores[0]["chosen_logp"] == pytest.approx(naive, abs=1e-4)
