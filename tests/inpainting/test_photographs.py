import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from ctxenc.errors import UserError
from ctxenc.inpainting import mask_files, photographs
from ctxenc.inpainting.photographs import Photograph, check, left_out, read, write

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (20, 30, 3), np.uint8)
GREY = RGB[..., :1]
ALPHA = RANDOM.integers(0, 256, (20, 30), np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


LOSSLESS = [
    end for end, how in photographs.SAVED_AS.items() if how["format"] not in ("JPEG", "AVIF")
]
AVIF = pytest.mark.skipif(not photographs.AVIF, reason="Pillow reads no AVIF here")


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["opaque", "alpha"])
@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["rgb", "grey"])
def test_lossless_formats_give_back_every_byte(tmp_path, suffix, alpha, pixels):
    file = tmp_path / f"a{suffix}"
    if alpha is not None and suffix == ".bmp":
        with pytest.raises(UserError, match="BMP keeps no transparency"):
            write(file, Photograph(pixels, alpha))
        return
    write(file, Photograph(pixels, alpha))
    back = read(file)
    np.testing.assert_array_equal(np.broadcast_to(back.pixels, RGB.shape) - pixels, 0)
    if alpha is not None:
        np.testing.assert_array_equal(back.alpha, alpha)
    if suffix not in (".webp", ".bmp"):
        assert back.pixels.shape == pixels.shape
    assert list(tmp_path.iterdir()) == [file]


def exif():
    """As a camera writes it: with a part of its own, and sizes of the picture that it took."""
    tags = Image.Exif()
    tags.update({0x010F: "Maker", 0x0100: 4000, 0x0103: 6})
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.25
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return tags.tobytes()


@pytest.mark.parametrize("between", [".png", ".tif"])
@pytest.mark.parametrize(
    "suffix", [".png", ".webp", ".jpg", ".tif", pytest.param(".avif", marks=AVIF)]
)
def test_colour_profile_and_exif_are_kept(tmp_path, suffix, between):
    file, first = tmp_path / f"a{suffix}", tmp_path / f"first{between}"
    kept = {"icc_profile": ICC, "exif": exif(), "xmp": XMP}
    write(first, Photograph(RGB, metadata=kept))
    write(file, read(first))
    back = read(file)
    assert back.size == "30×20"
    assert back.metadata["icc_profile"] == ICC
    assert back.metadata["xmp"] == XMP
    again = Image.Exif()
    again.load(back.metadata["exif"])
    assert again[0x010F] == "Maker"
    assert again.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.25
    assert again.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@AVIF
def test_avif_is_read_and_written_in_full_colour(tmp_path):
    smooth = np.add.outer(np.arange(20), np.arange(30))[..., None] * np.array([5, 3, 1])
    smooth = smooth.astype(np.uint8)
    write(tmp_path / "a.avif", Photograph(smooth, ALPHA))
    back = read(tmp_path / "a.avif")
    assert np.abs(back.pixels.astype(int) - smooth).max() < 8
    assert back.lossy
    assert np.abs(back.alpha.astype(int) - ALPHA).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright_and_stay_so(tmp_path, orientation):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=tags)
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, -1),
        7: np.rot90(RGB, 2).transpose(1, 0, 2),
        8: np.rot90(RGB),
    }[orientation]
    photo = read(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, turned)
    write(tmp_path / "b.png", photo)
    np.testing.assert_array_equal(read(tmp_path / "b.png").pixels, turned)
    white = RGB.mean(axis=2) > 127
    Image.fromarray(white).save(tmp_path / "m.png", exif=tags)
    assert mask_files.read(tmp_path / "m.png").missing.shape == turned.shape[:2]


def test_palettes_and_bilevel_images_are_read(tmp_path):
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read(tmp_path / "p.png").pixels, palette.convert("RGB"))
    palette.save(tmp_path / "t.png", transparency=3)
    np.testing.assert_array_equal(read(tmp_path / "t.png").alpha == 0, np.asarray(palette) == 3)
    Image.fromarray(GREY[..., 0]).convert("1").save(tmp_path / "1.png")
    assert set(np.unique(read(tmp_path / "1.png").pixels)) == {0, 255}


def bomb(width, height):
    """A PNG of a few bytes that says that it is this large."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def encoded(array, suffix):
    return cv2.imencode(suffix, array)[1].tobytes()


def animation():
    file = io.BytesIO()
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def cmyk():
    file = io.BytesIO()
    Image.fromarray(RGB).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


DEEP = np.zeros((9, 9, 3), np.uint16)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encoded(RGB, ".jpg")[:-200], "damaged"),
        (encoded(RGB, ".png")[:300], "damaged"),
        (b"hello", "not an image"),
        (b"", "not an image"),
        (bomb(20000, 20000), "at most 200 million pixels"),
        (bomb(14500, 14500), "at most 200 million pixels"),
        (
            encoded(DEEP, ".png"),
            r"16 bits a channel; expected 8: convert it first \(magick .* -depth 8",
        ),
        (encoded(DEEP, ".tiff"), "16 bits a channel"),
        (encoded(DEEP[..., 0], ".png"), "16 bits a channel"),
        (animation(), "an animation"),
        (
            cmyk(),
            r"its colours are CMYK; .* \(magick .*photo.jpg -colorspace sRGB -depth 8 .*-8bit",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_one_line(tmp_path, content, words):
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(UserError, match=words) as refused:
        read(file)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_what_is_not_a_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        read(tmp_path / "none.png")
    with pytest.raises(UserError, match="a folder"):
        read(tmp_path)


def test_names_of_no_format_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.xyz: expected a name that ends in \.png"):
        write(tmp_path / "a.xyz", Photograph(RGB))
    with pytest.raises(UserError, match="JPEG keeps no transparency"):
        write(tmp_path / "a.jpg", Photograph(RGB, ALPHA))
    with pytest.raises(UserError, match=r"a\.webp: cannot be written as WEBP"):
        write(tmp_path / "a.webp", Photograph(np.zeros((17000, 2, 3), np.uint8)))
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    write(file, Photograph(RGB))
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        write(file, Photograph(255 - RGB))
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_tiff_keeps_its_profile_and_gives_no_tags_away(tmp_path):
    write(tmp_path / "a.tif", Photograph(RGB, metadata={"icc_profile": ICC}))
    photo = read(tmp_path / "a.tif")
    assert photo.metadata["icc_profile"] == ICC
    write(tmp_path / "b.png", photo)
    np.testing.assert_array_equal(read(tmp_path / "b.png").pixels, RGB)
    assert "exif" not in read(tmp_path / "b.png").metadata


XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
EVERYTHING = {"dpi": (300, 300), "xmp": XMP, "icc_profile": ICC, "comment": "café ⅓".encode()}


@pytest.mark.parametrize("suffix", sorted(photographs.SAVED_AS))
def test_resolution_and_texts_are_kept_where_the_format_has_a_place_and_named_where_not(
    tmp_path, suffix
):
    file, first = tmp_path / f"b{suffix}", tmp_path / "a.png"
    write(first, Photograph(RGB, metadata=EVERYTHING | {"text": {"Author": "Zoë ✓"}}))
    photo = read(first)
    assert photo.metadata.keys() == EVERYTHING.keys() | {"text"}
    write(file, photo)
    back, lost = read(file).metadata, left_out(file, photo)
    assert back.keys() == photo.metadata.keys() - {*lost}
    assert back.pop("dpi", (300, 300)) == pytest.approx((300, 300), abs=0.1)
    assert all(value == photo.metadata[name] for name, value in back.items())


def test_what_the_format_cannot_hold_is_said_before_the_work(tmp_path):
    tags = Image.Exif()
    tags[0x010F] = "x" * 100_000
    photo = Photograph(RGB, metadata={"exif": tags.tobytes()})
    with pytest.raises(
        UserError, match=r"a\.jpg: cannot be written as JPEG: EXIF data is too long"
    ):
        check(tmp_path / "a.jpg", photo)
    with pytest.raises(UserError, match=r"a\.webp: cannot be written as WEBP"):
        check(tmp_path / "a.webp", Photograph(np.zeros((17000, 2, 3), np.uint8)))
    with pytest.raises(UserError, match="JPEG keeps no transparency"):
        check(tmp_path / "a.jpg", Photograph(RGB, ALPHA))
    check(tmp_path / "a.png", photo)
    assert list(tmp_path.iterdir()) == []


def test_a_resolution_that_is_no_number_is_none(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.tif", dpi=(0, 1e9))
    assert "dpi" not in read(tmp_path / "a.tif").metadata
