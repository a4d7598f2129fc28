import numpy as np
from PIL import Image

from ctxenc.report import grids


def test_rows_and_columns_are_where_they_belong_and_small_images_are_enlarged(tmp_path):
    shades = np.linspace(-1, 1, 6).reshape(2, 3)
    rows = [np.broadcast_to(row[:, None, None, None], (3, 32, 32, 3)) for row in shades]
    file = tmp_path / "new" / "grid.png"
    grids.save(file, rows)
    picture = np.asarray(Image.open(file))
    tile = (32 + grids.GAP) * 3  # 32 pixels are enlarged three times, to 96
    assert picture.shape == (2 * tile + 3 * grids.GAP, 3 * tile + 3 * grids.GAP, 3)
    for row in range(2):
        for column in range(3):
            centre = picture[row * tile + tile // 2, column * tile + tile // 2]
            expected = round((shades[row, column] + 1) * 127.5)
            assert (np.abs(centre.astype(int) - expected) <= 1).all()
    assert (picture[0] == 255).all()
    assert [p.name for p in file.parent.iterdir()] == ["grid.png"]


def test_large_images_keep_their_size():
    assert grids.grid([np.zeros((1, 128, 128, 3))]).shape == (132, 132, 3)


def test_values_out_of_range_are_clipped():
    picture = grids.grid([np.full((1, 96, 96, 3), 3.0)])
    assert (picture == 255).all()
