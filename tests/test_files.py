"""Raw rows are read in batches, with the columns that are asked for."""

import datasets
import pytest

from training.data import files
from training.data.pairs import PreferenceError

ROWS = [{"prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(10)]


def test_rows_are_read_in_batches_with_the_columns_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH", 3)
    table = datasets.Dataset.from_list(ROWS)
    table.to_parquet(tmp_path / "a.parquet")
    table.select(range(9, -1, -1)).save_to_disk(tmp_path / "saved")
    wanted = [{"chosen": row["chosen"]} for row in ROWS]
    assert list(files.read(str(tmp_path / "a.parquet"))["train"].select(["chosen"])) == wanted
    assert list(files.read(str(tmp_path / "saved"))["train"].select(["chosen"])) == wanted[::-1]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_is_read_whatever_parts_its_columns(tmp_path, separator, mark):
    lines = (ROWS[0].keys(), *(row.values() for row in ROWS))
    text = mark + "".join(separator.join(line) + "\r\n" for line in lines)
    (tmp_path / "a.csv").write_bytes(text.encode())
    read = files.read(str(tmp_path / "a.csv"))["train"]
    assert list(read.select(["prompt", "chosen", "rejected"])) == ROWS


def test_a_table_in_another_encoding_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.csv").write_bytes("prompt,chosen,rejected\né,a,b\n".encode("latin-1"))
    with pytest.raises(PreferenceError, match=r"it is not UTF-8 \(.*\); save it as UTF-8"):
        files.read(str(tmp_path / "a.csv"))
