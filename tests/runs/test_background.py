import threading
import time

import pytest

from ctxenc.runs.session import MOST_WAITING, Background


def test_work_is_done_in_order_and_before_the_block_ends():
    done = []
    with Background() as background:
        for number in range(3 * MOST_WAITING):
            background.submit(done.append, number)
    assert done == list(range(3 * MOST_WAITING))


def test_the_caller_does_not_wait_for_it():
    go, seen = threading.Event(), []
    with Background() as background:
        for _ in range(MOST_WAITING):
            background.submit(lambda: seen.append(go.wait(5)))
        go.set()  # too late for the first, if submit had waited for it
    assert seen == [True] * MOST_WAITING


def full_disk():
    raise OSError(28, "No space left on device")


def fail_in_the_end():
    with Background() as background:
        background.submit(full_disk)


def fail_at_the_next_check():
    with Background() as background:
        background.submit(full_disk)
        background.submit(print)  # does not raise
        for _ in range(1000):
            background.check()
            time.sleep(0.01)
        raise AssertionError("nothing was raised in 10 s")


@pytest.mark.parametrize("way", [fail_in_the_end, fail_at_the_next_check])
def test_what_fails_in_the_background_fails_the_caller(way):
    with pytest.raises(OSError, match="No space left"):
        way()


def test_an_error_of_the_block_itself_comes_first_and_the_others_are_logged(caplog):
    def interrupted():
        with Background() as background:
            background.submit(full_disk)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "not written: OSError: [Errno 28] No space left" in caplog.text
