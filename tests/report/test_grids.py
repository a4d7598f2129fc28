import numpy as np
import pytest
from PIL import Image

from ctxenc.report import grids


def shaded(shades, size=32):
    """Rows of images of one shade each."""
    shape = (shades.shape[1], size, size, 3)
    return [np.broadcast_to(row[:, None, None, None], shape) for row in shades]


def test_rows_and_columns_are_where_they_belong_and_small_images_are_enlarged():
    shades = np.linspace(-1, 1, 6).reshape(2, 3)
    picture = grids.grid(shaded(shades))
    tile = (32 + grids.GAP) * 3  # 32 pixels are enlarged three times, to 96
    assert picture.shape == (2 * tile + 3 * grids.GAP, 3 * tile + 3 * grids.GAP, 3)
    for row in range(2):
        for column in range(3):
            centre = picture[row * tile + tile // 2, column * tile + tile // 2]
            expected = round((shades[row, column] + 1) * 127.5)
            assert (np.abs(centre.astype(int) - expected) <= 1).all()
    assert (picture[0] == 255).all()


@pytest.mark.parametrize(("count", "size"), [(1, 16), (3, 32), (2, 227)])
@pytest.mark.parametrize("title", ["", "What is shown", "A run\nlong " * 9])
def test_a_saved_grid_can_be_cut_out_of_what_is_written_around_it(tmp_path, count, size, title):
    rows = shaded(np.linspace(-1, 1, 2 * count).reshape(2, count), size)
    named = dict(zip(("real", "filled"), rows, strict=True))
    picture = grids.captioned(title, named, ["12.3 dB"] * count)
    below = grids.captioned("", named, ["9.8 dB"] * count)
    file = tmp_path / "new" / "grid.png"
    grids.save(file, grids.joined([picture, below], axis=0))
    with Image.open(file) as saved:
        assert saved.size == (max(picture.width, below.width), picture.height + below.height)
        np.testing.assert_array_equal(grids.bare(saved), grids.grid(rows))
    assert [p.name for p in file.parent.iterdir()] == ["grid.png"]


def test_names_captions_and_title_are_written_beside_the_grid_and_not_over_it():
    rows = {"real": np.ones((2, 96, 96, 3)), "filled": np.ones((2, 96, 96, 3))}
    ink = {
        words: np.asarray(
            grids.captioned(words[0], dict(zip(words[1:3], rows.values(), strict=False)), words[3:])
        )
        for words in (("a title", "real", "filled", "1 dB", "2 dB"), ("a title", "", " ", "", ""))
    }
    whole, only_title = (array < 128 for array in ink.values())
    assert whole[: grids.LINE].any()
    assert whole[-grids.LINE :].any()
    assert whole.sum() > 2 * only_title.sum() > 0


def test_a_long_title_takes_lines_and_not_width():
    rows = {"real": np.ones((1, 96, 96, 3))}
    short, long = (grids.captioned(title, rows, ["1 dB"]) for title in ("a", "many words " * 20))
    assert long.width <= grids.NARROWEST + 2 * grids.MARGIN
    assert long.height > short.height + 2 * grids.LINE


def test_a_place_beyond_the_picture_makes_no_larger_one():
    picture = Image.new("RGB", (30, 20))
    picture.info[grids.PLACE] = "10 10 99999999 99999999"
    assert grids.bare(picture).size == (20, 10)


def test_large_images_keep_their_size():
    assert grids.grid([np.zeros((1, 128, 128, 3))]).shape == (132, 132, 3)


def test_values_out_of_range_are_clipped():
    picture = grids.grid([np.full((1, 96, 96, 3), 3.0)])
    assert (picture == 255).all()
