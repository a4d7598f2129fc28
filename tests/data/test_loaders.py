import os
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from ctxenc.data import loaders
from ctxenc.data.images import MemoryImages, RandomCrops
from ctxenc.data.loaders import MemoryFeed, Order, StreamedFeed
from ctxenc.errors import UserError


def numbered(count, size=2):
    """Images that show their own index."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (count, size, size, 3)))


def one_device():
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    return NamedSharding(mesh, PartitionSpec("data"))


def memory(count, order, start=0):
    return MemoryFeed(MemoryImages(numbered(count)), order, start, one_device())


def streamed(count, order, start=0, workers=2):
    return StreamedFeed(MemoryImages(numbered(count)), order, start, one_device(), workers)


def shown(feed, steps):
    """The indices of the images in the next batches."""
    return [np.asarray(feed.take(None))[:, 0, 0, 0].tolist() for _ in range(steps)]


FEEDS = pytest.mark.parametrize("feed", [memory, streamed])


@pytest.mark.parametrize("num_workers", [1, 4])
def test_both_feeds_give_the_same_batches(workers):
    order = Order(size=10, batch_size=3, seed=7)
    assert order.steps_per_epoch == 3
    gathered, decoded = memory(10, order), streamed(10, order, workers=workers)
    for _ in range(7):
        here, there = gathered.take(None), decoded.take(None)
        assert here.dtype == there.dtype == np.uint8
        np.testing.assert_array_equal(here, there)


@FEEDS
def test_a_batch_is_the_images_that_the_order_names(feed):
    order = Order(size=10, batch_size=3, seed=7)
    assert shown(feed(10, order), 7) == [order.indices(step).tolist() for step in range(7)]


@FEEDS
@pytest.mark.parametrize("start", [1, 3, 4, 100])  # an epoch has 3 steps
def test_starting_at_a_step_is_skipping_to_it(feed, start):
    order = Order(size=10, batch_size=3, seed=0)
    assert shown(feed(10, order, start), 4) == shown(feed(10, order), start + 4)[start:]


@given(batch=st.integers(1, 5), steps=st.integers(1, 6), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None)
def test_an_epoch_holds_each_image_once(batch, steps, seed):
    order = Order(size=batch * steps, batch_size=batch, seed=seed)
    for epoch in range(3):
        drawn = [order.indices(epoch * steps + step) for step in range(steps)]
        assert sorted(np.concatenate(drawn)) == list(range(batch * steps))


def test_images_left_over_are_dropped_and_others_the_next_epoch():
    order = Order(size=10, batch_size=4, seed=0)
    epochs = [np.concatenate([order.indices(2 * e), order.indices(2 * e + 1)]) for e in range(20)]
    assert all(len(set(epoch.tolist())) == 8 for epoch in epochs)
    assert set(np.concatenate(epochs).tolist()) == set(range(10))


def test_epochs_and_seeds_differ_and_nothing_else_matters():
    order = Order(size=50, batch_size=50, seed=1)
    again, other = Order(size=50, batch_size=50, seed=1), Order(size=50, batch_size=50, seed=2)
    assert not np.array_equal(order.indices(0), order.indices(1))
    assert not np.array_equal(order.indices(0), other.indices(0))
    for step in (9, 0, 1000, 0):  # in any sequence, and after others were asked for
        np.testing.assert_array_equal(order.indices(step), again.indices(step))
    halves = Order(size=50, batch_size=25, seed=1)
    np.testing.assert_array_equal(
        np.concatenate([halves.indices(2), halves.indices(3)]), order.indices(1)
    )


def test_changing_a_batch_of_indices_changes_no_later_one():
    order = Order(size=6, batch_size=6, seed=0)
    before = order.indices(0).tolist()
    order.indices(0).copy().fill(0)
    with pytest.raises(ValueError, match="read-only"):
        order.indices(0)[:] = 0
    assert order.indices(0).tolist() == before


def test_a_batch_larger_than_the_split_is_refused_by_name():
    with pytest.raises(UserError, match=r"batch_size=11: .* 10 images; it takes 1 to 10"):
        Order(size=10, batch_size=11, seed=0)
    assert Order(size=10, batch_size=10, seed=0).steps_per_epoch == 1


@pytest.mark.parametrize("size", [1, 5, 6, 7])
def test_test_batches_cover_each_image_once_in_order_and_pad_the_last(size):
    given = list(loaders.test_batches(MemoryImages(numbered(size)), 3, one_device()))
    assert all(batch.shape == (3, 2, 2, 3) for batch, _ in given)
    counted = np.concatenate([batch[:valid, 0, 0, 0] for batch, valid in given])
    assert counted.tolist() == list(range(size))
    last, valid = given[-1]
    assert (last[valid:] == size - 1).all()


class Vanishing:
    """Images of which one cannot be read any more."""

    image_size = 2

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 3:
            raise UserError("/photos/gone.jpg: could be read at the start and cannot now")
        return numbered(4)[index]

    def identity(self, index):
        return bytes([index])

    def cut(self, index, place):
        return self[index]


@pytest.mark.parametrize("images", [Vanishing(), RandomCrops(Vanishing())])
def test_an_image_that_cannot_be_read_stops_the_stream_and_is_named(images):
    order = Order(size=4, batch_size=2, seed=0)
    feed = StreamedFeed(images, order, 0, one_device(), workers=2)
    with pytest.raises(UserError, match=r"^/photos/gone.jpg: could be read .* now$"):
        shown(feed, order.steps_per_epoch)


class Placed(MemoryImages):
    """Images that show their number and where they are cut."""

    def cut(self, index, place):
        return np.full((2, 2, 3), [index, 255 * place[0], 255 * place[1]], np.uint8)


def cut(order, start, steps, workers=2):
    """(number, down, right) of each image in the next batches."""
    images = RandomCrops(Placed(numbered(order.size)))
    feed = StreamedFeed(images, order, start, one_device(), workers)
    return [np.asarray(feed.take(None))[:, 0, 0].tolist() for _ in range(steps)]


def test_random_parts_depend_on_seed_epoch_and_image_alone():
    order = Order(size=6, batch_size=3, seed=5)
    steps = cut(order, 0, 6, workers=1)
    assert cut(order, 0, 6, workers=4) == steps
    assert cut(order, 3, 3) == steps[3:]  # resumed in the middle of an epoch
    assert [[n for n, *_ in step] for step in steps] == [
        order.indices(s).tolist() for s in range(6)
    ]
    one_by_one = cut(Order(size=6, batch_size=1, seed=5), 0, 18)
    assert [image for (image,) in one_by_one] == [image for step in steps for image in step]
    places = {(down, right) for step in steps for _, down, right in step}
    assert len(places) == 18  # six images in three epochs
    assert cut(Order(size=6, batch_size=3, seed=6), 0, 6) != steps


@pytest.mark.parametrize(
    ("order", "owners", "expected"),
    [
        ([0, 1, 2, 3], [[0, 1], [2, 3]], [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ([0, 2, 1, 3], [[0, 1], [2, 3]], [[0, 1, 4, 5], [2, 3, 6, 7]]),
        ([3, 2, 1, 0], [[0], [1, 2, 3]], [[6, 7], [0, 1, 2, 3, 4, 5]]),
    ],
)
def test_a_process_has_the_rows_that_its_devices_hold(order, owners, expected):
    class Spread:
        """A batch axis divided among devices, which are numbers here, in some order."""

        def devices_indices_map(self, shape):
            each = shape[0] // len(order)
            return {d: (slice(at * each, (at + 1) * each),) for at, d in enumerate(order)}

    found = [loaders.rows(devices, Spread(), 8).tolist() for devices in owners]
    assert found == expected
    assert sorted(found[0] + found[1]) == list(range(8))


def test_devices_that_hold_the_whole_batch_give_each_row_once():
    class Replicated:
        def devices_indices_map(self, shape):
            return {0: (slice(None),), 1: (slice(None),)}

    assert loaders.rows([0, 1], Replicated(), 3).tolist() == [0, 1, 2]


class Slow(MemoryImages):
    """Images that take a while to decode."""

    def __getitem__(self, index):
        time.sleep(0.05)
        return super().__getitem__(index)


def test_time_without_a_batch_is_counted_and_time_that_the_devices_work_is_not(monkeypatch):
    order = Order(size=8, batch_size=4, seed=0)
    slow = StreamedFeed(Slow(numbered(8)), order, 0, one_device(), workers=1)
    slow.take(None)
    assert slow.waited > 0.1
    before = slow.waited
    monkeypatch.setattr(jax, "block_until_ready", lambda _: time.sleep(0.5))  # a longer step
    slow.take(None)
    assert slow.waited - before < 0.1
    assert memory(8, order).waited == 0


ON_FOUR_DEVICES = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ctxenc.data.loaders import MemoryFeed, Order, StreamedFeed
from ctxenc.data.images import MemoryImages, RandomCrops

assert len(jax.devices()) == 4
images = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 3), np.uint8)
sharding = NamedSharding(jax.make_mesh((4,), ("data",)), PartitionSpec("data"))
order = Order(size=20, batch_size=8, seed=0)
gathered = MemoryFeed(MemoryImages(images), order, 1, sharding)
decoded = StreamedFeed(MemoryImages(images), order, 1, sharding, workers=2)
for step in (1, 2, 3):
    for batch in (gathered.take(None), decoded.take(None)):
        assert batch.sharding.is_equivalent_to(sharding, 4), batch.sharding
        assert [s.data.shape[0] for s in batch.addressable_shards] == [2] * 4
        np.testing.assert_array_equal(batch, images[order.indices(step)])
print("same on four devices")
"""


def test_each_of_four_devices_gets_its_quarter_of_the_same_batch():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", ON_FOUR_DEVICES],
        env={**os.environ, **flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "same on four devices", done.stderr


AS_ONE_OF_TWO = """
import sys
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[2], 2, int(sys.argv[1]))
from jax.sharding import NamedSharding, PartitionSpec
from ctxenc.data import loaders
from ctxenc.data.images import MemoryImages

pixels = np.random.default_rng(0).integers(0, 256, (22, 2, 2, 3), np.uint8)

class Streamed(MemoryImages):
    def __init__(self, array):
        super().__init__(array)
        self.__dict__["asked"] = []

    def __getitem__(self, index):
        self.asked.append(int(index))
        return super().__getitem__(index)

sharding = NamedSharding(jax.make_mesh((4,), ("data",)), PartitionSpec("data"))
own = slice(4 * jax.process_index(), 4 * jax.process_index() + 4)
order = loaders.Order(size=20, batch_size=8, seed=0)

def check(batch, expected):
    assert batch.shape == (8, 2, 2, 3) and batch.sharding.is_equivalent_to(sharding, 4)
    for shard in batch.addressable_shards:
        np.testing.assert_array_equal(shard.data, expected[shard.index])

gathered = loaders.MemoryFeed(MemoryImages(pixels[:20]), order, 1, sharding)
trained = Streamed(pixels[:20])
decoded = loaders.StreamedFeed(trained, order, 1, sharding, workers=1)
for step in (1, 2, 3):
    for feed in (gathered, decoded):
        check(feed.take(None), pixels[order.indices(step)])
for step in (1, 2, 3):  # one batch after the other, ahead of need
    asked = trained.asked[4 * step - 4 : 4 * step]
    assert sorted(asked) == sorted(order.indices(step)[own].tolist())

tested, valid = Streamed(pixels), []
for number, (batch, counted) in enumerate(loaders.test_batches(tested, 8, sharding)):
    rows = np.minimum(np.arange(8 * number, 8 * number + 8), 21)
    check(batch, pixels[rows])
    valid.append(counted)
    assert sorted(tested.asked[4 * number :]) == rows[own].tolist()
assert valid == [8, 8, 6]
print("same in two processes", flush=True)
"""


def test_each_of_two_processes_decodes_its_half_of_the_same_batch():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", AS_ONE_OF_TWO, str(number), address],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        ended = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    assert ["same in two processes" in out for out, _ in ended] == [True, True], ended
