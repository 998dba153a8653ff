"""Ctrl-C ends the command wherever it arrives."""

from __future__ import annotations

import signal
import sys
import threading
import weakref

import pytest

from edgec.cli import _interrupt_again


class Thing:
    """Something that can be referred to weakly."""


def interrupt(gone: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_in_a_callback_of_python_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", _interrupt_again)
    thing = Thing()
    reference = weakref.ref(thing, interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            del thing
            threading.Event().wait(10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert reference() is None
    assert capsys.readouterr().err == ""
