"""Where images come from and how they become batches.

**A dataset** is a function that is given `image_size` and, by name, its own options, and returns a
`ctxenc.data.images.Dataset` of three splits (train, validation, test) that share no image. For
images that fit in memory, it takes three arrays (uint8, RGB, of shape (images, image_size,
image_size, 3))::

    import numpy as np
    from ctxenc.data.images import Dataset, MemoryImages

    def stripes(*, count: int, image_size: int) -> Dataset:
        phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (count, 1, 1, 3))
        wave = np.sin(np.arange(image_size)[:, None] + phase)
        images = np.broadcast_to(127 + 127 * wave, (count, image_size, image_size, 3))
        images = images.astype(np.uint8)
        parts = np.split(images, [count * 8 // 10, count * 9 // 10])
        return Dataset("stripes", *map(MemoryImages, parts))

and a file ``conf/dataset/stripes.yaml``, here or in your own package, whose first line is shown by
``--help``::

    # Stripes of any colour.
    _target_: my_package.stripes
    count: 1000

Of a source with two splits, `ctxenc.data.images.held_out` says which training images to hold out
for validation.

**A split** of more images is any object with a length, an ``image_size`` and ``images[index]``: a
uint8 array of shape (image_size, image_size, 3), the same for the same index, asked for by several
threads at once. It is decoded into memory where it fits, and else streamed. What tells its images
apart is ``identity(index) -> bytes``, where it has that, or else their pixels, once decoded. Where
its images have classes, it says them by ``labels() -> ctxenc.data.labels.Labels``, and
`MemoryImages` is given such a function.

**Pictures of any size** (`ctxenc.data.images.Pictures`) are cut and resized by
`Dataset.of_pictures`; `ctxenc.data.folder` is an example.
"""
