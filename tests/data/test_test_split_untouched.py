"""Nothing that trains, sweeps or searches reads an image of the test split, whatever the dataset.

What reads each dataset's images is made to refuse those of the test split. That it would have been
noticed is shown by evaluating the same runs.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctxenc import launch
from ctxenc.config import build
from ctxenc.data import cifar10, photos, tfds_images
from ctxenc.data.folder import ImageFiles, folder
from ctxenc.data.images import Dataset
from ctxenc.evaluation.evaluate import evaluate
from ctxenc.run_folder.folder import Run
from tests.data import cifar_archive, shades
from tests.programs import program
from tests.tiny import TINY

SMALL = (*TINY, "batch_size=8", "num_img=1", "n_update=2", "eval_every=2", "log_every=1")


class TouchedError(BaseException):
    """An image of a test split was asked for; what handles errors does not catch it."""


touched = []  # what was asked for


def refuse(what):
    touched.append(what)
    raise TouchedError(what)


class Records:
    """A test split's records, of which only the number may be asked: labels are in them too."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        refuse(index)

    def __getitems__(self, indices):
        refuse(indices)


class Noise:
    """A split of one's own."""

    def __init__(self, seed, count, image_size):
        self.seed, self.count, self.image_size = seed, count, image_size

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        random = np.random.default_rng([self.seed, index])
        return random.integers(0, 256, (self.image_size, self.image_size, 3), np.uint8)

    def identity(self, index):
        return bytes([self.seed, index])


class Untouchable(Noise):
    """One of which not even the number of images may be asked."""

    def __len__(self):
        refuse("length")

    def __getitem__(self, index):
        refuse(index)

    def identity(self, index):
        refuse(index)


def noise(*, image_size: int) -> Dataset:
    counts = {Noise: (40, 9), Untouchable: (9,)}
    made = [kind(n, n, image_size) for kind, many in counts.items() for n in many]
    return Dataset("noise", *made)


def pictures(root, count):
    root.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng([count, number]).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with every dataset that needs one."""
    root = tmp_path_factory.mktemp("sources")
    shades.prepare(root / "tfds")
    (root / "cifar10").mkdir()
    (root / "cifar10" / cifar10.ARCHIVE).write_bytes(cifar_archive.archive())
    pictures(root / "plain" / "deep", 60)
    for split, count in (("train", 40), ("val", 10), ("test", 9)):
        pictures(root / "three" / split, count)
    for split, count in (("train", 50), ("test", 8)):
        pictures(root / "two" / split, count)
    return root


@pytest.fixture(autouse=True)
def _guarded(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CTXENC_PLUGINS", "tests")  # a run may be resumed with `noise`
    build._dataset.cache_clear()  # which may hold splits that are decoded already
    photograph, source = photos.photograph, tfds_images._source
    read, name = ImageFiles.read, ImageFiles.name
    tested = set()
    for root in ("plain", "three", "two"):
        found = folder(path=str(sources / root), test_fraction=0.1, image_size=16).test.pictures
        tested |= {found.root / file for file in found.names}

    def check(files, index):
        if (file := files.root / files.names[index]) in tested:
            refuse(file)

    def photograph_of(name):
        return refuse(name) if name in photos.TEST else photograph(name)

    def source_of(builder, role, split):
        records = source(builder, role, split)
        return Records(records) if role == "test" else records

    monkeypatch.setattr(photos, "photograph", photograph_of)
    monkeypatch.setattr(tfds_images, "_source", source_of)
    monkeypatch.setattr(ImageFiles, "read", lambda *of, **more: check(*of[:2]) or read(*of, **more))
    monkeypatch.setattr(ImageFiles, "name", lambda *of: check(*of) or name(*of))
    touched.clear()
    yield
    build._dataset.cache_clear()


TFDS = ("dataset=tfds", "dataset.data_dir={}/tfds", "dataset.name=shades/first")
CASES = {
    "photos": ("dataset=photos",),
    "a folder": ("dataset=folder", "dataset.path={}/plain"),
    "a folder of three": ("dataset=folder", "dataset.path={}/three"),
    "a folder of two, random crops": (
        "dataset=folder",
        "dataset.path={}/two",
        "dataset.resize=18",
    ),
    "tfds": TFDS,
    "tfds, some classes": (*TFDS, "dataset.classes=[one,three]"),
    "tfds, slices": (
        *TFDS,
        "dataset.train_split='train[:70%]'",
        "dataset.validation_split='train[70%:]'",
    ),
    "cifar10": ("dataset=cifar10", "dataset.data_dir={}/cifar10"),
    "cifar10, cats": ("dataset=cifar10_cats", "dataset.data_dir={}/cifar10"),
    "one's own": (f"dataset._target_={__name__}.noise",),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def data(request, sources):
    return [text.format(sources) for text in request.param]


def jobs_of(sweep):
    """The two jobs' folders."""
    first, second = sorted(path for path in Path(sweep).iterdir() if path.name[0].isdigit())
    return first, second


def assert_validated(run, steps):
    assert (run.state, run.status["step"]) == ("finished", steps)
    assert [line["step"] for line in run.lines("validation")] == list(range(2, steps + 1, 2))
    assert run.summary["split"] == "validation"
    assert list(run.samples.iterdir())
    assert not [name for name in run.dataset if "test" in name]


def test_sweeping_resuming_and_showing_masks_read_no_test_image(data):
    swept = program("train", "--multirun", *SMALL, *data, "max_steps=2", "lambda_adv=0,1e-3")
    first, second = jobs_of(swept.splitlines()[-1])
    assert launch.run(f"resume={first}", "max_steps=4").path == first
    program("show", *SMALL, *data, "-n", "3")
    assert not touched
    assert_validated(Run(first), 4)
    assert_validated(Run(second), 2)
    with pytest.raises(TouchedError):
        evaluate(first, against="none")
    assert touched


def test_training_reads_no_test_image():
    run = launch.run(*SMALL, "max_steps=2", "fill_value=mean")
    assert not touched
    assert_validated(run, 2)


def test_a_search_reads_no_test_image():
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", exc_type=ImportError)
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "lambda_adv=interval(1e-4,1e-2)")
    program("train", "--multirun", *search, *SMALL, "max_steps=2")
    assert not touched
    (sweep,) = Path("experiments").glob("*/*")
    for job in jobs_of(sweep):
        assert_validated(Run(job), 2)
