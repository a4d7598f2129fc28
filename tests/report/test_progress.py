import io

from rich.console import Console

from ctxenc.report import progress
from ctxenc.state import LOSSES

SPEED = {"images_per_second": 320.0, "waited_for_data": 0.0}
RECORD = {"step": 40, "epoch": 0.4, **SPEED} | dict.fromkeys(LOSSES, 0.5)


def live_on(monkeypatch, *, terminal):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=140)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    return progress.Live(100, steps_per_epoch=100, batch_size=64), shown


def test_a_terminal_gets_a_live_bar(monkeypatch):
    live, shown = live_on(monkeypatch, terminal=True)
    with live:
        live.step(40)
        live.show(RECORD)
    text = shown.getvalue()
    for words in ("40/100", "epoch 0.40/1", "320 images/s", "right on 50% real, 50% filled"):
        assert words in text
    assert "\x1b" in text


def test_elsewhere_a_line_now_and_then_and_one_at_the_end(monkeypatch):
    live, shown = live_on(monkeypatch, terminal=False)
    with live:
        for step in range(10, 101, 10):
            live.show(RECORD | {"step": step})
    lines = shown.getvalue().splitlines()
    assert len(lines) == 2  # the first and the last: the others came within ten seconds
    assert "step 10/100" in lines[0]
    assert "18 s left" in lines[0]  # 90 steps of 64 images at 320 a second
    assert "step 100/100" in lines[1]


def test_without_a_discriminator_its_losses_are_left_out():
    record = RECORD | {"discriminator": None}
    assert "D " not in progress.describe(record)
    assert "G 0.5000" in progress.describe(record)


def test_a_rate_that_is_not_known_yet_is_left_out(monkeypatch):
    live, shown = live_on(monkeypatch, terminal=False)
    with live:
        live.show(RECORD | {"images_per_second": None})
    assert "images/s" not in shown.getvalue()
    assert "left" not in shown.getvalue()


def test_waiting_for_data_is_said_where_it_costs_something():
    assert "waiting" not in progress.describe(RECORD)
    assert "(waiting for data 25% of the time)" in progress.describe(
        RECORD | {"waited_for_data": 0.25}
    )
