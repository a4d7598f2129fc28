"""Images that are not there any more."""

import numpy as np
import pytest
from PIL import Image

from ctxenc import launch
from ctxenc.config import build
from ctxenc.data import images
from ctxenc.data.folder import folder
from ctxenc.errors import UserError
from ctxenc.runs.run_log import RunLog
from tests.faults.ends import saved
from tests.faults.programs import SHORT

DATA = ["dataset=folder", "dataset.path=pictures", "dataset.test_fraction=0.3", "batch_size=16"]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "pictures"
    place.mkdir()
    rng = np.random.default_rng(0)
    for i in range(80):
        picture = Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8))
        picture.save(place / f"{i}.png")
    build._dataset.cache_clear()
    yield place
    build._dataset.cache_clear()


def test_a_dataset_that_was_removed_is_named_and_the_run_waits_for_it(pictures, tmp_path):
    run = launch.run(*SHORT, *DATA, "max_steps=2")
    pictures.rename(tmp_path / "gone")
    build._dataset.cache_clear()  # as in a new process
    with pytest.raises(UserError, match=r"dataset\.path=.*pictures: no such folder"):
        launch.run(f"resume={run.path}", "max_steps=3")
    assert run.status["state"] == "finished"
    (tmp_path / "gone").rename(pictures)
    opened = folder(path=str(pictures), test_fraction=0.3, image_size=16)
    (pictures / opened.train.pictures.names[0]).unlink()  # nobody looks at those of the test
    build._dataset.cache_clear()
    with pytest.raises(UserError, match="the data is not what it was trained on"):
        launch.run(f"resume={run.path}", "max_steps=3")
    assert saved(run) == [2]


def test_an_image_that_goes_missing_on_the_way_stops_the_run_and_is_named(pictures, monkeypatch):
    monkeypatch.setattr(images, "MEMORY_LIMIT", 1000)  # so that images are read on the way
    summarise = RunLog.summarise

    def then_remove(recorder):
        summarise(recorder)
        for picture in pictures.iterdir():
            picture.unlink()

    monkeypatch.setattr(RunLog, "summarise", then_remove)
    with pytest.raises(UserError, match=r"pictures/\d+\.png: could be read at the start"):
        launch.run(*SHORT, *DATA, "max_steps=1000", "eval_every=4", "name=missing")
    (folder,) = launch.Path("experiments/missing").iterdir()
    run = launch.Run(folder)
    assert run.status["state"] == "failed"
    assert "could be read at the start" in run.status["error"]
    assert saved(run) == [4]
