"""The Python that loads a published model and prompts it as it was trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.publishing.public import hub_id, public

LONGEST_PROMPT = 500
EXAMPLE_PROMPT = "Hello!"
SAMPLING = ("max_new_tokens", "temperature", "top_p")

Samples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Files:
    """What a published folder holds: whole weights or an adapter, which kind of model, which way to prompt it."""

    adapter: bool = False
    encoder_decoder: bool = False
    chat_template: bool = False


def as_text(prompt: object) -> str:
    """A prompt as text: messages one below the other, each after its role."""
    if not isinstance(prompt, list):
        return str(prompt)
    turns = [turn if isinstance(turn, Mapping) else {"content": turn} for turn in prompt]
    return "\n".join(f"{turn.get('role', 'user')}: {turn.get('content', '')}" for turn in turns)


def loading_code(files: Files, base_model: str, samples: Samples, repo: str | None = None) -> str:
    """Python that loads a published model and answers the shortest prompt of `samples`, sampling as they were drawn.

    It loads from the Hub's `repo`, or from the folder it is run in. `base_model` is as recorded.
    """
    kind = "AutoModelForSeq2SeqLM" if files.encoder_decoder else "AutoModelForCausalLM"
    lines = ["from peft import PeftModel"] if files.adapter else []
    lines += [f"from transformers import {kind}, AutoTokenizer", "", f"name = {repo or '.'!a}"]
    lines.append("tokenizer = AutoTokenizer.from_pretrained(name)")
    if files.adapter:
        about = "" if hub_id(base_model) else "  # the base model: put its folder here"
        lines.append(f"base = {kind}.from_pretrained({public(base_model)!a}){about}")
        lines.append("model = PeftModel.from_pretrained(base, name)")
    else:
        lines.append(f"model = {kind}.from_pretrained(name)")
    return "\n".join((*lines, "", *_inputs(files, samples), *_answer(files, samples)))


def _inputs(files: Files, samples: Samples) -> Iterator[str]:
    example = [{"role": "user", "content": EXAMPLE_PROMPT}] if files.chat_template else EXAMPLE_PROMPT
    prompts = [row["prompt"] for row in samples if len(as_text(row.get("prompt", ""))) <= LONGEST_PROMPT]
    prompt = min(prompts, key=lambda prompt: len(as_text(prompt)), default=example)
    if isinstance(prompt, list):
        yield f"messages = {prompt!a}"
        yield "inputs = tokenizer.apply_chat_template("
        yield '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"'
        yield ")"
    else:
        yield f"prompt = {prompt!a}  # plain text, as in training"
        yield 'inputs = tokenizer(prompt, return_tensors="pt")'


def _answer(files: Files, samples: Samples) -> Iterator[str]:
    sampling = samples[0].get("sampling") if samples else None
    given = {key: sampling.get(key) for key in SAMPLING} if isinstance(sampling, Mapping) else {}
    options = "".join(f", {key}={value!r}" for key, value in given.items() if isinstance(value, int | float))
    yield f"answer = model.generate(**inputs, do_sample=True{options})"
    start = "" if files.encoder_decoder else ', inputs["input_ids"].shape[1] :'
    yield f"print(tokenizer.decode(answer[0{start}], skip_special_tokens=True))"
