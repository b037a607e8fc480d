"""The queue in which the threads of a process wait for their turn to write."""

from __future__ import annotations

import threading

from audiostore.catalogs.sqlite.queues import Queue


def wait_in_line(queue: Queue, served: list[int], number: int) -> threading.Thread:
    """Start a thread that waits for its turn, and see that it stands in line."""

    def wait() -> None:
        assert queue.acquire(10)
        served.append(number)
        queue.release()

    before = len(queue._waiting)
    thread = threading.Thread(target=wait)
    thread.start()
    while len(queue._waiting) == before:
        pass
    return thread


def test_whoever_asked_first_gets_in_first() -> None:
    queue, served = Queue(), list[int]()
    assert queue.acquire(0)
    threads = [wait_in_line(queue, served, number) for number in range(8)]
    queue.release()
    for thread in threads:
        thread.join()
    assert served == list(range(8))
    assert queue.acquire(0)


def test_whoever_waited_too_long_leaves_the_line() -> None:
    queue = Queue()
    assert queue.acquire(0)
    assert not queue.acquire(0.01)
    queue.release()
    assert queue.acquire(0)


def test_who_leaves_does_not_hold_up_those_behind() -> None:
    queue, served = Queue(), list[int]()
    assert queue.acquire(0)
    impatient = threading.Thread(target=queue.acquire, args=(0.05,))
    impatient.start()
    while not queue._waiting:
        pass
    patient = wait_in_line(queue, served, 1)
    impatient.join()
    queue.release()
    patient.join(10)
    assert served == [1]
