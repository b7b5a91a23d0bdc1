"""Raw rows are read in batches, with the columns that are asked for."""

import datasets

from training.data import files

ROWS = [{"prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(10)]


def test_rows_are_read_in_batches_with_the_columns_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH", 3)
    table = datasets.Dataset.from_list(ROWS)
    table.to_parquet(tmp_path / "a.parquet")
    table.select(range(9, -1, -1)).save_to_disk(tmp_path / "saved")
    wanted = [{"chosen": row["chosen"]} for row in ROWS]
    assert list(files.read(str(tmp_path / "a.parquet"))["train"].select(["chosen"])) == wanted
    assert list(files.read(str(tmp_path / "saved"))["train"].select(["chosen"])) == wanted[::-1]
