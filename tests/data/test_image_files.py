import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ctxenc.data import image_files

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(size=16):
    """Red and green above blue and white, each corner a colour."""
    half = size // 2
    top = [RED] * half + [GREEN] * half
    bottom = [BLUE] * half + [WHITE] * half
    return np.array([top] * half + [bottom] * half, np.uint8)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def close(here, there, levels=6):
    return np.abs(here.astype(int) - there.astype(int)).max() <= levels


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.webp", {"lossless": True})])
def test_lossless_files_are_read_exactly(tmp_path, name, options):
    pixels = noise(7, 5, 3)
    Image.fromarray(pixels).save(tmp_path / name, **options)
    read = image_files.read(tmp_path / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp"])
def test_lossy_files_are_read_nearly(tmp_path, name):
    Image.fromarray(quarters()).save(tmp_path / name, quality=100, **chroma(name))
    read = image_files.read(tmp_path / name)
    assert read.shape == (16, 16, 3)
    assert close(read[2::11, 2::11], quarters()[2::11, 2::11], levels=12)


def chroma(name):
    return {} if name.endswith("webp") else {"subsampling": 0}


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_grey_becomes_three_equal_channels(tmp_path, name):
    grey = np.repeat(np.arange(16, dtype=np.uint8)[:, None] * 17, 16, axis=1)
    Image.fromarray(grey).save(tmp_path / name, quality=100)
    read = image_files.read(tmp_path / name)
    assert read.shape == (16, 16, 3)
    assert (read == read[..., :1]).all()
    assert close(read[..., 0], grey, levels=3)


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = noise(8, 8) > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "1"
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png")[..., 0], bits * 255)


def test_a_palette_gives_its_colours(tmp_path):
    image = Image.fromarray(quarters()).quantize(4)
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png"), quarters())


def test_16_bit_grey_is_scaled_to_8_bits(tmp_path):
    levels = np.array([[0, 256, 257, 32_896, 65_535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode.startswith("I")
    read = image_files.read(tmp_path / "a.png")
    assert read.shape == (1, 5, 3)
    assert (read == read[..., :1]).all()
    assert read[0, :, 0].tolist() == [0, 1, 1, 128, 255]


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.fromarray(quarters()).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert Image.open(tmp_path / "a.jpg").mode == "CMYK"
    assert close(image_files.read(tmp_path / "a.jpg"), quarters(), levels=12)


def with_alpha():
    """Opaque red, half-transparent black, fully transparent green."""
    return np.array([[[255, 0, 0, 255], [0, 0, 0, 128], [0, 255, 0, 0]]], np.uint8)


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.webp", {"lossless": True})])
def test_transparent_parts_are_on_white(tmp_path, name, options):
    Image.fromarray(with_alpha()).save(tmp_path / name, **options)
    assert image_files.read(tmp_path / name)[0].tolist() == [
        list(RED),
        [127, 127, 127],
        list(WHITE),
    ]


def test_transparent_grey_is_on_white(tmp_path):
    Image.fromarray(np.array([[[40, 255], [40, 0]]], np.uint8), "LA").save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "LA"
    assert image_files.read(tmp_path / "a.png")[0].tolist() == [[40, 40, 40], list(WHITE)]


def test_a_transparent_palette_entry_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([*RED, *GREEN, *BLUE])
    image.save(tmp_path / "a.png", transparency=1)
    assert Image.open(tmp_path / "a.png").mode == "P"
    assert image_files.read(tmp_path / "a.png")[0].tolist() == [list(RED), list(WHITE), list(BLUE)]


def test_a_transparent_colour_is_white(tmp_path):
    image = Image.fromarray(np.array([[RED, GREEN]], np.uint8))
    image.save(tmp_path / "a.png", transparency=GREEN)
    assert Image.open(tmp_path / "a.png").mode == "RGB"
    assert image_files.read(tmp_path / "a.png")[0].tolist() == [list(RED), list(WHITE)]


UPRIGHT = {  # what each EXIF orientation asks for, by hand
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_pictures_are_turned_upright(tmp_path, name, orientation):
    stored = quarters()[:, :12]  # not square: a turn shows in the shape too
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"quality": 100} if name != "a.webp" else {"lossless": True}
    Image.fromarray(stored).save(tmp_path / name, exif=exif, **chroma(name), **lossless)
    read = image_files.read(tmp_path / name)
    expected = UPRIGHT[orientation](stored)
    assert read.shape == expected.shape
    assert close(read, expected, levels=60)  # a turn moves colours by 255


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_picture_with_damaged_exif_is_read_as_it_is_stored(tmp_path):
    Image.fromarray(quarters()).save(tmp_path / "a.png", exif=b"Exif\x00\x00MM\x00*garbage")
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png"), quarters())


def test_a_large_jpeg_may_be_decoded_smaller_but_never_below_what_suffices(tmp_path):
    Image.fromarray(noise(512, 768, 3)).save(tmp_path / "a.jpg")
    assert image_files.read(tmp_path / "a.jpg", at_least=1024).shape == (512, 768, 3)
    assert image_files.read(tmp_path / "a.jpg", at_least=100).shape == (128, 192, 3)


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    for name in ("a.png", "a.webp"):
        assert Image.open(tmp_path / name).n_frames == 2
        np.testing.assert_array_equal(image_files.read(tmp_path / name), np.full((4, 4, 3), RED))


def test_two_pictures_in_one_jpeg_as_telephones_save_them(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert close(image_files.read(tmp_path / "a.jpg"), np.full((16, 16, 3), RED))


def damaged(folder):
    """Files that are not the pictures their names promise."""
    Image.fromarray(noise(64, 64, 3)).save(folder / "whole.jpg")
    Image.fromarray(noise(64, 64, 3)).save(folder / "whole.png")
    Image.fromarray(noise(64, 64, 3)).save(folder / "whole.webp")
    for whole in sorted(folder.glob("whole.*")):
        data = whole.read_bytes()
        (folder / f"truncated{whole.suffix}").write_bytes(data[: len(data) // 2])
        whole.unlink()
    (folder / "text.jpg").write_text("this is no picture\n")
    (folder / "empty.png").touch()
    Image.fromarray(noise(8, 8)).save(folder / "other.jpg", "GIF")
    return sorted(folder.iterdir())


def test_damaged_files_are_refused(tmp_path):
    found = damaged(tmp_path)
    assert len(found) == 6
    for file in found:
        with pytest.raises(image_files.UnreadableError):
            image_files.read(file)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    Image.fromarray(noise(20, 10, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(image_files, "MOST_PIXELS", 199)
    with pytest.raises(image_files.UnreadableError, match="10 × 20 pixels are too many"):
        image_files.read(tmp_path / "a.png")
    monkeypatch.setattr(image_files, "MOST_PIXELS", 200)
    assert image_files.read(tmp_path / "a.png").shape == (20, 10, 3)


def test_threads_together_decode_no_more_pixels_than_one_picture_may_have(tmp_path, monkeypatch):
    for number in range(8):
        Image.fromarray(noise(40, 40, 4)).save(tmp_path / f"{number}.png")
    Image.fromarray(noise(90, 90, 4)).save(tmp_path / "large.png")  # alone, it is still read
    now, most, lock = [], [], threading.Lock()
    convert = image_files._rgb

    def watched(image):
        with lock:
            now.append(image.width * image.height)
            most.append(sum(now))
        time.sleep(0.01)
        with lock:
            now.remove(image.width * image.height)
        return convert(image)

    monkeypatch.setattr(image_files, "_rgb", watched)
    monkeypatch.setattr(image_files, "AT_ONCE", 2 * 40 * 40)
    with ThreadPoolExecutor(9) as pool:
        shapes = list(pool.map(lambda f: image_files.read(f).shape, sorted(tmp_path.iterdir())))
    assert shapes == [(40, 40, 3)] * 8 + [(90, 90, 3)]
    assert max(most) == 90 * 90
    assert sorted(most)[-2] == 2 * 40 * 40


def test_strips_join_without_a_seam(tmp_path, monkeypatch):
    Image.fromarray(noise(50, 9, 4)).save(tmp_path / "a.png")
    whole = image_files.read(tmp_path / "a.png")
    monkeypatch.setattr(image_files, "STRIP", 7)
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png"), whole)
