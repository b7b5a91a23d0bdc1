"""Preference data of any kind comes in as pairs, or is refused in words."""

import gzip
import json
from pathlib import Path

import datasets
import pytest

from training import preferences
from training.data.arguments import DataArguments
from training.preferences import PreferenceError, Preferences

SIDES = ("prompt", "chosen", "rejected")


def load(name: object, seed: int = 0, **told: object) -> Preferences:
    return preferences.load(DataArguments(dataset_name=str(name), **told), seed)


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(n: int) -> list[dict[str, str]]:
    return [{"prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(n)]


def given_splits(folder: Path, **rows_of: list[dict]) -> Path:
    made = {split: datasets.Dataset.from_list(found) for split, found in rows_of.items()}
    datasets.DatasetDict(made).save_to_disk(folder)
    return folder


# --- splits -----------------------------------------------------------------------------------------------------------


def test_a_tenth_is_held_out_by_seed(tmp_path):
    path = write(tmp_path / "pairs.jsonl", rows(200))
    found = load(path, seed=1)
    assert (len(found.train), len(found.evaluation), found.shared_prompts) == (180, 20, 0)
    assert load(path, seed=1).evaluation == found.evaluation
    assert load(path, seed=2).evaluation != found.evaluation
    assert len(load(path, dataset_test_size=0.25).evaluation) == 50


def test_prompts_that_differ_in_white_space_only_are_on_the_same_side(tmp_path):
    said = [
        {"prompt": f"p {i % 10}{' ' * (i // 10)}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(30)
    ]
    found = load(write(tmp_path / "a.jsonl", said))
    sides = [{" ".join(pair["prompt"].split()) for pair in side} for side in (found.train, found.evaluation)]
    assert (len(found.train), len(found.evaluation)) == (27, 3)
    assert not sides[0] & sides[1]


def test_training_copies_of_evaluation_prompts_are_dropped_and_counted(tmp_path):
    """Prompts p8 and p9 are in both splits, p9 twice in training, once with a space more: three training rows go."""
    train = [*rows(10), {"prompt": " p9 ", "chosen": "another", "rejected": "third"}]
    found = load(given_splits(tmp_path / "saved", train=train, test=rows(12)[8:]))
    assert (len(found.train), len(found.evaluation), found.read) == (8, 4, 15)
    assert found.dropped == {"prompt also in the evaluation split": 3}
    assert found.shared_prompts == 2
    examples = found.examples["prompt also in the evaluation split"]
    assert [(each["split"], each["row"]) for each in examples] == [("train", 8), ("train", 9), ("train", 10)]


def test_samples_are_drawn_by_seed_and_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", rows(100))
    found = load(path, max_train_samples=20, max_eval_samples=4)
    assert (len(found.train), len(found.evaluation), found.read) == (20, 4, 100)
    assert found.dropped == {"beyond --max_train_samples": 70, "beyond --max_eval_samples": 6}
    whole = load(path)
    assert [pair for pair in whole.train if pair in found.train] == found.train
    assert found.train == load(path, max_train_samples=20).train


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("pairs.jsonl", "pairs.jsonl.gz", "pairs.json", "lines.json", "splits.json.gz", "pairs.csv", "a b.tsv"),
        *("pairs.parquet", "pairs.csv.gz", "pairs.parquet.gz", "marked.jsonl"),
    ],
)
def test_every_file_format_gives_the_same_pairs(tmp_path, name):
    path, table = tmp_path / name.removesuffix(".gz"), datasets.Dataset.from_list(rows(20))
    if ".parquet" in name:
        table.to_parquet(path)
    elif ".csv" in name or ".tsv" in name:
        table.to_csv(path, sep="\t" if ".tsv" in name else ",", index=False)
    elif name == "pairs.json":
        path.write_text(json.dumps(rows(20), indent=1))
    elif name == "splits.json.gz":
        path.write_text(json.dumps({"train": rows(20), "version": 1}))
    else:
        path.write_text("\ufeff" * (name == "marked.jsonl") + "".join(json.dumps(row) + "\n\n" for row in rows(20)))
    if name.endswith(".gz"):
        path = path.rename(tmp_path / "plain")
        path = Path(tmp_path / name)
        path.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    found = load(path)
    assert (len(found.train), len(found.evaluation), found.read) == (18, 2, 20)
    texts = sorted(tuple(pair[side] for side in SIDES) for pair in found.train + found.evaluation)
    assert texts == sorted(tuple(row[side] for side in SIDES) for row in rows(20))


def test_a_json_file_can_hold_its_splits(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"train": rows(10), "test": rows(14)[10:]}))
    found = load(path)
    assert (len(found.train), len(found.evaluation), found.shared_prompts) == (10, 4, 0)


def test_a_folder_of_files_has_a_split_for_each(tmp_path):
    write(tmp_path / "train.jsonl", rows(10))
    write(tmp_path / "test.jsonl", rows(14)[10:])
    found = load(tmp_path)
    assert (len(found.train), len(found.evaluation)) == (10, 4)


def test_a_saved_data_set_without_splits_is_the_training_split(tmp_path):
    datasets.Dataset.from_list(rows(20)).save_to_disk(tmp_path / "saved")
    assert len(load(tmp_path / "saved").train) == 18


def test_numbers_in_a_csv_file_are_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,chosen,rejected\n" + "".join(f"{n}+1?,{n + 1},{n + 2}\n" for n in range(10)))
    assert {type(pair[side]) for pair in load(path).train for side in SIDES} == {str}


def test_rows_of_mixed_shapes_are_read_one_by_one(tmp_path):
    turns = {
        "prompt": [{"role": "user", "content": "Hi"}],
        "chosen": [{"role": "assistant", "content": "a"}],
        "rejected": [{"role": "assistant", "content": "b"}],
    }
    odd = [{"prompt": 1, "chosen": {"x": 1}, "rejected": "y"}, {"prompt": "p", "chosen": None, "rejected": "y"}]
    found = load(write(tmp_path / "a.jsonl", [*rows(4), turns, *odd, {"other": 1}]))
    assert found.dropped == {"a turn without role and content": 1, "not text": 2}
    assert len(found.train) + len(found.evaluation) == 5
    assert turns in [{side: pair[side] for side in SIDES} for pair in found.train + found.evaluation]


# --- what is left out -------------------------------------------------------------------------------------------------


def test_rows_that_no_condition_asks_for_are_left_out_and_counted(tmp_path):
    judged = [{**row, "status": "tie" if i % 2 else "swapped", "score": i} for i, row in enumerate(rows(40))]
    found = load(write(tmp_path / "a.jsonl", judged), where=["status != tie", "score >= 20"])
    assert found.dropped == {"not asked for by --where": 30}
    assert sorted(int(pair["prompt"][1:]) for pair in found.train + found.evaluation) == list(range(20, 40, 2))


def test_dropped_rows_are_shown_by_their_number_three_of_each_reason(tmp_path):
    path = write(tmp_path / "a.jsonl", [*rows(8), *({"prompt": "p", "chosen": "", "rejected": "no"} for _ in range(5))])
    found = load(path)
    assert found.dropped == {"empty answer": 5}
    shown = {"split": "train", "text": "prompt: 'p' chosen: '' rejected: 'no'"}
    assert found.examples == {"empty answer": [{**shown, "row": row} for row in (8, 9, 10)]}


def test_a_prompt_that_answers_repeat_is_cut_before_the_texts_are_named(tmp_path):
    """Without `p3`, its chosen answer is empty: the row is dropped."""
    echoed = [{**row, "chosen": f"{row['prompt']} yes", "rejected": f"{row['prompt']} no"} for row in rows(6)]
    echoed[3]["chosen"] = "p3"
    found = load(write(tmp_path / "a.jsonl", echoed))
    assert found.dropped == {"empty answer": 1}
    assert found.examples["empty answer"][0]["row"] == 3
    assert {(pair["chosen"], pair["rejected"]) for pair in found.train} == {(" yes", " no")}
    assert preferences.digest([found.train[0]]) == found.train[0]["pair_id"]


# --- the built-in set -------------------------------------------------------------------------------------------------


def test_the_built_in_pairs_keep_their_ids_and_what_is_known_of_them():
    found = load("embedded")
    assert (len(found.train), len(found.evaluation), found.read, found.dropped) == (3200, 640, 3840, {})
    assert set(found.train[0]) == {"pair_id", *SIDES, "kind", "fault", "flipped"}


def test_the_built_in_pairs_can_be_chosen_and_sampled():
    """8% of 3,200 and of 640 pairs are flipped: 256 and 51."""
    found = load("embedded", where=["flipped == true"], max_eval_samples=10)
    assert (len(found.train), len(found.evaluation)) == (256, 10)
    assert all(pair["flipped"] for pair in found.train + found.evaluation)
    assert found.dropped == {"not asked for by --where": 3840 - 256 - 51, "beyond --max_eval_samples": 41}


# --- names ------------------------------------------------------------------------------------------------------------


def test_equal_texts_get_ids_of_their_own(tmp_path):
    found = load(write(tmp_path / "pairs.jsonl", [*rows(3), *rows(3)]))
    ids = [pair["pair_id"] for pair in found.train + found.evaluation]
    assert len(set(ids)) == 6


def test_the_digest_names_the_texts_in_their_order():
    first, second = rows(2)
    assert preferences.digest([first, second]) == preferences.digest([dict(first), {**second, "pair_id": "x"}])
    assert preferences.digest([first, second]) != preferences.digest([second, first])


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"messages": "x", "label": true}\n', "found: messages, label; this looks like unpaired data"),
        ("a.jsonl", '{"ask": "q", "chosen": "x", "rejected": "y"}\n', "no column prompt.*found: ask, chosen"),
        ("a.jsonl", "", "is empty; it needs rows with prompt, chosen and rejected"),
        ("a.jsonl", '{"prompt": "p", "chosen": "x", "rejected": "x"}\n', "1 equal answers"),
        ("a.jsonl", '{"prompt": "p", "chosen": "x", "rejected": "y"}\n', r"all pairs \(1\) have one prompt"),
        ("a.jsonl", "{not json\n", "cannot be read: is not valid JSON .*line 1 column 2"),
        ("a.jsonl", '{"prompt": "p"}\n{"prompt": "p}\n', "cannot be read: line 2 is not valid JSON"),
        ("a.json", '[{"prompt": "p"}, "x"]', "cannot be read: row 2 is not an object"),
        ("a.csv", "prompt,chosen,rejected\n", "is empty; it needs rows"),
        ("a.csv", "prompt,chosen,rejected\na,b,c,d\n", "line 2 has more than 3 fields"),
        ("a.parquet", "x", "'.*a.parquet' cannot be read: "),
        ("a.jsonl.gz", "x", "cannot be read: Not a gzipped file"),
        ("a.txt", "x", "is none of .jsonl"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(PreferenceError, match=words):
        load(path)


def test_an_empty_folder_is_refused_in_words(tmp_path):
    with pytest.raises(PreferenceError, match="doesn't contain any data files"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["nothing.jsonl", "./data/pairs", "a/b/c"])
def test_a_path_that_is_not_there_is_named(name):
    with pytest.raises(PreferenceError, match=f"{name} does not exist"):
        load(name)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"dataset_test_split": "dev"}, "no split 'dev'; found: train; pass --dataset_test_split"),
        ({"dataset_train_split": "valid"}, "no split 'valid'; found: train; pass --dataset_train_split"),
        ({"dataset_test_split": "train"}, "--dataset_test_split is the training split 'train'"),
        ({"dataset_test_size": 0.0}, "--dataset_test_size must be above 0 and below 1, got 0.0"),
        ({"dataset_test_size": 1.0}, "--dataset_test_size must be above 0 and below 1, got 1.0"),
        ({"max_train_samples": 0}, "--max_train_samples must be at least 1, got 0"),
        ({"max_eval_samples": -5}, "--max_eval_samples must be at least 1, got -5"),
        ({"where": ["promt == x"]}, r"no column 'promt' \(did you mean prompt\?\)"),
        ({"where": ["prompt == x"]}, "0 training and 0 evaluation pairs .* of 4 rows .4 not asked for by --where"),
        ({"prompt_column": "promt"}, r"--prompt_column: .* has no column 'promt' \(did you mean prompt\?\)"),
    ],
)
def test_an_argument_that_cannot_be_met_is_refused_in_words(tmp_path, told, words):
    with pytest.raises(PreferenceError, match=words):
        load(write(tmp_path / "a.jsonl", rows(4)), **told)


@pytest.mark.parametrize("count", [1, 5])
def test_pairs_of_one_prompt_cannot_be_split(tmp_path, count):
    alike = [{**row, "prompt": "Why?"} for row in rows(count)]
    with pytest.raises(PreferenceError, match=rf"all pairs \({count}\) have one prompt"):
        load(write(tmp_path / "a.jsonl", alike))


def test_a_hub_id_without_a_network_says_so():
    with pytest.raises(PreferenceError, match=r"'nobody/nothing' cannot be read.*needs a network"):
        load("nobody/nothing")


# --- data of other people ---------------------------------------------------------------------------------------------


def test_hh_dialogues_of_other_people_are_read(shared_data):
    """imports.md: of 2,312 pairs 5 do not share their prompt and 4 chosen answers are empty: 2,303 are left."""
    found = load(shared_data / "preference_data" / "hh_harmless_base_test.jsonl.gz")
    assert (found.read, found.dropped) == (2312, {"no shared prompt": 5, "empty answer": 4})
    assert len(found.train) + len(found.evaluation) == 2303
    assert [len(found.examples[reason]) for reason in found.dropped] == [3, 3]


@pytest.mark.parametrize(
    ("name", "count"),
    [("joojoon_rlaif.json", 10), ("llamafactory_dpo_en_demo.json", 150), ("medicalgpt_v3_question_chosen.jsonl", 250)],
)
def test_every_pair_of_other_people_is_kept(shared_data, name, count):
    found = load(shared_data / "preference_data" / name)
    assert (len(found.train) + len(found.evaluation), found.read, found.dropped) == (count, count, {})


def test_one_pair_is_too_few(shared_data):
    with pytest.raises(PreferenceError, match=r"all pairs \(1\) have one prompt"):
        load(shared_data / "preference_data" / "torchtune_hh_rlhf_tiny.json")
