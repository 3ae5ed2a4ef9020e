"""SIGINT and SIGTERM ask a run to stop after the step that is under way; a second signal stops at once."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignals:
    """While entered, `received` is the number of the first signal that came, else None. Main thread only."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
