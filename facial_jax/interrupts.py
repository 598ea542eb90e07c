"""Requests to stop are handled like Ctrl-C, so that nothing half-written stays behind."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 2.0
_REQUESTS = ("SIGINT", "SIGTERM", "SIGHUP")  # of the user, of the system, of a closed terminal


class StopRequest:
    """Whether the process was asked to stop."""

    def __init__(self):
        self.came = False


@contextmanager
def stop_on_request() -> Iterator[StopRequest]:
    """While inside, in the main thread, a request to stop raises KeyboardInterrupt.

    An exception may get lost in a callback of JAX's: it is raised again until it arrives.
    """
    request = StopRequest()
    timed = hasattr(signal, "setitimer")

    def interrupt(number, frame):
        del number, frame
        request.came = True
        if timed:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        raise KeyboardInterrupt

    numbers = [getattr(signal, n) for n in (*_REQUESTS, "SIGALRM") if hasattr(signal, n)]
    # `nohup` has the closing of the terminal ignored, and so it stays.
    numbers = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield request
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
