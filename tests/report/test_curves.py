import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from ctxenc.report import curves

pytestmark = pytest.mark.usefixtures("in_full")

TO_BEAT = {
    "psnr_db": {"context mean 16.00": 16.0, "harmonic 17.50 (first 4096 images)": 17.5},
    "sharpness": {"context mean 0.00": 0.0, "harmonic 0.30 (first 4096 images)": 0.3},
}
ALONE = ("generator_loss", "reconstruction_loss")
JOINT = (
    *ALONE,
    "adversarial_loss",
    "discriminator_loss",
    "discriminator_loss_real",
    "discriminator_loss_fake",
    "accuracy_real",
    "accuracy_fake",
)


def records(names, count=3, **others):
    steps = range(10, 10 * count + 1, 10)
    train = [{"step": step} | dict.fromkeys(names, 1.0 / step) | others for step in steps]
    return train, [{"step": 10 * count, "psnr_db": 17.0, "sharpness": 0.4}]


@pytest.fixture
def draw(tmp_path):
    """Draws ``curves.png``; gives the panels that are in it, by the beginnings of their titles."""

    def drawn(train, validation, chance_loss=0.693):
        lines = train, validation, TO_BEAT, chance_loss
        figure = curves.draw("name/$time", *lines)
        curves.save(tmp_path / "curves.png", figure)
        with Image.open(tmp_path / "curves.png") as picture:
            assert np.asarray(picture).std() > 10
        return {axis.get_title(loc="left").split(" (")[0]: axis for axis in figure.axes}

    return drawn


def test_each_quantity_has_a_panel_of_its_own(draw):
    validated = ["validation PSNR of the hole", "validation sharpness of the hole"]
    assert [*draw(*records(ALONE))] == [*validated, "generator loss"]
    judged = ["adversarial loss", "discriminator loss", "discriminator accuracy"]
    joint = draw(*records((*JOINT, "gradient_norm")))
    assert [*joint] == [*validated, "generator loss", *judged, "gradient norm"]
    assert all(axis.get_xlabel().startswith("step") for axis in joint.values())


def test_levels_to_beat_are_named_beside_the_model(draw):
    def labels(axis):
        return [line.get_label() for line in axis.lines]

    panels = draw(*records(JOINT))
    psnr, sharpness, *_ = panels.values()
    assert labels(psnr) == ["model", *TO_BEAT["psnr_db"]]
    assert labels(sharpness) == ["model", *TO_BEAT["sharpness"], "real pixels 1"]
    assert "dB, higher is better" in psnr.get_title(loc="left")
    assert "0.693: cannot tell them apart" in labels(panels["discriminator loss"])


def test_what_is_written_covers_no_line_and_nothing_else_that_is_written(draw):
    for train, validation in (records(JOINT), records(JOINT, 1), records(JOINT, 1000)):
        axes = list(draw(train, validation).values())
        renderer = FigureCanvasAgg(axes[0].figure).get_renderer()
        boxes = [axis.get_window_extent() for axis in axes]
        legends = [legend for axis in axes if (legend := axis.get_legend())]
        boxes += [text.get_window_extent(renderer) for axis in axes for text in [axis._left_title]]
        boxes += [legend.get_window_extent(renderer).padded(-2) for legend in legends]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        whole = axes[0].figure.bbox
        assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)


def test_lines_that_coincide_can_be_told_apart(draw):
    panels = draw(*records(JOINT))  # all are 1 over the step
    for title in ("generator loss", "discriminator loss", "discriminator accuracy"):
        lines = [line for line in panels[title].lines if len(line.get_xdata()) == 3]
        assert len({(line.get_lw(), line.get_ls()) for line in lines}) == len(lines) > 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_few_points_are_marked(draw, count):
    panels = draw(*records(JOINT, count))
    assert {line.get_marker() for line in panels["generator loss"].lines} == {"."}
    ticks = panels["generator loss"].get_xticks()
    assert (ticks == np.round(ticks)).all()


def test_many_points_are_drawn_pale_below_their_running_means(draw):
    train, validation = records(ALONE, 1000)
    for line, noise in zip(train, itertools.cycle((1.0, -1.0)), strict=False):
        line["generator_loss"] = noise
    axis = draw(train, validation)["generator loss"]
    every, means, *_ = axis.lines
    assert len(every.get_ydata()) == 1000
    np.testing.assert_allclose(means.get_ydata(), 0.0, atol=1e-9)
    assert axis.get_xlabel() == "step (bold: means of 20 values)"


def test_what_is_no_number_is_left_out(draw):
    train, validation = records(ALONE)
    train[1]["generator_loss"] = float("nan")
    train[2] |= {"generator_loss": None, "reconstruction_loss": float("inf")}
    axis = draw(train, [*validation, {"step": 40, "psnr_db": float("nan")}])["generator loss"]
    assert [len(line.get_xdata()) for line in axis.lines] == [1, 2]


def test_a_run_from_before_there_was_sharpness_has_no_panel_of_it(draw):
    train, validation = records(ALONE)
    del validation[0]["sharpness"]
    assert [*draw(train, validation)] == ["validation PSNR of the hole", "generator loss"]


def test_no_lines_yet_is_no_error(draw):
    panels = draw([], [], chance_loss=None)
    assert [*panels] == ["validation PSNR of the hole", "generator loss"]
    assert "no values yet" in [text.get_text() for text in panels["generator loss"].texts]
