"""Pictures from strangers: bounded in pixels, pages and time, and refused in one line."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ctxenc.data import image_files, label_maps
from ctxenc.errors import UserError
from ctxenc.inpainting import mask_files, photographs

REFUSALS = (UserError, image_files.UnreadableError)
READERS = {
    "photograph": photographs.read,
    "mask": mask_files.read,
    "dataset": image_files.read,
    "label map": label_maps._labels,
}


def png(width, height, data=b"", kind=2):
    """A PNG whose header promises so many pixels."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def pages(count):
    """A TIFF of so many pages, 114 bytes each."""
    tags = ((256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1))
    tags += ((273, 4, 0), (277, 3, 1), (278, 3, 1), (279, 4, 1))
    size = 2 + 12 * len(tags) + 4
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(count):
        out += struct.pack("<H", len(tags))
        out += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        out += struct.pack("<I", 8 + size * (page + 1) if page + 1 < count else 0)
    return bytes(out)


BOMBS = {
    "a PNG of 2^31 × 2^31": png(2**31 - 1, 2**31 - 1),
    "a PNG of 20,000 × 20,000": png(20_000, 20_000, bytes(100_000)),
    "a grey PNG of 1 × 10^9": png(1, 10**9, bytes(1000), kind=0),
    "a PNG without a pixel": png(0, 5),
    "a text of 2^20 kB": png(4, 4).replace(b"IDAT", b"zTXt"),
    "a TIFF of 20,000 pages": pages(20_000),
    "a BMP of 2^30 × 2^30": b"BM"
    + struct.pack("<IHHIIIIHH", 54, 0, 0, 54, 40, 2**30, 2**30, 1, 24),
    "a PPM of 10^9 × 10^9": b"P6 1000000000 1000000000 255\n",
    "a GIF of 65,535 × 65,535": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    "a program in PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_soon(tmp_path, content, read):
    (tmp_path / "a.png").write_bytes(content)
    began = time.process_time()
    with pytest.raises(REFUSALS):
        read(tmp_path / "a.png")
    assert time.process_time() - began < 2


def _picture(form, mode):
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(out, format=form)
    return out.getvalue()


WHOLE = [
    _picture(form, mode)
    for form, mode in [
        *(("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "L"), ("JPEG", "RGB")),
        *(("WEBP", "RGB"), ("TIFF", "RGB"), ("BMP", "RGB"), ("GIF", "P"), ("PPM", "L")),
        *((("AVIF", "RGB"),) if photographs.AVIF else ()),
    ]
]


def _fuzz(tmp_path_factory, content, changes, cut):
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    file = tmp_path_factory.getbasetemp() / "fuzzed.png"
    file.write_bytes(bytes(damaged[: len(damaged) - cut]))
    for read in READERS.values():
        try:
            read(file)
        except REFUSALS:
            continue


DAMAGE = {
    "content": st.sampled_from(WHOLE) | st.binary(max_size=200),
    "changes": st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    "cut": st.integers(0, 20),
}
DAMAGE["content"] = DAMAGE["content"].filter(bool)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150)
@given(**DAMAGE)
def test_no_damage_is_more_than_a_refusal(tmp_path_factory, content, changes, cut):
    _fuzz(tmp_path_factory, content, changes, cut)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=3000)
@given(**DAMAGE)
def test_no_damage_is_more_than_a_refusal_at_length(tmp_path_factory, content, changes, cut):
    _fuzz(tmp_path_factory, content, changes, cut)
