"""A record's process is alive only while a Python process of another number runs under it."""

import os
import subprocess
import sys
import time

import psutil

from training.alive import trains


def test_a_running_python_trains_until_it_ends():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert trains(process.pid)
    process.communicate(b"\n")
    assert not trains(process.pid)


def test_another_program_under_the_number_does_not():
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert not trains(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_that_nobody_has_asked_after_does_not():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not trains(process.pid)
    process.communicate()


def test_this_process_and_no_number_do_not():
    assert not trains(os.getpid())
    assert not trains(None)
    assert not trains("12")
