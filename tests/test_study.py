"""What the analysis looks at: columns of scores read as they are."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_runs import make_run
from pair_runs import add_scores

from dashboard.analysis.study import _column

KINDS = {
    pa.float64(): st.floats(width=64),
    pa.float32(): st.floats(width=32),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.bool_(): st.booleans(),
}


@given(st.data(), st.sampled_from(list(KINDS)), st.integers(0, 3))
def test_a_column_is_read_as_pyarrow_reads_it_whatever_its_chunks(data, kind, start):
    values = data.draw(st.lists(st.lists(KINDS[kind], max_size=9), max_size=3))
    column = pa.chunked_array([pa.array(part, kind).slice(start) for part in values], kind)
    expected = np.array(column.to_pylist(), dtype=bool if kind == pa.bool_() else None)
    found = _column(column)
    assert found.shape == (len(column),)
    np.testing.assert_array_equal(found, expected if len(column) else found[:0])


def test_what_is_missing_is_no_number():
    assert np.isnan(_column(pa.chunked_array([[1.0, None]]))[1])
    assert _column(pa.chunked_array([[1, None]])).tolist() == [1, 0]


def test_a_column_of_words_is_refused():
    with pytest.raises(ValueError, match="not numbers"):
        _column(pa.chunked_array([["a"]]))


def test_reading_scores_imports_no_pandas(tmp_path):
    """Dash encodes its answers with plotly's encoder, which fails while another thread is importing pandas."""
    for number in range(2):
        run = make_run(tmp_path, f"run-{number}", seed=number, n=20)
        add_scores(run, np.linspace(-1, 3, 20))
    code = (
        "import sys; from pathlib import Path\n"
        "from dashboard.app import create_app; from dashboard.components import context\n"
        "with create_app(Path(sys.argv[1])).server.app_context():\n"
        "    found = context.study(context.catalog().snapshot()).values()\n"
        "    print(sum(len(evidence.judged('last')) for evidence in found), 'pandas' in sys.modules)"
    )
    seen = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert seen.stdout.split() == ["40", "False"], seen.stderr
