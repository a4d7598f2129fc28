import numpy as np
import pytest

from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.run_folder.folder import Run

VALUES = {
    "model.psnr": np.array([20.5, 1e-9, 31.25]),
    "model.ssim": np.array([0.5, -0.125, 1.0]),
    "biharmonic.psnr": np.array([19.0, np.nan, np.nan]),
    "package.fills.nearest.psnr": np.array([18.0, 19.0, 20.0]),
}


def test_what_is_written_is_read_back_whole_or_by_row(tmp_path):
    evaluation = Evaluation.of(Run(tmp_path), "photos-center")
    evaluation.write({"images": 3}, VALUES)
    assert [e.path for e in Evaluation.all_of(Run(tmp_path))] == [evaluation.path]
    assert evaluation.metrics == {"images": 3}
    rows = {None: list(VALUES), "model": ["model.psnr", "model.ssim"]}
    rows["package.fills.nearest"] = ["package.fills.nearest.psnr"]
    for row, names in rows.items():
        found = evaluation.per_image(row)
        assert list(found) == names
        for name in names:
            np.testing.assert_array_equal(found[name], VALUES[name])


def test_a_table_of_one_image_and_a_row_that_it_does_not_have(tmp_path):
    evaluation = Evaluation(tmp_path / "one")
    evaluation.write({}, {"model.psnr": np.array([20.0])})
    assert evaluation.per_image()["model.psnr"].tolist() == [20.0]
    assert evaluation.per_image("ridge") == {}


def test_one_of_other_images_or_masks_is_put_beside_it(tmp_path):
    def known(images, masks):
        return {"dataset": {"test_fingerprint": images}, "mask_hash": masks}

    run, names = Run(tmp_path), {}
    for of in [("a", "m"), ("b", "m"), ("a", "n"), ("a", "m"), ("b", "m")]:
        evaluation = Evaluation.apart(run, "folder-center-val", known(*of))
        evaluation.write(known(*of), VALUES)
        assert names.setdefault(of, evaluation.name) == evaluation.name
    assert names["a", "m"] == "folder-center-val"
    assert len(set(names.values())) == 3
    assert all(name.startswith("folder-center-val") for name in names.values())
    (evaluation.path / "metrics.json").write_text("{")  # a damaged one is replaced
    assert Evaluation.apart(run, evaluation.name, known("c", "o")).name == evaluation.name


@pytest.mark.parametrize("text", ["", "index,model.psnr\n0,high\n", "\x00\x01", "a,b\n1,2\n3\n"])
@pytest.mark.filterwarnings("error")
def test_a_damaged_table_is_named(tmp_path, text):
    (tmp_path / "per_image.csv").write_text(text)
    with pytest.raises(UserError, match=r"per_image\.csv: not readable as CSV"):
        Evaluation(tmp_path).per_image()


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_damaged_figures_are_named(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json: "):
        _ = Evaluation(tmp_path).metrics
    with pytest.raises(UserError, match=r"metrics\.json: no such file"):
        _ = Evaluation(tmp_path / "nowhere").metrics
