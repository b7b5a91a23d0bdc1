"""What a run can be told about its preference data."""

from dataclasses import dataclass, field

EMBEDDED = "embedded"


@dataclass
class DataArguments:
    """Which preference pairs a run learns from, and how they are read."""

    dataset_name: str = field(
        default=EMBEDDED,
        metadata={
            "help": "Preference pairs: a Hub id, a local .jsonl/.json/.csv/.parquet file or folder, or 'embedded'."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_train_split: str = field(default="train", metadata={"help": "Split to train on."})
    dataset_test_split: str | None = field(
        default=None, metadata={"help": "Split to evaluate on; without one some pairs are held out by prompt."}
    )
    dataset_test_size: float = field(
        default=0.1, metadata={"help": "Share of the pairs held out where the data has no evaluation split."}
    )
    prompt_column: str | None = field(default=None, metadata={"help": "Column of the prompt; found if not given."})
    chosen_column: str | None = field(
        default=None, metadata={"help": "Column of the preferred answer; found if not given."}
    )
    rejected_column: str | None = field(
        default=None, metadata={"help": "Column of the other answer; found if not given."}
    )
    system_column: str | None = field(
        default=None, metadata={"help": "Column of the system prompt; found if not given, '' for none."}
    )
    where: list[str] | None = field(
        default=None,
        metadata={
            "help": 'Rows to keep, all must hold: "status != tie" "chosen_score >= 8" "in_gsm8k_train == false".'
        },
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on so many pairs, drawn by --seed."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Evaluate on so many pairs, drawn by --seed."})
    max_prompt_length: int | None = field(
        default=None,
        metadata={
            "help": "Where prompt and longer answer exceed --max_length, the prompt keeps its last tokens, so many "
            "(default: half of --max_length)."
        },
    )
    use_chat_template: bool | None = field(
        default=None,
        metadata={"help": "Put pairs into the tokenizer's chat template (default: where it has one)."},
    )
    user_marker: str | None = field(
        default=None,
        metadata={"help": "What opens a user turn in plain text, such as 'Q: ' (default: '\\n\\nHuman: ')."},
    )
    assistant_marker: str | None = field(
        default=None,
        metadata={"help": "What opens an answer in plain text, such as 'A: ' (default: '\\n\\nAssistant: ')."},
    )
