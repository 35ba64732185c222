"""Signals, and several processes that serve at one listening socket, each of them by itself.

The parent forks before there are threads, and then only waits: for a signal, which it hands on, or
for a worker to end, which it replaces if it was killed. A worker whose parent is gone stops too.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable

from .output import say

__all__ = ["Signalled", "catch_signals", "supervise"]

Signalled = queue.SimpleQueue[int]
"""Gives a signal when it has come; a handler may put, whatever it interrupts."""


def catch_signals(*signals: signal.Signals) -> Signalled:
    """Gives the first of these signals; a second one ends the program at once."""
    told: Signalled = queue.SimpleQueue()

    def tell(number: int, _: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_DFL)
        told.put(number)

    for each in signals:
        signal.signal(each, tell)
    return told


def supervise(
    count: int,
    work: Callable[[Signalled], int],
    begun: Callable[[], object],
    stopping: Callable[[], object],
) -> int:
    """Run workers until told to stop by SIGINT or SIGTERM; a second signal ends them at once.

    work: what a worker does until it is given a signal; gives its exit status.
    begun, stopping: are called when all workers have begun, and at the first signal.
    Gives the exit status of the whole: 0, or 1 if a worker could not go on.
    """
    waited = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    parent_lives = os.pipe()
    workers = {_fork(work, parent_lives, waited) for _ in range(count)}
    told, failed = False, False
    begun()
    while workers:
        if signal.sigwait(waited) is not signal.SIGCHLD:
            if told:  # at once: a second SIGTERM could be taken for the first
                _end(workers, signal.SIGKILL)
            else:
                stopping()
                told = True
                _end(workers, signal.SIGTERM)
        for process in [*workers]:
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            workers.remove(process)
            if told or failed:
                continue
            say(f"worker {process} has ended by itself")
            if os.WIFSIGNALED(status):
                workers.add(_fork(work, parent_lives, waited))
            else:  # it could not go on, and nor could another
                failed = True
                _end(workers, signal.SIGTERM)
    return int(failed)


def _end(workers: set[int], how: signal.Signals) -> None:
    for process in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, how)


def _fork(
    work: Callable[[Signalled], int], parent_lives: tuple[int, int], waited: set[signal.Signals]
) -> int:
    """Do the work in a process of its own; gives its id."""
    if process := os.fork():
        return process
    status = 1
    try:
        alive, held = parent_lives
        os.close(held)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent hands it on
        signalled = catch_signals(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
        watch = threading.Thread(target=lambda: signalled.put(len(os.read(alive, 1))), daemon=True)
        watch.start()
        status = work(signalled)
    except BaseException as error:
        say(f"worker {os.getpid()}: {error!r}")
    finally:
        os._exit(status)
