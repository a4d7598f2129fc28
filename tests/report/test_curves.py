import numpy as np
from PIL import Image

from ctxenc.report import curves
from ctxenc.state import LOSSES


def records(judged):
    train = []
    for step in (10, 20, 30):
        line = {"step": step} | dict.fromkeys(LOSSES, 1.0 / step)
        if not judged:
            line |= {n: None for n in LOSSES if n not in ("generator", "pixelwise")}
        train.append(line)
    return train, [{"step": 30, "psnr_db": 17.0}]


def test_a_panel_for_each_network_and_one_for_the_test(tmp_path):
    for judged, name in ((True, "joint.png"), (False, "alone.png")):
        curves.save(tmp_path / name, *records(judged), 16.0)
    joint, alone = (np.asarray(Image.open(tmp_path / n)) for n in ("joint.png", "alone.png"))
    assert joint.shape[1] / alone.shape[1] == 3 / 2
    assert joint.std() > 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.png", "joint.png"]


def test_no_lines_yet_is_no_error(tmp_path):
    curves.save(tmp_path / "curves.png", [], [], 16.0)
    assert (tmp_path / "curves.png").exists()
