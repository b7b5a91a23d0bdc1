"""What generated answers show: degenerate ones are found, and too few are nothing to speak of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.degeneration import alike, distinct, echoes, repetition, units
from dashboard.analysis.findings import samples
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run

RUN = Run("a", "a run", "runs", "finished", step=80)
PROMPT = "What is the capital of country number"


def rows(tuned, base="It is a town near the sea.", step=80, ended=True, tokens=8, prompt=PROMPT):
    """One row for each of the tuned model's answers; each with a prompt of its own."""
    about = {"ended": ended, "tokens": tokens}
    asked = ([{"role": "user", "content": f"{prompt} {n}?"}] for n in range(len(tuned)))
    return [
        {"step": step, "prompt": p, "base": f"{n} {base}", "dpo": text, **about}
        for n, (p, text) in enumerate(zip(asked, tuned, strict=True))
    ]


def findings(*drawn, run=RUN):
    evidence = Evidence(run, samples=tuple(row for part in drawn for row in part))
    return {finding.id: finding for finding in samples.check(study([evidence]), "last")}


def answers(n, text="The answer number {} is a long story."):
    return [text.format(number) for number in range(n)]


def test_words_are_counted_in_every_script():
    """A full stop is a unit, and so is each character of a script that has no spaces."""
    assert units("Yes, Of of!") == ["yes", ",", "of", "of", "!"]
    assert units("你好吗 ok") == ["你", "好", "吗", "ok"]


def test_repetition_is_the_share_of_3_grams_seen_before():
    """a b c a b c: abc bca cab abc, three different of four."""
    assert repetition(["a", "b", "c", "a", "b", "c"]) == 0.25
    assert repetition(["a", "b"]) == repetition([]) == 0


def test_distinct_2_is_over_all_texts():
    """a b, b c and a b again: two different of three."""
    assert distinct([["a", "b", "c"], ["a", "b"]]) == pytest.approx(2 / 3)
    assert distinct([["a"]]) == 1


def test_alike_counts_every_text_that_has_its_like():
    assert alike(["I do not know.", "i do  not know.", "Rome", "", ""]) == 2


def test_an_echo_is_the_whole_prompt_at_the_beginning():
    asked = units("What is the capital of France?")
    assert echoes(asked, units("What is the capital of France? It is Paris."))
    assert not echoes(asked, units("The capital of France is Paris."))
    assert not echoes(units("Why?"), units("Why? Because."))


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_repetition_is_a_share_and_doubling_a_text_never_lowers_it(words):
    assert 0 <= repetition(words) <= repetition(words + words) < 1


def test_repetition_is_told_against_the_base_model_on_the_same_prompts():
    """no no no no no no: one different 3-gram of four, 75%; the base model's 8 words have none twice."""
    found = findings(rows(["no no no no no no"] * 5 + [f"no no no no no {n}" for n in range(5)]))
    assert "a run (70.8% of 3-grams at step 80, base model 0.0%, 10 prompts)" not in found["answers-alike"].sentence
    assert "base model 0.0%, 10 prompts" in found["repetition"].sentence


def test_what_the_base_model_repeats_too_is_not_held_against_the_run():
    again = "the sea and the sea and the sea and the sea"
    assert findings(rows(answers(10, "{} " + again), base=again)) == {}


def test_too_few_prompts_are_nothing_to_speak_of():
    assert findings(rows(["no no no no no no"] * 7)) == {}


def test_one_answer_that_repeats_itself_in_twelve_is_not_beyond_chance():
    assert findings(rows([*answers(11), "no no no no no no no no no no no no"])) == {}


def test_only_answers_until_the_judged_evaluation_count_and_not_those_before_training():
    bad = ["no no no no no no no"] * 10
    assert findings(rows(bad, step=0), rows(answers(10), step=80)) == {}
    assert findings(rows(answers(10), step=80), rows(bad, step=160)) == {}
    assert "repetition" in findings(rows(answers(10), step=40), rows(bad, step=80))


def test_answers_that_no_longer_end_are_told_by_mcnemars_test():
    """Of 10 that ended, 9 no longer do: p = 2 / 2^9 = 0.0039; of 8, 6: p = 0.031, too much."""
    base = rows(answers(10), step=0)
    late = rows(answers(1), ended=True) + rows(answers(10), ended=False)[1:]
    assert (
        "a run (10.0% at step 80, base model 100.0%, 10 prompts)" in findings(base, late)["answers-do-not-end"].sentence
    )
    few = rows(answers(2)) + rows(answers(8), ended=False)[2:]
    assert findings(rows(answers(8), step=0), few) == {}


def test_answers_become_longer_by_their_ratio():
    """16 tokens after 8, in every prompt: twice, with an interval of no width; from 8 to 11 is below 1.5."""
    base = rows(answers(10), step=0, tokens=8)
    assert "2.0 times the base model's" in findings(base, rows(answers(10), tokens=16))["longer-answers"].sentence
    assert findings(base, rows(answers(10), tokens=11)) == {}


@pytest.mark.parametrize(
    ("bad", "id"),
    [("", "empty-answers"), ("It depends.", "answers-alike"), (None, "empty-answers")],
)
def test_three_such_answers_of_ten_are_told_and_two_are_not(bad, id):
    assert findings(rows([*answers(7), bad, bad, bad])).keys() == {id}
    assert "3 of 10 at step 80, base model 0" in findings(rows([*answers(7), bad, bad, bad]))[id].sentence
    assert findings(rows([*answers(8), bad, bad])) == {}


def test_echoed_prompts_are_told():
    echoed = [f"{PROMPT} {n}? I wonder." for n in range(10)]
    assert findings(rows(echoed)).keys() == {"echoed-prompts"}


def test_rows_with_missing_or_strange_fields_are_no_error():
    strange = [{"step": 80}, {"step": None, "dpo": 3}, {"step": "x"}, {"prompt": [], "step": 80, "tokens": "many"}] * 5
    start = [{"prompt": [], "step": 0, "tokens": [], "ended": "no"}, {"step": 0, "ended": None}]
    assert findings(start, strange).keys() <= {"empty-answers"}
