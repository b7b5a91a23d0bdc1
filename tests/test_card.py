"""A run's model card: from its record, whatever texts the record holds."""

import math
import re

import pytest
import yaml
from evidence import SOUND, evidence
from markdown_it import MarkdownIt

from training.publishing.card import SHOWN_SAMPLES, Contents, card, front_matter
from training.publishing.chart import draw_curves
from training.publishing.findings import Evidence
from training.publishing.loading import Files, loading_code
from training.record.schema import Run

PARSER = MarkdownIt("commonmark").enable("table")
HOSTILE = "```\n</div><script>alert(1)</script>\n# no heading [x](https://example.org) | `` \\| <b>\n---\n![i](https://example.org/i.png)"
KINDS = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}


def contents(files=None, samples=(), **run) -> Contents:
    return Contents(evidence(**run), files or Files(), samples)


def body(text: str) -> str:
    """The card below its front matter."""
    return text.split("---\n", 2)[2]


def test_hostile_text_from_everywhere_stays_text():
    """Model, data set, run, arguments, audit, notices, samples: no tag, link, picture or heading comes of them."""
    samples = [{"prompt": HOSTILE, "base": HOSTILE, "dpo": HOSTILE, "sampling": {HOSTILE: HOSTILE}}]
    about = {
        "config": {"model_name_or_path": HOSTILE, "optim": HOSTILE, "loss_type": [HOSTILE]},
        "data": {"dataset": HOSTILE, "train": HOSTILE, "dropped": {HOSTILE: HOSTILE}, "audit": {HOSTILE: {HOSTILE: 3}}},
        "environment": {"device": HOSTILE, "packages": {HOSTILE: HOSTILE}},
        "best_metric": HOSTILE,
        "status": "unknown",
    }
    found = evidence(**about)
    run = Run(HOSTILE, HOSTILE, "runs", found.run.status, found.run.config, data=found.run.data, best_metric=HOSTILE)
    notices = [{"step": HOSTILE, "kind": HOSTILE, "message": HOSTILE}]
    text = card(Contents(Evidence(run, 10, True, found.history, SOUND, notices), Files(), samples, "me/model"))
    blocks = PARSER.parse(body(text))
    assert not [block for block in blocks if block.type in ("html_block", "code_block", "hr")]
    inline = [child for block in blocks if block.type == "inline" for child in block.children]
    pictures = [child for child in inline if child.type == "image"]
    assert [picture.attrs["src"] for picture in pictures] == ["curves.png"]
    assert {child.type for child in inline if child.type != "image"} <= KINDS
    headings = [blocks[at + 1].content for at, block in enumerate(blocks) if block.type == "heading_open"]
    assert [heading for heading in headings if "no heading" in heading] == headings[:1]
    assert len(headings) == 1 + 8 + 1  # the title, eight sections, one sample
    fences = [block.content for block in blocks if block.type == "fence"]
    assert fences[:3] == [f"{HOSTILE}\n"] * 3
    assert yaml.safe_load(text.split("---\n")[1])["tags"] == ["dpo", "trl", "prefscope"]


def test_the_front_matter_names_what_is_on_the_hub():
    found = contents(config={"model_name_or_path": "gpt2"}, data={"dataset": "Dahoas/full-hh-rlhf"})
    assert yaml.safe_load(front_matter(found)) == {
        "base_model": "gpt2",
        "datasets": ["Dahoas/full-hh-rlhf"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["dpo", "trl", "prefscope"],
    }


def test_the_front_matter_leaves_out_what_is_not_and_never_names_a_license():
    files = Files(adapter=True, encoder_decoder=True)
    found = contents(files, config={"model_name_or_path": "/data/models/t5"}, data={"dataset": "pairs.jsonl"})
    known = yaml.safe_load(front_matter(found))
    assert (known["library_name"], known["pipeline_tag"]) == ("peft", "text2text-generation")
    assert not {"base_model", "datasets", "license"} & known.keys()


def test_paths_of_the_machine_are_not_in_the_card():
    notices = [{"step": 3, "kind": "nan", "message": "loss is nan, see /secret/place/runs/a/checkpoints/best"}]
    found = evidence(config={"model_name_or_path": "/secret/place/mine"}, data={"dataset": "/secret/place/pairs.jsonl"})
    text = card(Contents(Evidence(found.run, 10, True, found.history, SOUND, notices), Files()))
    assert "secret" not in text
    assert "Model trained from `mine`" in text
    assert "on `pairs.jsonl`" in text
    assert "step `3`, `nan`: `loss is nan, see best`" in text


def test_the_audits_figures_are_shown_and_its_examples_are_not():
    audit = {
        "read": 2312,
        "dropped": {"no shared prompt": 5, "empty": 4},
        "tokens": {"chosen": {"50%": 61.5, "95%": 212}},
        "examples": {"empty": ["a text"]},
        "truncated": 0.0123456789,
    }
    text = card(contents(data={"dataset": "pairs.jsonl", "audit": audit}))
    for row in (
        "| `read` | `2312` |",
        "| `dropped` | `no shared prompt: 5, empty: 4` |",
        "| `tokens / chosen` | `50%: 61.5, 95%: 212` |",
        "| `truncated` | `0.0123457` |",
    ):
        assert row in text
    assert "a text" not in text


@pytest.mark.parametrize("data", [{}, {"audit": None}, {"audit": []}, {"audit": {}}, {"dropped": 3}])
def test_a_record_without_audit_says_so(data):
    assert "The record holds no audit of the data." in card(contents(data=data))


def test_arguments_are_those_that_matter():
    config = {"learning_rate": 2.3456789e-05, "beta": 0.1, "weight_decay": 0.0, "label_smoothing": 0.1, "lora_r": 8}
    text = card(contents(config=config))
    assert "| `learning_rate` | `2.3456789e-05` |" in text
    assert "| `label_smoothing` | `0.1` |" in text
    assert "weight_decay" not in text
    assert "lora_r" not in text
    assert "| `lora_r` | `8` |" in card(contents(config={**config, "use_peft": True}))


def test_the_evaluation_names_its_intervals_and_its_test():
    text = card(contents())
    assert "| reward accuracy | 0.5000 | 0.8000 (0.7660 to 0.8300) |" in text
    assert "| loss (`sigmoid`) | 0.6931 | 0.5000 |" in text
    assert "Pairs ranked right by the base model only: 10; by this model only: 40; exact McNemar p = 0.001." in text
    assert "clustered by prompt (600 prompts)" in text
    assert "not scored at step 10" in card(contents(evaluation=None))


def test_samples_are_side_by_side_and_their_number_is_said():
    rows = [{"prompt": f"p{at}", "base": f"b{at}", "dpo": f"d{at}"} for at in range(SHOWN_SAMPLES + 2)]
    text = card(contents(samples=rows))
    assert f"{SHOWN_SAMPLES} of the {SHOWN_SAMPLES + 2} recorded samples" in text
    assert re.search(
        "Prompt:\n\n```text\np0\n```\n\nBase model:\n\n```text\nb0\n```\n\nThis model:\n\n```text\nd0", text
    )
    assert "No samples were recorded at step 10." in card(contents())


TURNS = [{"role": "user", "content": "Why '\"`?\n"}]


@pytest.mark.parametrize(
    ("files", "prompt", "words"),
    [
        (
            Files(),
            "\n\nHuman: hi\n\nAssistant:",
            ["AutoModelForCausalLM", "prompt = '\\n\\nHuman: hi\\n\\nAssistant:'"],
        ),
        (Files(chat_template=True), TURNS, ["apply_chat_template(", "messages = [{'role'"]),
        (Files(chat_template=True), "as text", ["prompt = 'as text'"]),
        (Files(chat_template=True), "x" * 501, ["messages = [{'role': 'user', 'content': 'Hello!'}]"]),
        (Files(encoder_decoder=True), "q", ["AutoModelForSeq2SeqLM.from_pretrained(name)", "decode(answer[0], "]),
        (
            Files(adapter=True),
            "q",
            ["PeftModel.from_pretrained(base, name)", "AutoModelForCausalLM.from_pretrained('gpt2')"],
        ),
        (Files(adapter=True, encoder_decoder=True), "q", ["base = AutoModelForSeq2SeqLM.from_pretrained('gpt2')"]),
    ],
)
def test_the_code_loads_by_the_right_classes(files, prompt, words):
    sampling = {"max_new_tokens": 9, "temperature": 0.7, "top_p": 0.95, "seed": 0}
    code = loading_code(files, "gpt2", [{"prompt": prompt, "sampling": sampling}], "me/model")
    compile(code, "card", "exec")
    for part in (*words, "name = 'me/model'", "max_new_tokens=9, temperature=0.7, top_p=0.95)"):
        assert part in code


def test_curves_are_drawn_with_gaps_where_a_run_diverged():
    diverged = {
        "eval/loss": {0: 0.69, 10: math.nan, 20: math.inf},
        "eval/rewards/chosen": {0: 0.0, 10: -math.inf, 20: 1e300},
    }
    for found in (evidence(), evidence(curves=diverged), Evidence(Run("a", "a", "runs", "failed"), 0, False)):
        assert draw_curves(found).startswith(b"\x89PNG")


def test_the_published_step_is_marked():
    """The same curves, another step: another picture; the same step: the same bytes."""
    found = evidence()
    later = Evidence(found.run, 20, True, found.history)
    assert draw_curves(found) == draw_curves(evidence()) != draw_curves(later)
