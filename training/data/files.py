"""The raw rows of a data set: a Hub id, a local file, a folder."""

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import orjson
import pyarrow.parquet as pq

from training import hub
from training.data.pairs import PreferenceError

Row = Mapping[str, Any]
Stream = gzip.GzipFile | io.BufferedReader

BATCH = 1000  # rows taken out of Arrow at a time: one by one is a hundred times slower
_LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072
_SEPARATORS = ",;\t"
_NO_ROWS = "is empty; it needs rows with prompt, chosen and rejected"


@dataclass(frozen=True)
class Rows:
    """The rows of one split; `select` reads them, with these columns only."""

    columns: Sequence[str]
    count: int
    select: Callable[[Sequence[str]], Iterator[Row]]


def read(name: str, config: str | None = None) -> dict[str, Rows]:
    """The rows of each split of a Hub data set, of a .jsonl, .json, .csv, .tsv or .parquet file, or of a folder.

    A file has the one split "train", except a .json file {"train": [...], "test": [...]}.
    Raises PreferenceError if they cannot be read.
    """
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return _file(path)
        if path.is_dir():
            return _folder(path, config)
        if _is_path(name):
            raise PreferenceError(f"{name} does not exist (looked in {Path.cwd()}); check --dataset_name")
        hub.prepare(name)
        return _splits(datasets.load_dataset(name, config))
    except PreferenceError:
        raise
    except Exception as error:  # the readers raise what they like
        raise PreferenceError(_told(name, path.exists(), error)) from error


def _told(name: str, exists: bool, error: Exception) -> str:
    lines = str(error.__cause__ or error).splitlines() or [type(error).__name__]
    if "corresponds to no data" in lines[0]:
        return f"{name} {_NO_ROWS}"
    if "Config name is missing" in lines[0]:
        return f"data set {name!r} has several configurations; pass --dataset_config. {' '.join(lines[1:2])}".strip()
    advice = "" if exists else "; a Hub data set needs a network, or give a local file or 'embedded'"
    return f"data set {name!r} cannot be read: {lines[0]}{advice}"


def _is_path(name: str) -> bool:
    """Whether a name that is no file can be no Hub id (`name` or `user/name`) either."""
    known = any(suffix in _READERS for suffix in Path(name).suffixes)
    return known or name.startswith((".", "/", "~")) or name.count("/") > 1


def _folder(path: Path, config: str | None) -> dict[str, Rows]:
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return _splits(datasets.load_from_disk(str(path)))
    return _splits(datasets.load_dataset(str(path), config))


def _splits(found: datasets.Dataset | datasets.DatasetDict) -> dict[str, Rows]:
    if isinstance(found, datasets.Dataset):
        found = {"train": found}
    return {split: _of_dataset(data) for split, data in found.items()}


def _of_dataset(data: datasets.Dataset) -> Rows:
    def select(columns: Sequence[str]) -> Iterator[Row]:
        for batch in data.select_columns(list(columns)).with_format(None).iter(BATCH):
            yield from (dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True))

    return Rows(data.column_names, len(data), select)


def _file(path: Path) -> dict[str, Rows]:
    kind = next((suffix for suffix in reversed(path.suffixes) if suffix in _READERS), None)
    if kind is None:
        raise PreferenceError(f"{path} is none of {', '.join(_READERS)} (also .gz); rename or convert it")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        found = _READERS[kind](stream, path)
    if not any(rows.count for rows in found.values()):
        raise PreferenceError(f"{path} {_NO_ROWS}")
    return found


def _of_list(rows: list[dict[str, Any]]) -> Rows:
    def select(columns: Sequence[str]) -> Iterator[Row]:
        return ({column: row.get(column) for column in columns} for row in rows)

    return Rows(list(dict.fromkeys(column for row in rows for column in row)), len(rows), select)


def _json(stream: Stream, path: Path) -> dict[str, Rows]:
    """JSON Lines, a JSON list of rows, or an object with such a list for each split."""
    first = next((line for line in stream if line.strip()), b"")
    first = first.removeprefix(codecs.BOM_UTF8).strip()
    stream.seek(0)
    if first.startswith(b"{") and first.endswith(b"}"):
        lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
        found: Any = [_decoded(line, path, f"line {number} ") for number, line in lines]
        if len(found) > 1 or "train" not in found[0]:
            return {"train": _of_list(_objects(found, path))}
        found = found[0]
    else:
        found = _decoded(stream.read(), path, "") if first else []
    if isinstance(found, dict) and isinstance(found.get("train"), list):
        return {split: _of_list(_objects(rows, path)) for split, rows in found.items() if isinstance(rows, list)}
    return {"train": _of_list(_objects(found if isinstance(found, list) else [found], path))}


def _decoded(text: bytes, path: Path, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)  # also takes NaN and a byte order mark
        except ValueError as error:
            raise PreferenceError(f"{path} cannot be read: {where}is not valid JSON ({error})") from error


def _objects(rows: list[Any], path: Path) -> list[dict[str, Any]]:
    wrong = next((number for number, row in enumerate(rows, 1) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise PreferenceError(f"{path} cannot be read: row {wrong} is not an object {{column: value}}")
    return rows


def _table(stream: Stream, path: Path) -> dict[str, Rows]:
    """Values under a header, separated by commas, semicolons or tabs; every value is text."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            return {"train": _of_list(_lines(text, path))}
    except UnicodeDecodeError as error:
        raise PreferenceError(f"{path} cannot be read: it is not UTF-8 ({error}); save it as UTF-8") from error
    finally:
        csv.field_size_limit(before)


def _lines(text: io.TextIOWrapper, path: Path) -> list[dict[str, Any]]:
    header = text.readline()
    text.seek(0)
    reader = csv.DictReader(text, delimiter=max(_SEPARATORS, key=header.count))
    rows: list[dict[str, Any]] = []
    for row in reader:
        if None in row:
            wanted = len(reader.fieldnames or ())
            raise PreferenceError(f"{path} cannot be read: line {reader.line_num} has more than {wanted} fields")
        rows.append(row)
    return rows


def _parquet(stream: Stream, _path: Path) -> dict[str, Rows]:
    table = pq.read_table(io.BytesIO(stream.read()))

    def select(columns: Sequence[str]) -> Iterator[Row]:
        for batch in table.select(list(columns)).to_batches(BATCH):
            yield from batch.to_pylist()

    return {"train": Rows(table.column_names, table.num_rows, select)}


_READERS = {".jsonl": _json, ".json": _json, ".csv": _table, ".tsv": _table, ".parquet": _parquet}
