"""A DPO run as stock TRL makes it, a process of its own: python -m tests.bench.rival.stock_run '{"learning_rate": ...}'

The argument holds DPOConfig's arguments, with `model`, `train_file` and `eval_file` (prompt, chosen, rejected).
"""

import json
import logging
import sys
import warnings

from datasets import load_dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer


def main(told: dict[str, object]) -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    model = str(told.pop("model"))
    files = {"train": str(told.pop("train_file")), "eval": str(told.pop("eval_file"))}
    data = load_dataset("json", data_files=files)
    trainer = DPOTrainer(
        model,
        args=DPOConfig(**told),
        train_dataset=data["train"],
        eval_dataset=data["eval"],
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    trainer.train()
    trainer.save_model()
    print(json.dumps(trainer.state.log_history[-2:], default=str))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
