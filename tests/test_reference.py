"""Reference scores are found again for the same weights and tokens, and for nothing else."""

import multiprocessing
import os
import random
import signal
import time
from copy import deepcopy
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM
from trl.trainer.dpo_trainer import DataCollatorForPreference

from training import reference
from training.data.tokens import Limits
from training.reference import ReferenceStore, UnreadableWeights, fingerprint, pair_keys

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

FLOAT32 = "float32, no autocast"
WEIGHTS = "0" * 64
KEYS = [bytes([n]) * 16 for n in range(4)]
VALUES = np.array([[-1.0, -2.5], [-3.25, -4.0], [-5.0, -6.0], [-7.0, -8.0]])


@pytest.fixture
def model(tiny_model) -> GPT2LMHeadModel:
    return GPT2LMHeadModel.from_pretrained(tiny_model)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path, told) -> ReferenceStore:
    return ReferenceStore(tmp_path, WEIGHTS, told.append)


def again(store: ReferenceStore) -> ReferenceStore:
    """The same store as another process sees it."""
    return ReferenceStore(store._folder.parents[1], store._folder.name, store._tell)


def segments(store: ReferenceStore) -> list[Path]:
    return sorted(store._folder.glob("*.parquet"))


def test_a_model_loaded_twice_has_one_fingerprint_and_training_mode_does_not_matter(model, tiny_model):
    same = GPT2LMHeadModel.from_pretrained(tiny_model).train()
    same.config.use_cache, same.config._name_or_path, same.config.pad_token_id = False, "elsewhere", 3
    assert fingerprint(same, FLOAT32) == fingerprint(model, FLOAT32)


def test_one_flipped_bit_of_any_weight_is_another_fingerprint(model):
    before = fingerprint(model, FLOAT32)
    for parameter in model.parameters():
        place = parameter.data.view(-1)[-1:].view(torch.int32)
        place ^= 1
        assert fingerprint(model, FLOAT32) != before
        place ^= 1
    assert fingerprint(model, FLOAT32) == before


def test_precision_dtype_and_what_changes_numbers_in_the_configuration_are_in_the_fingerprint(model):
    scaled = deepcopy(model)
    scaled.config.scale_attn_by_inverse_layer_idx = True
    found = [fingerprint(model, FLOAT32), fingerprint(model, "float32, bf16"), fingerprint(scaled, FLOAT32)]
    found.append(fingerprint(deepcopy(model).bfloat16(), FLOAT32))
    assert len(set(found)) == 4


def test_the_theta_of_rotary_positions_is_in_the_fingerprint():
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}

    def rotary(theta: float) -> Qwen2ForCausalLM:
        torch.manual_seed(0)
        about = {"rope_type": "default", "rope_theta": theta}
        return Qwen2ForCausalLM(Qwen2Config(vocab_size=32, num_key_value_heads=1, rope_parameters=about, **sizes))

    assert fingerprint(rotary(1e4), FLOAT32) == fingerprint(rotary(1e4), FLOAT32)
    assert fingerprint(rotary(1e4), FLOAT32) != fingerprint(rotary(1e6), FLOAT32)


def test_the_reference_of_lora_is_its_base(model):
    """Target modules within Conv1D, the tied head, and a norm that is trained whole: all as without."""
    before = fingerprint(model, FLOAT32)
    lora = LoraConfig(target_modules=["c_attn", "wte"], modules_to_save=["ln_f"], fan_in_fan_out=True, r=2)
    adapted = get_peft_model(deepcopy(model), lora)
    assert fingerprint(adapted, FLOAT32) == before
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 1.0
    assert fingerprint(adapted, FLOAT32) == before
    with torch.no_grad():
        adapted.get_base_model().transformer.h[0].attn.c_attn.base_layer.weight[0, 0] += 1.0
    assert fingerprint(adapted, FLOAT32) != before


def test_a_ref_adapter_is_part_of_the_reference(model):
    """TRL's copy of an adapter that was trained before."""
    lora = LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True, r=2)
    adapted = get_peft_model(model, lora)
    base = fingerprint(adapted, FLOAT32)
    adapted.add_adapter("ref", lora)
    with_ref = fingerprint(adapted, FLOAT32)
    adapted.get_parameter("base_model.model.transformer.h.0.attn.c_attn.lora_B.ref.weight").data += 1.0
    assert len({base, with_ref, fingerprint(adapted, FLOAT32)}) == 3


class Scaled(torch.nn.Linear):
    """Quantised in the way of bitsandbytes: whole numbers as weight, their scale only in the state dict."""

    scale = 1.0

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight.absmax"] = torch.tensor(self.scale)


def test_the_scale_of_a_quantised_weight_is_in_the_fingerprint():
    layer = Scaled(2, 2)
    before = fingerprint(layer, "int8")
    layer.scale = 2.0
    assert fingerprint(layer, "int8") != before
    layer.weight = torch.nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), requires_grad=False)
    zeros = fingerprint(layer, "int8")
    layer.weight[0, 0] = 1
    assert fingerprint(layer, "int8") != zeros


def test_weights_that_are_elsewhere_have_no_fingerprint():
    with pytest.raises(UnreadableWeights, match="weight is sharded"):
        fingerprint(torch.nn.Linear(2, 2, device="meta"), FLOAT32)
    partitioned = torch.nn.Linear(2, 2)
    partitioned.bias.ds_id = 0  # as DeepSpeed ZeRO-3 marks an empty placeholder
    with pytest.raises(UnreadableWeights, match="bias"):
        fingerprint(partitioned, FLOAT32)


def data(rows: list[tuple[list[int], list[int], list[int]]], kind: pa.DataType | None = None) -> Dataset:
    kind = pa.list_(pa.int32()) if kind is None else kind
    columns = {
        f"{name}_ids": pa.array(list(values), type=kind)
        for name, values in zip(("prompt", "chosen", "rejected"), zip(*rows, strict=True), strict=True)
    }
    return Dataset(pa.table(columns))


def collated(row: tuple[list[int], list[int], list[int]], limits: Limits) -> list[list[int]]:
    """What TRL's collator keeps of one pair: token ids and completion mask, each side without padding."""
    collate = DataCollatorForPreference(99, limits.max_length, limits.truncation_mode)
    batch = collate([{f"{name}_ids": ids for name, ids in zip(("prompt", "chosen", "rejected"), row, strict=True)}])
    kept = batch["attention_mask"].bool()
    return [batch[name][side][kept[side]].tolist() for name in ("input_ids", "completion_mask") for side in range(2)]


IDS = st.lists(st.integers(0, 1), max_size=3)
ROW = st.tuples(IDS.filter(len), IDS, IDS)
LIMITS = st.builds(Limits, st.none() | st.integers(1, 6), st.none(), st.sampled_from(["keep_start", "keep_end"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8), LIMITS, LIMITS)
def test_keys_are_equal_exactly_when_the_collator_keeps_the_same(rows, limits, others):
    """Two token ids and short lists, so that many rows agree in part, or in their tokens but not in where they part."""
    keys = [key for each in (limits, others) for key in pair_keys(data(rows), each)]
    kept = [str(collated(row, each)) for each in (limits, others) for row in rows]
    assert len(set(keys)) == len(set(kept)) == len(set(zip(keys, kept, strict=True)))


def test_one_flipped_token_is_another_key():
    row = ([1, 2], [3, 4], [5, 6])
    changed = [tuple([*ids[:1], 9] if i == j else ids for j, ids in enumerate(row)) for i in range(3)]
    assert len(set(pair_keys(data([row, *changed]), Limits(None)))) == 4


def test_keys_follow_the_rows_of_a_data_set_however_it_is_stored():
    draw = random.Random(0)
    rows = [tuple([draw.randrange(50) for _ in range(draw.randrange(1, 9))] for _ in range(3)) for _ in range(25)]
    keys = pair_keys(data(rows), Limits(8))
    order = draw.sample(range(25), 25)
    assert pair_keys(data(rows).select(order), Limits(8)) == [keys[i] for i in order]
    assert pair_keys(data(rows, pa.large_list(pa.int64())), Limits(8)) == keys
    parts = pa.concat_tables([data(rows[:7]).data.table, data(rows[7:]).data.table.slice(0)])
    assert pair_keys(Dataset(parts.slice(3)), Limits(8)) == keys[3:]
    assert pair_keys(data(rows).select_columns(["rejected_ids", "prompt_ids", "chosen_ids"]), Limits(8)) == keys


def test_what_was_added_is_found_and_the_rest_is_nan(store, told):
    store.add(KEYS[:2], VALUES[:2])
    for seen in (store, again(store)):
        np.testing.assert_array_equal(seen.find(KEYS[:3]), [[-1.0, -2.5], [-3.25, -4.0], [np.nan, np.nan]])
    assert again(store).find([]).shape == (0, 2)
    assert not told


def test_another_fingerprint_finds_nothing(store, tmp_path):
    store.add(KEYS, VALUES)
    assert np.isnan(ReferenceStore(tmp_path, "1" * 64, print).find(KEYS)).all()


def test_what_is_not_finite_or_known_is_not_stored(store):
    store.add(KEYS, np.array([[-1.0, np.nan], [np.inf, -1.0], [-np.inf, -1.0], [-2.0, -3.0]]))
    assert np.isnan(again(store).find(KEYS)[:3]).all()
    store.add(KEYS[3:], VALUES[3:])
    assert len(segments(store)) == 1
    np.testing.assert_array_equal(again(store).find(KEYS[3:]), [[-2.0, -3.0]])


def test_a_second_find_reads_only_what_is_new(store, monkeypatch):
    other = again(store)
    loaded = []
    load = other._load
    monkeypatch.setattr(other, "_load", lambda path: loaded.append(path.name) or load(path))
    store.add(KEYS[:1], VALUES[:1])
    other.find(KEYS)
    store.add(KEYS[1:2], VALUES[1:2])
    np.testing.assert_array_equal(other.find(KEYS[:2]), VALUES[:2])
    assert len(loaded) == len(set(loaded)) == 2


def test_a_segment_with_any_byte_flipped_is_not_used(store, told):
    store.add(KEYS, VALUES)
    (segment,) = segments(store)
    whole = segment.read_bytes()
    for place in range(len(whole)):
        segment.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert np.isnan(again(store).find(KEYS)).all(), place
    assert len(told) == len(whole)
    assert "checksum" in told[0]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_segment_cut_short_or_grown_is_not_used(tmp_path_factory, data):
    store = ReferenceStore(tmp_path_factory.mktemp("shared"), WEIGHTS, lambda line: None)
    store.add(KEYS, VALUES)
    (segment,) = segments(store)
    whole = segment.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    segment.write_bytes(data.draw(st.sampled_from([whole[:at], whole[:at] + b"\0" + whole[at:]])))
    assert np.isnan(again(store).find(KEYS)).all()


def planted(store: ReferenceStore, table: pa.Table) -> None:
    """A segment with the right checksum."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    store._folder.mkdir(parents=True, exist_ok=True)
    (store._folder / f"{sha256(content).hexdigest()}.parquet").write_bytes(content)


def table(values=((-1.0, -2.0),), keys=KEYS[:1], schema=reference._SCHEMA, weights=WEIGHTS) -> pa.Table:
    columns = [list(keys), *map(list, zip(*values, strict=True))]
    return pa.table(columns, schema=schema.with_metadata({"fingerprint": weights}))


_NAMED = reference._SCHEMA.set(1, pa.field("chosen_logp", pa.float64()))
_FLOAT = reference._SCHEMA.set(1, pa.field("ref_chosen_logp", pa.float32()))


@pytest.mark.parametrize(
    ("planting", "reason"),
    [
        (table(weights="1" * 64), "other weights"),
        (table().replace_schema_metadata(None), "other weights"),
        (table(schema=_FLOAT), "columns"),
        (table(schema=_NAMED), "columns"),
        (table(values=((float("nan"), -1.0),)), "not finite"),
        (table(values=((-1.0, float("-inf")),)), "not finite"),
        (table(values=((-1.0, None),)), "not finite"),
    ],
)
def test_a_foreign_segment_is_told_once_and_not_used(store, told, planting, reason):
    planted(store, planting)
    for _ in range(2):
        assert np.isnan(store.find(KEYS[:1])).all()
    assert len(told) == 1
    assert reason in told[0]
    assert "\n" not in told[0]
    planted(store, table())
    assert not np.isnan(store.find(KEYS[:1])).any()


def test_a_file_that_is_no_parquet_is_told_in_one_line(store, told):
    store._folder.mkdir(parents=True)
    (store._folder / f"{sha256(b'text').hexdigest()}.parquet").write_bytes(b"text")
    assert np.isnan(store.find(KEYS)).all()
    assert len(told) == 1 and "\n" not in told[0]


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(tmp_path, told):
    (tmp_path / "reference").write_text("a file where the folder should be")
    store = ReferenceStore(tmp_path, WEIGHTS, told.append)
    store.add(KEYS, VALUES)
    np.testing.assert_array_equal(store.find(KEYS), VALUES)
    assert len(told) == 1 and "cannot be written" in told[0]


def numbered(number: int) -> tuple[list[bytes], np.ndarray]:
    return [number.to_bytes(16, "big")], np.array([[-float(number), -number - 0.5]])


def test_many_segments_become_one_and_a_reader_at_that_moment_loses_nothing(store, monkeypatch, told):
    """The reader has listed 32 segments when a 33rd is added and all are merged away before it opens the first."""
    for number in range(reference.MANY):
        store.add(*numbered(number))
    reader = again(store)
    load = reader._load

    def late(path: Path) -> pa.Table:
        if len(segments(store)) > 1:
            again(store).add(*numbered(reference.MANY))
        return load(path)

    monkeypatch.setattr(reader, "_load", late)
    keys = [numbered(number)[0][0] for number in range(reference.MANY + 1)]
    found = reader.find(keys)
    assert len(segments(store)) == 1
    np.testing.assert_array_equal(found[:, 0], -np.arange(reference.MANY + 1.0))
    np.testing.assert_array_equal(store.find(keys), found)
    assert not told


def _adds(shared: Path, numbers: range) -> None:
    lines: list[str] = []
    store = ReferenceStore(shared, WEIGHTS, lines.append)
    for number in numbers:
        store.add(*numbered(number))
        earlier = [numbered(before)[0][0] for before in range(numbers.start, number + 1)]
        assert not np.isnan(again(store).find(earlier)).any()
    assert not lines


def test_four_processes_that_add_and_find_at_once_lose_nothing(store, tmp_path, told):
    """4 x 40 additions: some 4 merges of more than 32 segments each, at any moment."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_adds, args=(tmp_path, range(n * 40, n * 40 + 40))) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    found = store.find([numbered(number)[0][0] for number in range(160)])
    np.testing.assert_array_equal(found[:, 0], -np.arange(160.0))
    assert len(segments(store)) <= reference.MANY + 4
    assert not told


def _dies_while_writing(shared: Path) -> None:
    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    Path.write_bytes = half  # type: ignore[method-assign]
    ReferenceStore(shared, WEIGHTS, print).add(KEYS, VALUES)


def test_a_kill_in_the_middle_of_a_write_leaves_nothing_readable(store, tmp_path, told):
    process = multiprocessing.get_context("fork").Process(target=_dies_while_writing, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(store._folder.iterdir())) == 1, "the half file is there"
    assert np.isnan(store.find(KEYS)).all()
    assert not told
    store.add(KEYS, VALUES)
    np.testing.assert_array_equal(again(store).find(KEYS), VALUES)


def test_the_keys_of_a_large_set_take_seconds():
    """20,000 pairs of 3 x 100 tokens; the bound is some ten times what it takes."""
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(0, 2_000_001, 100), pa.int32()), pa.array(np.arange(2_000_000, dtype=np.int32))
    )
    rows = Dataset(pa.table({"prompt_ids": lists, "chosen_ids": lists, "rejected_ids": lists}))
    start = time.process_time()
    assert len(set(pair_keys(rows, Limits(150)))) == 20_000
    assert time.process_time() - start < 3
