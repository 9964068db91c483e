"""A worker as a process, `python -m bench.evaluation.execution`: `process_pool` starts it, and tells it all by a pipe.

It ends when the driver does, however that ends: a thread waits for the pipe to close.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

import torch

from bench.evaluation.execution.protocol import Assignment, Order
from bench.evaluation.execution.worker import Worker

_STDOUT, _STDERR = 1, 2


def main(orders: int, replies: int, lifeline: int, device: str, threads: int) -> None:
    """Compute orders until the driver says no more.

    Args:
        orders: file descriptor to read orders and assignments from.
        replies: file descriptor to write replies to.
        lifeline: file descriptor that closes when the driver ends.
        device: torch device.
        threads: that torch may use.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the driver decides
    os.dup2(_STDERR, _STDOUT)  # what a model prints is no result
    _end_with(lifeline)
    torch.set_num_threads(threads)
    inbox, outbox = Connection(orders, writable=False), Connection(replies, readable=False)

    def fetch(key: str) -> Assignment:
        outbox.send(key)
        assignment: Assignment = inbox.recv()
        return assignment

    worker = Worker(torch.device(device))
    try:
        while True:
            order: Order = inbox.recv()
            outbox.send(worker.fulfil(order.key, order.task, order.attacked.unpack(), fetch))
    except (EOFError, BrokenPipeError):
        return


def _end_with(lifeline: int) -> None:
    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
