"""Images that are not there any more."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ctxenc import launch
from ctxenc.config import build
from ctxenc.data import images
from ctxenc.data.folder import folder
from ctxenc.errors import UserError
from ctxenc.run_folder.run_log import RunLog
from ctxenc.sweeps import start
from tests.faults.ends import saved
from tests.faults.programs import SHORT
from tests.programs import program

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


def test_a_folder_that_has_changed_since_the_last_run_of_a_process_is_read_anew(pictures):
    few = [*SHORT, *DATA, "max_steps=1", "num_img=1"]
    first = launch.run(*few, "name=first")
    for path in sorted(pictures.iterdir())[:30]:
        path.unlink()
    second = launch.run(*few, "name=second")
    assert second.dataset["train_images"] < first.dataset["train_images"]
    with pytest.raises(UserError, match="the data is not what it was trained on"):
        launch.run(f"resume={first.path}", "max_steps=2")


def test_folders_that_have_moved_are_given_with_resume_and_fingerprints_decide(pictures, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    for i in range(3):
        labels = np.zeros((40, 40), np.uint8)
        labels[5:25, 5 + i : 25] = 1
        Image.fromarray(labels).save(maps / f"{i}.png")
    shapes = ["mask=segments", f"mask.folder={maps}", "predict=image"]
    run = launch.run(*SHORT, *DATA, *shapes, "max_steps=2")
    pictures.rename(tmp_path / "2024_01_15")
    maps.rename(tmp_path / "other maps")
    build._dataset.cache_clear()
    folders = r"and the folders of dataset\.path and mask\.folder, can be changed"
    with pytest.raises(UserError, match=rf"max_steps, tracker, {folders}"):
        launch.run(f"resume={run.path}", "dataset.test_fraction=0.5")
    with pytest.raises(UserError, match=r"dataset\.path=: empty; expected a folder"):
        launch.run(f"resume={run.path}", "dataset.path=")
    moved = ["dataset.path=2024_01_15", "mask.folder=other maps"]
    launch.run(f"resume={run.path}", *moved, "max_steps=3")
    launch.run(f"resume={run.path}", "max_steps=4")  # it knows by now
    assert run.status["step"] == 4
    assert run.config.dataset.path == str(tmp_path / "2024_01_15")
    (tmp_path / "others").mkdir()
    for i in range(80):
        Image.new("RGB", (20, 20), (i, i, i)).save(tmp_path / "others" / f"{i}.png")
    with pytest.raises(
        UserError, match=r"the data is not what it was trained on: train_images, train"
    ):
        launch.run(f"resume={run.path}", "dataset.path=others", "max_steps=5")


def test_folders_of_a_sweep_that_have_moved_are_given_with_resume(pictures, tmp_path):
    program("train", "--multirun", *SHORT, *DATA, "max_steps=2", "seed=0,1", "hydra.sweep.dir=s")
    shutil.rmtree("s/1-seed=1")
    pictures.rename(tmp_path / "2024_01_15")
    build._dataset.cache_clear()
    (tmp_path / "others").mkdir()
    for i in range(80):
        Image.new("RGB", (20, 20), (i, i, i)).save(tmp_path / "others" / f"{i}.png")
    sweep = start.Sweep("s")
    with pytest.raises(UserError, match=r"0-seed=0: the data is not what it was trained on"):
        start.resumed(sweep, ["dataset.path=others"])
    with pytest.raises(UserError, match="what jobs differ in cannot have moved"):
        start.resumed(sweep, ["dataset.path=others,2024_01_15"])
    program("train", "resume=s", "dataset.path=2024_01_15")
    jobs = [launch.Run("s/0-seed=0"), launch.Run("s/1-seed=1")]
    assert [job.state for job in jobs] == ["finished", "finished"]
    assert {job.config.dataset.path for job in jobs} == {str(tmp_path / "2024_01_15")}
    assert jobs[0].dataset["train_fingerprint"] == jobs[1].dataset["train_fingerprint"]


def test_sizes_that_nobody_chose_yield_to_a_small_folder(pictures, caplog):
    for i in range(20, 80):
        (pictures / f"{i}.png").unlink()
    sizes = [size for size in SHORT if not size.startswith(("batch_size", "num_img"))]
    data = [option for option in DATA if not option.startswith("batch_size")]
    run = launch.run(*sizes, *data, "max_steps=2")
    train, validation = (run.dataset[f"{split}_images"] for split in ("train", "validation"))
    assert (run.config.batch_size, run.config.num_img) == (train, min(6, validation))
    assert f"batch_size={train}, and not 64: there are {train} training images" in caplog.text
    words = f"batch_size=33: expected 1 to {train}.*; num_img=33: expected 1 to {validation}"
    with pytest.raises(UserError, match=words):
        launch.run(*sizes, *data, "batch_size=33", "num_img=33")
