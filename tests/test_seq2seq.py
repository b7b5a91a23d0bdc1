"""DPO for encoder-decoder models is TRL's DPO: same numbers as one model call per answer, without dropout."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from trl import DPOConfig

from training.data.tokens import Limits
from training.samples import Sampling, generate
from training.scoring import PAIR_INDEX
from training.seq2seq import LORA_TASK_TYPE, Seq2SeqScoringTrainer, add_seq2seq_head, disable_dropout

# TRL 1.16 reads and calls what Transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

LN_2 = math.log(2)
LOSS_TYPES = [
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(pairs: list[dict[str, str]]) -> PreTrainedTokenizerFast:
    """Words, numbered from 3, each text ended by </s>: T5's manner."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<pad>", "</s>", "<unk>"]
    words.train_from_iterator((t for p in pairs for t in p.values()), trainers.WordLevelTrainer(special_tokens=special))
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def tiny_t5(vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
    return T5ForConditionalGeneration(
        T5Config(vocab_size=vocabulary, dropout_rate=0.1, decoder_start_token_id=0, **sizes)
    )


def tiny_bart(vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(0)
    stack = {"layers": 2, "attention_heads": 2, "ffn_dim": 48, "layerdrop": 0.2}
    both = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in stack.items()}
    ids = {
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "decoder_start_token_id": 1,
        "forced_eos_token_id": 1,
    }
    rates = {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    config = BartConfig(
        vocab_size=vocabulary, d_model=32, max_position_embeddings=64, init_std=0.2, **both, **ids, **rates
    )
    return BartForConditionalGeneration(config)


@pytest.fixture(scope="module", params=[tiny_t5, tiny_bart], ids=["t5", "bart"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> str:
    """An untrained model with every kind of dropout its architecture has, saved."""
    path = tmp_path_factory.mktemp("encoder decoder")
    request.param(len(tokenizer)).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def encoded(pairs: list[dict[str, str]], tokenizer: Any) -> list[dict[str, Any]]:
    """Twelve pairs in the trainer's columns; prompts and answers differ in length."""
    chosen = pairs[:12]
    columns = {"prompt_ids": "prompt", "chosen_ids": "chosen", "rejected_ids": "rejected"}
    rows = [{ids: tokenizer(pair[text])["input_ids"] for ids, text in columns.items()} for pair in chosen]
    for at, row in enumerate(rows):
        row["prompt_ids"] = row["prompt_ids"][:1] * (at % 3) + row["prompt_ids"]
        row[PAIR_INDEX] = at
    return rows


@pytest.fixture
def make(folder: str, encoded: list[dict[str, Any]], tokenizer: Any, tmp_path: Any) -> Iterator[Any]:
    """Builds a trainer on the twelve pairs, with DPOConfig arguments as given."""

    def build(peft_config: LoraConfig | None = None, **options: Any) -> Seq2SeqScoringTrainer:
        defaults = {
            "output_dir": str(tmp_path),
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "disable_tqdm": True,
        }
        defaults |= {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 5, "logging_steps": 1, "beta": 0.5}
        defaults |= {"save_strategy": "no", "gradient_checkpointing": False}
        return Seq2SeqScoringTrainer(
            folder,
            args=DPOConfig(**defaults | options),
            train_dataset=Dataset.from_list(encoded).remove_columns(PAIR_INDEX),
            eval_dataset=Dataset.from_list(encoded),
            processing_class=tokenizer,
            peft_config=peft_config,
            pair_ids=[f"pair {at}" for at in range(len(encoded))],
            limits=Limits(options.get("max_length")),
        )

    yield build


def lora() -> LoraConfig:
    return LoraConfig(task_type=LORA_TASK_TYPE, r=4, target_modules="all-linear", exclude_modules=["lm_head"])


def load(folder: str) -> PreTrainedModel:
    from transformers import AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM.from_pretrained(folder)


def naive(model: PreTrainedModel, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Log-probability of each token of one answer, from the model's own handling of `labels`."""
    logits = model(input_ids=torch.tensor([prompt]), labels=torch.tensor([answer])).logits[0]
    return logits.log_softmax(-1)[range(len(answer)), answer]


def batch_of(trainer: Seq2SeqScoringTrainer, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    batch = trainer.data_collator([{k: v for k, v in row.items() if k != PAIR_INDEX} for row in rows])
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}


def test_two_training_passes_give_the_same_log_probabilities(make, encoded):
    trainer = make()
    inputs = batch_of(trainer, encoded)
    trainer.model.train()
    first, second = (trainer.model(**inputs, fused_lm_head=True).log_probs for _ in range(2))
    assert first.abs().sum() > 0
    assert torch.equal(first, second)


def test_the_rates_are_kept_where_dropout_is_asked_for(make, encoded):
    """The test above can fail: with the rates left as they are, two passes differ."""
    trainer = make(disable_dropout=False)
    inputs = batch_of(trainer, encoded)
    trainer.model.train()
    first, second = (trainer.model(**inputs, fused_lm_head=True).log_probs for _ in range(2))
    assert not torch.allclose(first, second)


def test_every_kind_of_rate_is_zeroed_and_none_of_the_config(folder):
    model = load(folder)
    disable_dropout(model)
    rates = {
        f"{name}.{key}": value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if key in ("p", "dropout", "attention_dropout", "activation_dropout", "layerdrop")
    }
    assert len(rates) > 8
    assert not any(rates.values())
    assert 0.1 in vars(model.config).values()  # what is saved still states the architecture's rate


def test_log_probabilities_equal_a_call_per_answer(make, folder, encoded):
    """Row layout of TRL: column t is about token t + 1, zero outside the answer."""
    trainer = make()
    inputs = batch_of(trainer, encoded)
    with torch.no_grad():
        output = trainer.model(**inputs, fused_lm_head=True)
    model = load(folder).eval()
    assert output.loss is None
    assert output.log_probs.shape == output.label_mask.shape == (24, inputs["input_ids"].shape[1] - 1)
    for row in range(24):
        pair = encoded[row % 12]
        answer = pair["chosen_ids" if row < 12 else "rejected_ids"]
        with torch.no_grad():
            expected = naive(model, pair["prompt_ids"], answer)
        start = len(pair["prompt_ids"]) - 1
        torch.testing.assert_close(output.log_probs[row, start : start + len(answer)], expected, atol=1e-5, rtol=0)
        assert torch.equal(output.label_mask[row].nonzero()[:, 0], torch.arange(start, start + len(answer)))
        assert not output.log_probs[row][~output.label_mask[row]].any()


def test_statistics_are_those_of_the_whole_distribution(folder, encoded):
    """Entropy -sum p ln p, ln sum p^2, mean logit, and whether the token is the likeliest, for one answer."""
    model = load(folder).eval()
    pair = encoded[0]
    prompt, answer = pair["prompt_ids"], pair["chosen_ids"]
    logits = model(input_ids=torch.tensor([prompt]), labels=torch.tensor([answer])).logits[0].detach().double()
    p = logits.softmax(-1)
    add_seq2seq_head(model, outputs=("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1"))
    row = torch.tensor([prompt + answer] * 2)
    labels = row.clone()
    labels[:, : len(prompt)] = -100
    found = model(input_ids=row, attention_mask=torch.ones_like(row), labels=labels, fused_lm_head=True)
    for name, expected in {
        "entropy": -(p * p.log()).sum(-1),
        "log_sum_sq_probs": (p**2).sum(-1).log(),
        "mean_logits": logits.mean(-1),
        "is_top1": logits.argmax(-1) == torch.tensor(answer),
    }.items():
        torch.testing.assert_close(found[name][1, len(prompt) - 1 :].to(expected.dtype), expected, atol=1e-5, rtol=0)


def test_gradients_equal_a_naive_loop(make, folder, encoded):
    """-ln sigmoid(0.5 h) averaged over pairs, against a reference that is not the policy, so that h differs from 0."""
    trainer = make()
    with torch.no_grad():
        for parameter in trainer.ref_model.parameters():
            parameter.mul_(0.9)
    reference, model = load(folder).eval(), load(folder)
    reference.load_state_dict(trainer.ref_model.state_dict())
    disable_dropout(model.train())
    batch = trainer.data_collator([{k: v for k, v in row.items() if k != PAIR_INDEX} for row in encoded])
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    losses = []
    for pair in encoded:
        ratio = {}
        for side in ("chosen_ids", "rejected_ids"):
            with torch.no_grad():
                before = naive(reference, pair["prompt_ids"], pair[side]).sum()
            ratio[side] = naive(model, pair["prompt_ids"], pair[side]).sum() - before
        losses.append(-torch.nn.functional.logsigmoid(0.5 * (ratio["chosen_ids"] - ratio["rejected_ids"])))
    expected = torch.stack(losses).mean()
    expected.backward()
    assert abs(expected.item() - LN_2) > 0.01
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    wanted = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert len(wanted) > 20
    assert max(float(grad.abs().max()) for grad in wanted.values()) > 1e-2
    for name, parameter in trainer.model.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], atol=2e-5, rtol=0)


def losses_of(trainer: Seq2SeqScoringTrainer) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precompute_ref_log_probs": True},
        {"gradient_checkpointing": True},
        {"gradient_accumulation_steps": 2},
        {"max_length": 12},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
def test_training_starts_at_ln_2_and_lowers_the_loss(make, options):
    trainer = make(max_steps=8, learning_rate=5e-3, lr_scheduler_type="constant", **options)
    trainer.train()
    losses = losses_of(trainer)
    assert losses[0] == pytest.approx(LN_2, abs=1e-4)
    assert losses[-1] < 0.5


def test_in_bf16_the_reference_runs_as_the_policy_does(make):
    """The evaluation at the start ties exactly. With gradients, attention may take another kernel: bf16 rounding."""
    trainer = make(max_steps=1, bf16=True, eval_on_start=True)
    trainer.train()
    assert trainer.state.log_history[0]["eval_loss"] == pytest.approx(LN_2, abs=1e-6)
    assert trainer.state.log_history[0]["eval_rewards/accuracies"] == 0.5
    assert losses_of(trainer)[0] == pytest.approx(LN_2, abs=0.05)


@pytest.mark.parametrize("options", [{}, {"precompute_ref_log_probs": True}, {"gradient_checkpointing": True}])
def test_lora_starts_at_ln_2_and_trains_only_the_adapter(make, options):
    trainer = make(lora(), max_steps=8, learning_rate=2e-2, lr_scheduler_type="constant", **options)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert trainer.ref_model is None
    assert losses_of(trainer)[0] == pytest.approx(LN_2, abs=1e-4)
    assert losses_of(trainer)[-1] < 0.6
    assert changed and all("lora_" in name for name in changed)


def test_gradient_checkpointing_and_accumulation_change_nothing(make):
    """The same three steps of four pairs: whole, recomputed in the backward pass, and as 2 + 2."""
    weights = []
    for options in (
        {},
        {"gradient_checkpointing": True},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    ):
        trainer = make(lora(), max_steps=3, learning_rate=1e-2, optim="sgd", **options)
        trainer.train()
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters() if p.requires_grad]))
    torch.testing.assert_close(weights[1], weights[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(weights[2], weights[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_every_loss_type_of_trl_trains(make, loss_type):
    smoothing = {"label_smoothing": 1e-3} if loss_type == "exo_pair" else {}
    options = {
        "max_steps": 4,
        "learning_rate": 5e-5,
        "lr_scheduler_type": "constant",
        "per_device_train_batch_size": 12,
    }
    trainer = make(loss_type=loss_type, **options, **smoothing)
    trainer.train()
    losses = losses_of(trainer)
    at_start = {"sigmoid_norm": LN_2, "ipo": (1 / (2 * 0.5)) ** 2, "hinge": 1.0}
    assert losses[0] == pytest.approx(at_start.get(loss_type, losses[0]), abs=1e-4)
    assert losses[-1] < losses[0]


def test_weighting_trains(make):
    """WPO scales the loss by the answers' likelihood: below ln 2 from the start."""
    trainer = make(max_steps=1, use_weighting=True)
    trainer.train()
    assert 0 < losses_of(trainer)[0] < LN_2


def test_scores_equal_a_call_per_answer(make, folder, encoded):
    """Batches of 5, 5 and 2; after training, so that policy and reference differ."""
    trainer = make(max_steps=4, learning_rate=5e-3)
    trainer.train()
    logged = trainer.evaluate()
    reference = load(folder).eval()
    policy = trainer.model.eval()
    rows = trainer.scores.to_pylist()
    assert [row["pair_id"] for row in rows] == [f"pair {at}" for at in range(12)]
    accuracy = []
    for row, pair in zip(rows, encoded, strict=True):
        for side in ("chosen", "rejected"):
            answer = pair[f"{side}_ids"]
            with torch.no_grad():
                expected = [float(naive(m, pair["prompt_ids"], answer).double().sum()) for m in (policy, reference)]
            assert [row[f"{side}_logp"], row[f"ref_{side}_logp"]] == pytest.approx(expected, abs=1e-4)
            assert (row[f"{side}_tokens"], row[f"{side}_truncated"]) == (len(answer), False)
        h = row["chosen_logp"] - row["ref_chosen_logp"] - row["rejected_logp"] + row["ref_rejected_logp"]
        accuracy.append((h > 0) + 0.5 * (h == 0))
    assert logged["eval_rewards/accuracies"] == pytest.approx(sum(accuracy) / 12)


def test_an_answer_cut_at_max_length_is_scored_up_to_there(make, folder, encoded):
    limit = 12
    trainer = make(max_length=limit)
    trainer.evaluate()
    model = load(folder).eval()
    rows = trainer.scores.to_pylist()
    for row, pair in zip(rows, encoded, strict=True):
        kept = pair["rejected_ids"][: limit - len(pair["prompt_ids"])]
        with torch.no_grad():
            expected = float(naive(model, pair["prompt_ids"], kept).sum())
        assert row["rejected_logp"] == pytest.approx(expected, abs=1e-4)
        assert (row["rejected_tokens"], row["rejected_truncated"]) == (len(kept), len(kept) < len(pair["rejected_ids"]))
    assert any(row["rejected_truncated"] for row in rows)


def test_the_trained_model_generates_and_takes_labels_as_before(make, folder, tokenizer):
    trainer = make(lora())
    cold = Sampling(temperature=1e-4, max_new_tokens=6)
    answers = generate(trainer.model, tokenizer, ["Is 3 a number?", "Is 12"], cold)
    assert answers == generate(load(folder), tokenizer, ["Is 3 a number?", "Is 12"], cold)
    ids = torch.tensor([tokenizer("Is 3 a number?")["input_ids"]])
    loss = trainer.model(input_ids=ids, labels=ids).loss
    assert loss.item() == pytest.approx(load(folder)(input_ids=ids, labels=ids).loss.item(), abs=1e-5)


def test_a_saved_adapter_says_what_it_is_for(make, tmp_path):
    from peft import PeftConfig

    make(lora()).save_model(str(tmp_path / "adapter"))
    assert PeftConfig.from_pretrained(tmp_path / "adapter").task_type == "SEQ_2_SEQ_LM"


@pytest.mark.filterwarnings("ignore:.*keep_end.* is deprecated:FutureWarning")
def test_what_an_encoder_decoder_model_cannot_do_is_refused(make):
    with pytest.raises(ValueError, match="use keep_start"):
        make(truncation_mode="keep_end")
    with pytest.raises(ValueError, match="needs lora_task_type SEQ_2_SEQ_LM, not CAUSAL_LM"):
        make(LoraConfig(task_type="CAUSAL_LM"))
    with pytest.raises(ValueError, match="Linear has no prepare_decoder_input_ids_from_labels"):
        add_seq2seq_head(torch.nn.Linear(1, 1))
