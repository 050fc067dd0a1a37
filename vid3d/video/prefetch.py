"""Running a stage ahead of its consumer, in a thread with a bounded queue."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End:
    """The last thing in a queue: why the producer stopped, None for no more items."""

    def __init__(self, error: BaseException | None):
        self.error = error


def prefetch(items: Iterable[Item], depth: int = 8) -> Generator[Item, None, None]:
    """The same items in the same order, made up to `depth` ahead by a thread of their own.

    Decoding, drawing and encoding release the interpreter lock, so chained stages overlap. An
    error in the producer is raised here; when the consumer stops early, so does the producer.
    Close it before what the items come from: a file that is closed while the thread decodes takes
    the whole process with it.
    """
    worker = _Worker(items, depth)
    try:
        while not isinstance(item := worker.waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        worker.stop()


class _Worker(Generic[Item]):
    def __init__(self, items: Iterable[Item], depth: int):
        self.waiting: queue.Queue[Item | _End] = queue.Queue(depth)
        self._items = items
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        items = iter(self._items)
        try:
            for item in items:
                if not self._put(item):
                    break
            if isinstance(items, Generator):
                items.close()  # here, so that a chain of stages stops from its end to its start
        except BaseException as caught:
            error = caught
        self._put(_End(error))

    def _put(self, item: "Item | _End") -> bool:
        """Wait for room; False if the consumer has gone."""
        while not self._stopped.is_set():
            try:
                self.waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def stop(self) -> None:
        """Let the thread end, and wait for it."""
        self._stopped.set()
        self._thread.join()
