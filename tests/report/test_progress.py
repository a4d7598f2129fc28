import io

from rich.console import Console

from ctxenc.report import progress

SPEED = {"images_per_second": 320.0, "waited_for_data": 0.0}
LOSSES = {"generator_loss": 0.5, "discriminator_loss": 0.5}
RECORD = {"step": 40, "epoch": 0.4, **SPEED, **LOSSES, "accuracy_real": 0.5, "accuracy_fake": 0.5}


def bar_on(monkeypatch, *, terminal):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=140)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    return progress.Bar(100, steps_per_epoch=100, batch_size=64), shown


def test_a_terminal_gets_a_live_bar(monkeypatch):
    bar, shown = bar_on(monkeypatch, terminal=True)
    with bar:
        bar.step(40)
        bar.show(RECORD)
    text = shown.getvalue()
    for words in ("40/100", "epoch 0.40/1", "320 images/s", "right on 50% real, 50% filled"):
        assert words in text
    assert "\x1b" in text


def test_elsewhere_a_line_now_and_then_and_one_at_the_end(monkeypatch):
    bar, shown = bar_on(monkeypatch, terminal=False)
    with bar:
        for step in range(10, 101, 10):
            bar.show(RECORD | {"step": step})
    lines = shown.getvalue().splitlines()
    assert len(lines) == 2  # the first and the last: the others came within ten seconds
    assert "step 10/100" in lines[0]
    assert "18 s left" in lines[0]  # 90 steps of 64 images at 320 a second
    assert "step 100/100" in lines[1]


def test_each_pass_over_images_has_its_own_lines(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=shown))
    with progress.Counting() as counting:
        for done in (1, 2, 3):
            counting("model", done, 3)
        counting("mean", 1, 3)
    lines = shown.getvalue().splitlines()
    assert lines == ["model: 1/3 images", "model: 3/3 images", "mean: 1/3 images"]


def test_without_a_discriminator_its_losses_are_left_out():
    record = {name: value for name, value in RECORD.items() if name != "discriminator_loss"}
    assert "D " not in progress.describe(record)
    assert "G 0.5000" in progress.describe(record)


def test_a_rate_that_is_not_known_yet_is_left_out(monkeypatch):
    bar, shown = bar_on(monkeypatch, terminal=False)
    with bar:
        bar.show(RECORD | {"images_per_second": None})
    assert "images/s" not in shown.getvalue()
    assert "left" not in shown.getvalue()


def test_waiting_for_data_is_said_where_it_costs_something():
    assert "waiting" not in progress.describe(RECORD)
    assert "(waiting for data 25% of the time)" in progress.describe(
        RECORD | {"waited_for_data": 0.25}
    )
