"""A run being written, and arbitrary metrics for it: shared by the tests of the record."""

import math
from pathlib import Path

from hypothesis import strategies as st

from training.record import schema
from training.record.writer import RunWriter

KEYS = st.text(min_size=1, max_size=20).filter(lambda key: key not in schema.NOT_METRICS)
LOGS = st.lists(st.dictionaries(KEYS, st.floats(), max_size=4), max_size=12)


def start(runs: Path, name: str = "a run") -> RunWriter:
    writer = RunWriter(runs, name)
    writer.publish({"config": {"beta": 0.1}, "data": {"n_eval": 4}})
    return writer


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))
