"""Hyper-parameters that people wrote into a name are read; a name that is none stays one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources.settings import settings_in


def number(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell or None


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("(learning_rate=1e-6, beta=0.1)", {"learning_rate": 1e-6, "beta": 0.1}),
        ("beta=0.1,lr_scheduler_type='cosine'", {"beta": 0.1, "lr_scheduler_type": "cosine"}),
        ("beta 0.5, lr 1e-4", {"beta": 0.5, "learning_rate": 1e-4}),
        ("Beta: 0.5; LR: 1e-4; seed 3", {"beta": 0.5, "learning_rate": 1e-4, "seed": 3.0}),
        ("beta 0.1", {"beta": 0.1}),
        ("(a= )", {}), ("a= ,b=1", {"b": 1.0}), ("", {}), ("beta", {}), ("run 7", {}), ("beta 0.1 best", {}),
        ("beta 0.1, DPO", {}), ("(beta=0.1", {}), ("(beta=f(1))", {}),
    ],
)  # fmt: skip
def test_settings_are_told_from_names(text, settings):
    assert settings_in(text, number) == settings


@given(st.text("beta=lr :;,.()'\"01e-\n", max_size=40))
def test_any_text_is_read_or_is_a_name(text):
    assert isinstance(settings_in(text, number), dict)
