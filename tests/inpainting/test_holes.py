import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from ctxenc.inpainting import holes
from ctxenc.inpainting.holes import Hole

BOX = (8, 8)


def covered(found, shape):
    mask = np.zeros(shape, bool)
    for hole in found:
        assert 0 <= hole.top < hole.bottom <= shape[0]
        assert 0 <= hole.left < hole.right <= shape[1]
        mask[hole.top : hole.bottom, hole.left : hole.right] = True
    return mask


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)).flatmap(lambda s: arrays(bool, s)))
def test_every_missing_pixel_is_in_a_hole_and_large_holes_come_first(missing):
    found = holes.find(missing, BOX)
    assert not (missing & ~covered(found, missing.shape)).any()
    areas = [hole.height * hole.width for hole in found]
    assert areas == sorted(areas, reverse=True)
    assert bool(found) == missing.any()


def test_a_rectangle_is_itself():
    missing = np.zeros((50, 60), bool)
    missing[10:30, 5:40] = True
    assert holes.find(missing, BOX) == [Hole(10, 5, 20, 35)]


def test_scale_is_that_of_the_side_that_fits_worst_and_never_below_one():
    assert Hole(0, 0, 20, 12).scale((10, 4)) == 3
    assert Hole(0, 0, 2, 2).scale(BOX) == 1


def test_near_dots_are_filled_together_and_far_ones_alone():
    missing = np.zeros((50, 50), bool)
    missing[10, 10] = missing[14, 17] = missing[40, 40] = True
    assert holes.find(missing, BOX) == [Hole(10, 10, 5, 8), Hole(40, 40, 1, 1)]


def test_shapes_are_counted_with_their_diagonal_neighbours():
    missing = np.zeros((50, 50), bool)
    missing[10, 10] = missing[11, 11] = missing[30:40, 5:9] = True
    assert holes.count(missing) == 2


def test_a_small_hole_is_not_filled_at_a_large_ones_scale():
    missing = np.zeros((100, 100), bool)
    missing[10:60, 10:60] = True
    missing[64:66, 20:22] = True
    assert holes.find(missing, BOX) == [Hole(10, 10, 50, 50), Hole(64, 20, 2, 2)]


def test_a_scratch_is_cut_so_that_the_model_sees_it_near():
    missing = np.eye(400, dtype=bool) | np.eye(400, k=1, dtype=bool)
    found = holes.find(missing, BOX)
    assert len(found) > 20
    assert max(hole.scale(BOX) for hole in found) <= 2
    assert not (missing & ~covered(found, missing.shape)).any()


def test_a_disc_is_not_cut():
    y, x = np.mgrid[:300, :300]
    missing = (y - 150) ** 2 + (x - 150) ** 2 < 100**2
    assert len(holes.find(missing, BOX)) == 1


def test_large_masks_are_labelled_in_blocks_and_their_holes_are_tight():
    missing = np.zeros((3001, 2503), bool)
    missing[1234:1301, 777:850] = True
    missing[3000, 2502] = True
    assert holes.find(missing, BOX) == [Hole(1234, 777, 67, 73), Hole(3000, 2502, 1, 1)]


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)).flatmap(lambda s: arrays(bool, s)))
def test_grown_holes_have_every_pixel_within_the_radius_and_no_other(missing):
    for pixels in (0, 1, 5, 13):
        near = distance_transform_edt(~missing) <= pixels if missing.any() else missing
        np.testing.assert_array_equal(holes.grown(missing, pixels), near)
