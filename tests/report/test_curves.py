import numpy as np
from PIL import Image

from ctxenc.report import curves

TO_BEAT = {"context mean 16.00": 16.0, "harmonic 17.50": 17.5}
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


def records(names):
    train = [{"step": step} | dict.fromkeys(names, 1.0 / step) for step in (10, 20, 30)]
    return train, [{"step": 30, "psnr_db": 17.0}]


def test_a_discriminator_adds_its_loss_and_accuracy_and_a_new_scalar_its_own_panel(tmp_path):
    logged = {"alone": ALONE, "joint": JOINT, "more": (*JOINT, "gradient_norm")}
    for name, names in logged.items():
        curves.save(tmp_path / f"{name}.png", *records(names), TO_BEAT, chance_loss=0.693)
    alone, joint, more = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in logged)
    assert joint.shape[1] / alone.shape[1] == 4 / 2
    assert more.shape[1] / alone.shape[1] == 5 / 2
    assert joint.std() > 10
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(logged)


def test_no_lines_yet_is_no_error(tmp_path):
    curves.save(tmp_path / "curves.png", [], [], TO_BEAT, chance_loss=None)
    assert (tmp_path / "curves.png").exists()
