"""A run's model card: its record as Markdown, nothing typed by hand."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from training.publishing.evaluation import Estimate, Evaluation
from training.publishing.findings import CHECKED, Evidence, findings
from training.publishing.loading import Files, Samples, as_text, loading_code
from training.publishing.public import hub_id, public, without_paths
from training.record import metrics as names
from training.record.markdown import code, excerpt, fenced, table

CURVES = "curves.png"
SHOWN_SAMPLES = 8

ARGUMENTS = (
    *("learning_rate", "beta", "loss_type", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("max_length", "max_prompt_length", "warmup_steps", "lr_scheduler_type", "optim", "seed"),
    *("dtype", "bf16", "fp16", "use_peft"),
)
ADAPTER_ARGUMENTS = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_dora", "load_in_4bit")
DATA: Mapping[str, str] = {
    "read": "rows read",
    "n_train": "training pairs",
    "n_eval": "evaluation pairs",
    "train": "digest of the training pairs",
    "eval": "digest of the evaluation pairs",
}
# Named only where they differ from TRL's default, given here.
UNUSUAL: Mapping[str, Any] = {
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "label_smoothing": 0.0,
    "loss_weights": None,
    "ld_alpha": None,
    "f_divergence_type": "reverse_kl",
    "use_weighting": False,
    "truncation_mode": "keep_start",
    "sync_ref_model": False,
    "disable_dropout": True,
    "lr_scheduler_kwargs": None,
}


@dataclass(frozen=True)
class Contents:
    """All that a card is made of. `samples` are those of the published step; `repo` is a Hub id or None."""

    evidence: Evidence
    files: Files
    samples: Samples = ()
    repo: str | None = None

    @property
    def base_model(self) -> str:
        return str(self.evidence.run.config.get("model_name_or_path") or "unknown")

    @property
    def dataset(self) -> str:
        run = self.evidence.run
        return str(run.data.get("dataset") or run.config.get("dataset_name") or "unknown")


def card(contents: Contents) -> str:
    """The README.md of a published model."""
    evidence = contents.evidence
    sections = (
        ("", _head(contents)),
        ("Findings that speak against this run", _findings(evidence)),
        ("Evaluation", _evaluation(evidence)),
        ("Learning curves", f"![Learning curves: rewards, reward accuracy and loss by optimizer step]({CURVES})"),
        ("Samples", _samples(contents)),
        ("How to load it", _loading(contents)),
        ("Data", _data(contents)),
        ("Arguments", _arguments(evidence)),
        ("Environment", _environment(evidence)),
    )
    text = "\n\n".join(f"## {title}\n\n{body}" if title else body for title, body in sections)
    return f"---\n{front_matter(contents)}---\n\n{text}\n"


def front_matter(contents: Contents) -> str:
    """The card's metadata as YAML; what is no Hub id is left out, and so is the license, which no record names."""
    known: dict[str, Any] = {
        "base_model": hub_id(contents.base_model),
        "datasets": [contents.dataset] if "/" in (hub_id(contents.dataset) or "") else None,
        "library_name": "peft" if contents.files.adapter else "transformers",
        "pipeline_tag": "text2text-generation" if contents.files.encoder_decoder else "text-generation",
        "tags": ["dpo", "trl", "prefscope"],
    }
    kept = {key: value for key, value in known.items() if value}
    return str(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))


def _head(contents: Contents) -> str:
    evidence, run = contents.evidence, contents.evidence.run
    what = "LoRA adapter for" if contents.files.adapter else "Model trained from"
    metric = (
        f", the best by {code(run.best_metric)}" if evidence.best and run.best_metric else ", the newest checkpoint"
    )
    return (
        f"# {code(run.name)}\n\n"
        f"{what} {code(public(contents.base_model))} by Direct Preference Optimization (DPO, arXiv:2305.18290) on "
        f"{code(public(contents.dataset))}. Published is step {evidence.step}{metric}.\n\n"
        "This card is generated from the run's record."
    )


def _findings(evidence: Evidence) -> str:
    lines = [f"- **{finding.name}**: {finding.sentence}" for finding in findings(evidence)]
    lines += [
        f"- **recorded while training**, step {code(row.get('step', 'unknown'))}, {code(row.get('kind', ''))}: "
        f"{code(without_paths(str(row.get('message', ''))))}"
        for row in evidence.notices
    ]
    found = "\n".join(lines) or "None was found."
    return f"{found}\n\nChecked: {CHECKED}."


def _evaluation(evidence: Evidence) -> str:
    found = evidence.evaluation
    if found is None:
        return f"The evaluation pairs were not scored at step {evidence.step}."
    return f"{_evaluation_table(evidence, found)}\n\n{_about_intervals(found)}"


def _evaluation_table(evidence: Evidence, found: Evaluation) -> str:
    loss = f"eval/{names.LOSS}"
    rows = (
        ("reward accuracy", f"{found.base_accuracy:.4f}", _estimate(found.accuracy)),
        ("margin of log-ratios, nats", f"{found.base_margin:.4f}", _estimate(found.margin)),
        ("ranking accuracy", _estimate(found.base_ranking), _estimate(found.ranking)),
        ("chosen log-ratio, nats", "0", _estimate(found.chosen)),
        ("rejected log-ratio, nats", "0", _estimate(found.rejected)),
        ("chosen answers that became less likely", "0", _estimate(found.displaced)),
        (f"loss ({code(_setting(evidence.run.config.get('loss_type')))})", *_losses(evidence, loss)),
        ('accuracy of "the longer answer wins"', _estimate(found.longer_wins), _estimate(found.longer_wins)),
    )
    return table((f"{found.n} pairs", "base model (step 0)", f"this model (step {evidence.step})"), rows)


def _losses(evidence: Evidence, key: str) -> tuple[str, str]:
    before, after = (evidence.at(key, step) for step in (0, evidence.step))
    return ("not recorded" if math.isnan(before) else f"{before:.4f}"), f"{after:.4f}"


def _estimate(estimate: Estimate) -> str:
    limits = estimate.interval
    return f"{estimate.value:.4f}" + (f" ({limits.low:.4f} to {limits.high:.4f})" if limits else "")


def _about_intervals(found: Evaluation) -> str:
    clusters = (
        f"clustered by prompt ({found.prompts} prompts)"
        if found.prompts is not None
        else "each pair taken as independent, for the record does not hold their prompts"
    )
    return (
        "In parentheses: 95% intervals. Of shares, Wilson's, ties counting half in the reward accuracy; of means in "
        f"nats, by the standard error, {clusters} (Miller 2024, arXiv:2411.00640).\n\n"
        "Reward accuracy is the share of pairs whose chosen answer gained more log-probability over the reference than "
        "the rejected one; ranking accuracy the share whose chosen answer is the likelier one, without reference "
        f"(Chen et al. 2024, arXiv:2405.19534). Pairs ranked right by the base model only: {found.lost}; by "
        f"this model only: {found.gained}; exact McNemar p = {found.p:.3g}."
    )


def _samples(contents: Contents) -> str:
    if not contents.samples:
        return f"No samples were recorded at step {contents.evidence.step}."
    shown = contents.samples[:SHOWN_SAMPLES]
    blocks = [
        "\n\n".join(
            (
                f"### Sample {number}",
                excerpt("Prompt", as_text(row.get("prompt"))),
                excerpt("Base model", str(row.get("base", ""))),
                excerpt("This model", str(row.get("dpo", ""))),
            )
        )
        for number, row in enumerate(shown, 1)
    ]
    sampling = code(_setting(contents.samples[0].get("sampling")))
    about = f"{len(shown)} of the {len(contents.samples)} recorded samples; the same random seed for both: {sampling}."
    return "\n\n".join((about, *blocks))


def _loading(contents: Contents) -> str:
    return fenced(loading_code(contents.files, contents.base_model, contents.samples, contents.repo), "python")


def _data(contents: Contents) -> str:
    data = contents.evidence.run.data
    rows = [("data set", code(public(contents.dataset)))]
    rows += [(label, code(_setting(data[key]))) for key, label in DATA.items() if key in data]
    rows += [(f"dropped: {code(reason)}", code(count)) for reason, count in _mapping(data.get("dropped")).items()]
    audit = list(_figures(_mapping(data.get("audit"))))
    if not audit:
        return f"{table(('of the data', ''), rows)}\n\nThe record holds no audit of the data."
    return f"{table(('of the data', ''), rows)}\n\n{table(('audit', ''), audit)}"


def _figures(audit: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The audit's counts, shares and quantiles, by their names; examples, which are texts, are left out."""
    for key, value in audit.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value and all(_is_figure(item) for item in value.values()):
            yield code(name), code(", ".join(f"{label}: {_figure(item)}" for label, item in value.items()))
        elif isinstance(value, Mapping):
            yield from _figures(value, f"{name} / ")
        elif _is_figure(value):
            yield code(name), code(_figure(value))


def _is_figure(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _figure(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _arguments(evidence: Evidence) -> str:
    config = evidence.run.config
    wanted = [*ARGUMENTS, *(ADAPTER_ARGUMENTS if config.get("use_peft") else ())]
    wanted += [key for key, usual in UNUSUAL.items() if key in config and config[key] != usual]
    rows = [(code(key), code(_setting(config[key]))) for key in wanted if config.get(key) is not None]
    run = evidence.run
    rows += [("steps taken", code(f"{run.step} of {run.max_steps}")), ("epochs taken", code(_figure(run.epoch or 0.0)))]
    return table(("argument, as TRL names it", "value"), rows)


def _environment(evidence: Evidence) -> str:
    found = evidence.run.environment
    keys = ("python", "device", "device_type", "devices", "dtype", "parameters", "trainable_parameters", "git_commit")
    rows = [(code(key), code(_setting(found[key]))) for key in keys if found.get(key) is not None]
    rows += [(code(name), code(version)) for name, version in _mapping(found.get("packages")).items()]
    return table(("environment", ""), rows) if rows else "The record does not name it."


def _setting(value: object) -> str:
    """A recorded value as one short text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_setting(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value))
    return str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
