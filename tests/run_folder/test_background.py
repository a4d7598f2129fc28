import threading

from ctxenc.run_folder.session import MOST_WAITING, Background


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


def test_what_fails_there_is_one_warning_and_costs_nothing_else(caplog):
    done = []
    with Background() as background:
        for _ in range(3 * MOST_WAITING):
            background.submit(full_disk)
        background.submit(done.append, True)
    assert done == [True]
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert told == ["not written: OSError: [Errno 28] No space left on device"]


def test_work_that_ends_its_thread_makes_room_all_the_same():
    def leave():
        raise SystemExit(1)

    done = []
    with Background() as background:
        for _ in range(3 * MOST_WAITING):
            background.submit(leave)  # would wait for ever, if none were taken off
        background.submit(done.append, True)
    assert done == [True]
