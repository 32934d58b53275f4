"""Telling whether a noted process still runs; the kernel is asked only about its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from gestalt_sdk.common.process_identity import ProcessIdentity


def test_a_process_is_known_again_from_what_was_noted() -> None:
    own = ProcessIdentity.of(os.getpid())
    assert ProcessIdentity.parse(str(own)) == own
    assert own.is_running()
    assert not own.has_ended()
    assert not own.is_of_an_earlier_boot()
    assert ProcessIdentity.parse("nonsense") is None


def test_a_process_that_ended_and_its_corpse_have_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    noted = ProcessIdentity.of(child.pid)
    assert noted.is_running()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped
    assert noted.has_ended()
    assert not noted.is_running()
    child.communicate()
    assert noted.has_ended()


def test_a_number_that_was_given_to_another_process_is_not_the_one_noted() -> None:
    own = ProcessIdentity.of(os.getpid())
    other = replace(own, start=str(int(own.start) + 1))
    assert other.has_ended()
    assert not other.is_running()


def test_what_cannot_be_asked_about_is_neither_running_nor_ended() -> None:
    own = ProcessIdentity.of(os.getpid())
    for noted in (
        replace(own, boot="other"),
        replace(own, namespace="pid:[1]"),
        replace(own, start=""),
        replace(own, boot=""),
        replace(own, namespace=""),
    ):
        assert not noted.is_running()
        assert not noted.has_ended()
    assert replace(own, boot="other").is_of_an_earlier_boot()
    assert not replace(own, boot="other", namespace="pid:[1]").is_of_an_earlier_boot()
