"""Trouble is told once and in plain words, and sound runs are silent."""

import copy
import json
import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, TrainerState
from trl import DPOConfig, DPOTrainer

from training import watch
from training.arguments import LOSS_TYPES
from training.record.writer import SCORE_COLUMNS
from training.watch import Diverged, WatchCallback, check_finite, untrained_loss

# TRL 1.16 asks Transformers 5.23 by a name that is going to change.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LN2 = math.log(2)


def config(folder, **arguments) -> DPOConfig:
    plain = {"output_dir": str(folder), "report_to": "none", "bf16": False, "use_cpu": True, "disable_tqdm": True}
    plain |= {"per_device_train_batch_size": 16, "gradient_accumulation_steps": 1, "gradient_checkpointing": False}
    return DPOConfig(**(plain | arguments))


def scores(h: np.ndarray) -> pa.Table:
    """Pairs whose margin of log-ratios is `h`, all of it from the chosen answer's log-ratio."""
    n = len(h)
    columns = {"pair_id": list(map(str, range(n))), "chosen_logp": h - 50, "ref_chosen_logp": np.full(n, -50.0)}
    columns |= {name: np.full(n, -60.0) for name in ("rejected_logp", "ref_rejected_logp")}
    columns |= {f"{side}_tokens": np.full(n, 20) for side in ("chosen", "rejected")}
    columns |= {f"{side}_truncated": np.zeros(n, bool) for side in ("chosen", "rejected")}
    return pa.table({name: columns[name] for name in SCORE_COLUMNS.names}).cast(SCORE_COLUMNS)


class Watched:
    """A run that is only told of: the events of a trainer, and what the callback made of them."""

    def __init__(self, arguments: DPOConfig, step: int = 0) -> None:
        self.told: list[tuple[int, str, str]] = []
        self.arguments = arguments
        self.pairs = scores(np.zeros(2))
        self.callback = WatchCallback(lambda *notice: self.told.append(notice), lambda: self.pairs)
        self.callback.on_train_begin(arguments, self.state(step), None)

    def state(self, step: int) -> TrainerState:
        return TrainerState(global_step=step, is_world_process_zero=True)

    def train(self, step: int, loss: float = 0.6, accuracy: float = 0.8, norm: float = 1.0) -> None:
        logs = {"loss": loss, "rewards/accuracies": accuracy, "grad_norm": norm}
        self.callback.on_log(self.arguments, self.state(step), None, logs)

    def evaluate(self, step: int, h: np.ndarray, loss: float | None = None) -> None:
        self.pairs = scores(h)
        found = np.mean(np.logaddexp(0, -self.arguments.beta * h)) if loss is None else loss
        self.callback.on_evaluate(self.arguments, self.state(step), None, {"eval_loss": float(found)})

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.told]


@pytest.fixture
def watched(tmp_path):
    return lambda step=0, **arguments: Watched(config(tmp_path, **arguments), step)


@pytest.fixture(scope="module")
def trl(tmp_path_factory, tiny_model, pairs) -> DPOTrainer:
    """TRL's own trainer, untrained."""
    return DPOTrainer(
        str(tiny_model),
        args=config(tmp_path_factory.mktemp("trl"), max_length=64),
        train_dataset=Dataset.from_list(pairs),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )


def told_of(trainer: DPOTrainer, **changes) -> DPOConfig:
    """The trainer's arguments with some changed; a new DPOConfig would reset the trainer's devices."""
    arguments = copy.copy(trainer.args)
    vars(arguments).update(changes)
    return arguments


def trl_loss(trainer: DPOTrainer, arguments: DPOConfig) -> float:
    trainer.loss_types, trainer.beta = arguments.loss_type, arguments.beta
    trainer.loss_weights = arguments.loss_weights or [1.0] * len(arguments.loss_type)
    trainer.label_smoothing, trainer.f_divergence_type = arguments.label_smoothing, arguments.f_divergence_type
    trainer.model.eval()
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    with torch.no_grad():
        return float(trainer._compute_loss(trainer.model, batch, return_outputs=False))


@pytest.mark.parametrize("beta", [0.1, 0.5])
@pytest.mark.parametrize("kind", [kind for kind in LOSS_TYPES if kind != "sft"])
def test_the_loss_before_training_is_trls(trl, kind, beta):
    smoothing = {"exo_pair": 1e-3, "robust": 0.1, "aot": 0.1}.get(kind, 0.0)
    arguments = told_of(trl, loss_type=[kind], beta=beta, label_smoothing=smoothing)
    assert untrained_loss(arguments) == pytest.approx(trl_loss(trl, arguments), rel=1e-5)


@pytest.mark.parametrize("divergence", ["forward_kl", "js_divergence", "alpha_divergence"])
def test_the_loss_before_training_is_the_same_for_every_f_divergence(trl, divergence):
    arguments = told_of(trl, loss_type=["sigmoid", "ipo"], f_divergence_type=divergence)
    assert untrained_loss(arguments) == pytest.approx(trl_loss(trl, arguments), rel=1e-5)


def test_losses_of_several_types_add_up_by_weight(trl):
    """0.8 ln 2 + 0.2 / (4 x 0.5^2) = 0.5545 + 0.2."""
    arguments = told_of(trl, loss_type=["sigmoid", "ipo"], loss_weights=[0.8, 0.2], beta=0.5)
    assert untrained_loss(arguments) == pytest.approx(0.7545, abs=1e-4)
    assert untrained_loss(arguments) == pytest.approx(trl_loss(trl, arguments), rel=1e-5)


def test_a_loss_that_depends_on_the_model_is_not_foretold(tmp_path):
    assert untrained_loss(config(tmp_path, loss_type=["sigmoid", "sft"])) is None
    assert untrained_loss(config(tmp_path, use_weighting=True)) is None


@pytest.mark.parametrize("spread", [0.0, 1e-4])
def test_an_untrained_policy_that_is_its_own_reference_is_silent(watched, spread):
    run = watched()
    run.evaluate(0, np.random.default_rng(0).normal(0, spread, 100))
    assert run.told == []


def test_rounding_in_16_bits_is_no_trouble_and_in_float32_the_same_is(watched):
    noise = np.random.default_rng(0).normal(0, 0.3, 500)
    run = watched()
    run.callback._precision = "lower"
    run.evaluate(0, noise)
    assert run.told == []
    exact = watched()
    exact.evaluate(0, noise)
    assert exact.kinds == ["start"]


def test_a_wrong_reference_is_told_with_loss_and_accuracy(watched):
    """Three margins of +20 nats, one of -10, beta 0.1: loss (3 ln(1 + e^-2) + ln(1 + e)) / 4 = 0.4235."""
    run = watched()
    run.evaluate(0, np.tile([20.0, -10.0, 20.0, 20.0], 25))
    ((step, kind, message),) = run.told
    assert (step, kind) == (0, "start")
    assert "loss is 0.4235 (due: 0.6931)" in message
    assert "accuracy 0.750 (due: 0.500)" in message
    assert "reference model, dropout and the chat template" in message
    assert "\n" not in message


def test_a_wrong_loss_with_margins_of_zero_is_told(watched):
    run = watched(precompute_ref_log_probs=True)
    run.evaluate(0, np.zeros(100), loss=0.75)
    assert run.kinds == ["start"]


def test_a_resumed_run_is_not_expected_to_start_at_zero(watched):
    run = watched(step=40)
    run.train(50)
    run.evaluate(50, np.full(100, 5.0))
    assert run.told == []


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_shows_in_the_first_step_of_a_real_run(tiny_model, pairs, tmp_path, rate):
    """TRL switches dropout off; here it comes back behind its back, as in models with dropout of another kind."""
    arguments = config(tmp_path, beta=1.0, max_steps=2, logging_steps=1, max_length=64, save_strategy="no")
    arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps = 4, 2
    trainer = DPOTrainer(
        str(tiny_model),
        args=arguments,
        train_dataset=Dataset.from_list(pairs),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
    told: list[tuple[int, str, str]] = []
    trainer.add_callback(WatchCallback(lambda *notice: told.append(notice), lambda: scores(np.zeros(2))))
    trainer.train()
    assert [(step, kind) for step, kind, _ in told] == ([(1, "start")] if rate else [])
    assert all("dropout" in message for _, _, message in told)


def test_dropout_that_was_asked_for_is_no_trouble(watched):
    run = watched(disable_dropout=False)
    run.train(1, loss=0.75)
    assert run.told == []


def test_reversed_evaluation_labels_are_told_against_what_training_learns(watched):
    """Of 16 x 40 training pairs 80% are ranked as labelled, of 200 evaluation pairs 25%: z = -7.1."""
    run = watched()
    run.train(40, accuracy=0.8)
    run.evaluate(40, np.repeat([1.0, -1.0], [50, 150]))
    ((step, kind, message),) = run.told
    assert (step, kind) == (40, "reversed")
    assert "50 of 200 evaluation pairs" in message
    assert "80% of the training pairs" in message


@pytest.mark.parametrize(
    ("training", "ranked"), [(0.5, 50), (0.3, 50), (0.8, 90)], ids=["nothing learnt", "worse still", "near chance"]
)
def test_labels_are_not_called_reversed_on_less(watched, training, ranked):
    run = watched()
    run.train(40, accuracy=training)
    run.evaluate(40, np.repeat([1.0, -1.0], [ranked, 200 - ranked]))
    assert run.told == []


def test_ties_say_nothing_about_labels(watched):
    run = watched()
    run.train(40)
    run.evaluate(40, np.repeat([0.0, -1.0], [500, 8]))
    assert run.told == []


def test_the_sign_test_never_rejects_where_the_exact_binomial_does_not():
    for n in range(1, 300):
        for wins in range(n // 2):
            exact = sum(math.comb(n, k) for k in range(wins + 1)) / 2**n
            if watch.lower_tail(wins, n) < watch.SIGNIFICANT:
                assert exact < watch.SIGNIFICANT, (n, wins)


def test_runs_that_learn_nothing_about_the_evaluation_set_are_hardly_ever_accused(watched):
    """20 evaluations each of pairs that are coin flips, while training pairs are learnt by heart."""
    random = np.random.default_rng(7)
    accused = 0
    for _ in range(300):
        run = watched()
        for step in range(10, 210, 10):
            run.train(step, accuracy=0.95)
            run.evaluate(step, random.normal(0, 1, 500))
        accused += bool(run.told)
    assert accused <= 3


def test_saturation_is_told_when_99_percent_of_the_pairs_weigh_nothing(watched):
    """sigma(-0.5 h) < 0.01 from h = 9.19 nats on; the loss of a pair there is 0.01."""
    run = watched(beta=0.5)
    run.train(10, accuracy=1.0)
    run.evaluate(10, np.repeat([9.2, 9.1], [98, 2]))
    assert run.told == []
    run.evaluate(20, np.repeat([9.2, 9.1], [99, 1]))
    assert run.told == []  # nothing was trained in between
    run.train(20, accuracy=1.0)
    run.evaluate(20, np.repeat([9.2, 9.1], [99, 1]))
    ((_, kind, message),) = run.told
    assert kind == "saturated"
    assert message.startswith("99% of the 100 evaluation pairs have a gradient weight below 0.01")


def test_training_pairs_learnt_by_heart_are_told_from_their_mean_loss(watched):
    """If more than 1% of the pairs had a weight of 0.01 or more, the mean loss would be above 0.01 x 0.01005."""
    run = watched()
    run.train(10, loss=2e-4, accuracy=1.0)
    run.evaluate(10, np.full(100, 5.0))
    assert run.told == []
    run.train(20, loss=1e-4, accuracy=1.0)
    run.evaluate(20, np.full(100, 5.0))
    assert run.kinds == ["saturated"]
    assert "at least 99% of the training pairs (their mean loss is 1.0e-04)" in run.told[0][2]


@pytest.mark.parametrize("arguments", [{"loss_type": ["ipo"]}, {"f_divergence_type": "js_divergence"}])
def test_saturation_is_a_matter_of_the_sigmoid_loss(watched, arguments):
    run = watched(**arguments)
    run.train(10, loss=1e-6, accuracy=1.0)
    run.evaluate(10, np.full(100, 500.0), loss=0.1)
    assert run.told == []


@pytest.mark.parametrize(("loss", "told"), [(1.38, []), (1.39, ["diverging"]), (math.nan, ["diverging"])])
def test_an_evaluation_loss_above_twice_its_start_is_told(watched, loss, told):
    run = watched()
    run.evaluate(0, np.zeros(100))
    run.train(10)
    run.evaluate(10, np.full(100, 1.0), loss=loss)
    assert run.kinds == told


def test_the_start_of_a_resumed_run_is_the_loss_types(watched):
    run = watched(step=40, loss_type=["hinge"])
    run.evaluate(50, np.full(100, -1.0), loss=2.1)
    assert "(1)" in run.told[0][2]


def test_a_spike_of_the_gradient_norm_is_told_with_its_size(watched):
    """After 15 norms of 0.9 and 15 of 1.1, whose logarithms have a median of ln 0.995, 40 is 40.2 times that."""
    run = watched()
    for step in range(2, 32):
        run.train(step, norm=0.9 if step % 2 else 1.1)
    run.train(32, norm=40.0)
    ((step, kind, message),) = run.told
    assert (step, kind) == (32, "spike")
    assert "40 times the median of the 30 logged before" in message


@pytest.mark.parametrize("norm", [math.nan, math.inf, 0.0])
def test_a_gradient_norm_that_is_no_number_is_left_to_others(watched, norm):
    run = watched()
    for step in range(2, 40):
        run.train(step, norm=norm)
    assert run.told == []


def test_each_kind_is_told_once_and_by_the_first_process_only(watched):
    run = watched()
    run.evaluate(0, np.zeros(100))
    for step in (10, 20):
        run.evaluate(step, np.full(100, 1.0), loss=3.0)
    assert run.kinds == ["diverging"]
    other = watched()
    other.state = lambda step: TrainerState(global_step=step, is_world_process_zero=False)
    other.evaluate(0, np.full(100, 30.0))
    other.train(1, loss=5.0)
    assert other.told == []


def test_against_reversed_labels_a_rising_loss_is_no_news(watched):
    run = watched()
    run.evaluate(0, np.zeros(100))
    run.train(10)
    run.evaluate(10, np.full(100, -30.0))
    assert run.kinds == ["reversed"]


@pytest.mark.parametrize("seed", range(40))
def test_sound_runs_are_silent(watched, seed):
    """The shape of the demo's sweep: beta 0.05 to 0.5, margins that spread as they grow, norms that are right-skewed.

    Accuracy rises to about 0.85 on 640 pairs; logs every 5 steps of 16 pairs; the norm of a batch is log-normal.
    """
    random = np.random.default_rng(seed)
    beta = random.choice([0.05, 0.1, 0.3, 0.5])
    run = watched(beta=beta)
    run.evaluate(0, np.zeros(640))
    run.train(1, loss=LN2, accuracy=0.0)
    pair = random.normal(1, 1, 640)
    for step in range(5, 405, 5):
        size = random.uniform(0.5, 1.5) / beta * (1 - math.exp(-step / 80))
        batch = beta * size * random.normal(1.1, 1, 80)
        loss = float(np.mean(np.logaddexp(0, -batch)))
        run.train(step, loss=loss, accuracy=float(np.mean(batch > 0)), norm=float(random.lognormal(0, 0.6)))
        if step % 20 == 0:
            run.evaluate(step, size * (pair + random.normal(0, 0.2, 640)))
    assert run.told == []


def test_of_real_logs_only_the_one_with_nan_is_told(shared_data, watched):
    """llama2_miniguanaco is somebody's run whose loss became NaN; the others went well."""
    files = sorted((shared_data / "trainer_state").rglob("trainer_state.json"))
    assert files
    for path in files:
        run = watched()
        for row in json.loads(path.read_text())["log_history"]:
            if "grad_norm" in row:
                run.train(row["step"], row["loss"], row["rewards/accuracies"], row["grad_norm"])
            elif "eval_loss" in row and row["step"]:
                run.evaluate(row["step"], np.array([1.0, -1.0]), row["eval_loss"])
        assert run.kinds == (["diverging"] if path.parent.name == "llama2_miniguanaco" else []), path


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")])
def test_a_loss_that_is_not_finite_ends_the_run_with_advice(value, word):
    check_finite(0.7, 41)
    with pytest.raises(Diverged, match=f"^the loss is {word} at step 41; lower --learning_rate"):
        check_finite(value, 41)


def test_weights_that_are_not_finite_are_told_too():
    assert str(Diverged(7)).startswith("a weight is NaN or infinite at step 7; lower --learning_rate")
