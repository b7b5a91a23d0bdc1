"""What is held in memory: the last used, up to a limit, each worked out once however many ask."""

import threading

import pytest

from dashboard.components.memory import Memory
from dashboard.sources.held import Held


def test_the_last_used_stay_up_to_the_limit():
    held = Held(10)
    for key in "abc":
        held.of(key, lambda key=key: key * 4, len)
    assert held.size == 8
    assert held.of("a", lambda: "new", len) == "new"
    assert held.of("c", lambda: "new", len) == "cccc"
    assert held.size == 7


def test_one_that_is_larger_than_the_limit_is_held_alone():
    held = Held(10)
    held.of("small", lambda: "x", len)
    assert len(held.of("large", lambda: "x" * 50, len)) == 50
    assert held.of("large", lambda: "again", len) == "x" * 50
    assert held.of("small", lambda: "again", len) == "again"
    assert held.size == 5


def test_what_has_grown_makes_others_go():
    held = Held(10)
    for key in "ab":
        held.of(key, lambda: "1234", len)
    held.resize("b", 8)
    assert held.size == 8
    held.resize("a", 5)
    assert held.size == 8
    held.forget("b", "never there")
    assert held.size == 0


def test_of_many_that_ask_at_once_one_works_it_out():
    held, made, seen = Held(10), [], []
    ready = threading.Barrier(20)

    def make():
        made.append(threading.current_thread())
        threading.Event().wait(0.05)
        return object()

    def ask():
        ready.wait()
        seen.append(held.of("key", make))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and len(seen) == 20 and len(set(map(id, seen))) == 1


def test_an_error_is_that_of_all_who_wait_and_is_forgotten():
    held = Held(10)
    with pytest.raises(RuntimeError):
        held.of("key", lambda: (_ for _ in ()).throw(RuntimeError("once")))
    assert held.of("key", lambda: "fine") == "fine"


def test_one_result_may_need_another():
    held = Held(10)
    assert held.of("outer", lambda: held.of("inner", lambda: 1) + 1) == 2


def test_results_of_old_states_go():
    memory, made = Memory(most=10, states=2), []

    def ask(state, key):
        return memory.of(state, key, lambda: made.append((state, key)) or len(made))

    for state in ("1", "2", "1", "3", "1"):
        ask(state, "board")
    assert made == [("1", "board"), ("2", "board"), ("3", "board")]
    ask("2", "board")
    assert made[-1] == ("2", "board")


def test_a_day_of_states_and_views_keeps_no_more_than_it_may():
    memory = Memory(most=5, states=2)
    for number in range(1000):
        memory.of(f"state {number}", ("view", number % 50), lambda: "x")
    assert memory._held.size <= 5
    assert len(memory._states) <= 5
    assert sum(map(len, memory._states.values())) <= 10
