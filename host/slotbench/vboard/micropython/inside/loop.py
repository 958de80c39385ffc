# asyncio's tasks and their queue, by the board's clock. The VM's own are built in, and count by this
# computer's. Runs in the bench's module (bench.py), for a program that imports asyncio.
import sys
from time import ticks_diff, ticks_ms


class LoopQueue:
    # Tasks in the order of their times.
    def __init__(self):
        self.tasks = []

    def peek(self):
        return self.tasks[0] if self.tasks else None

    def push(self, task, ms=None):
        task.data = None
        task.ph_key = ticks_ms() if ms is None else ms
        at = len(self.tasks)
        while at and ticks_diff(self.tasks[at - 1].ph_key, task.ph_key) > 0:
            at -= 1
        self.tasks.insert(at, task)

    def pop(self):
        return self.tasks.pop(0)

    def remove(self, task):
        self.tasks.remove(task)


class LoopTask:
    # state: True while it runs, then who waits for it; False or None when it has ended, with its data.
    def __init__(self, coro, globals=None):
        self.coro, self.data, self.state, self.ph_key = coro, None, True, 0

    def __iter__(self):
        if not self.state:
            self.state = False  # somebody has seen how it ended
        elif self.state is True:
            self.state = LoopQueue()
        elif not isinstance(self.state, LoopQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        waits = sys.modules["asyncio.core"].cur_task
        self.state.push(waits)
        waits.data = self

    def done(self):
        return not self.state

    def cancel(self):
        core = sys.modules["asyncio.core"]
        if not self.state:
            return False
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        while isinstance(self.data, LoopTask):
            self = self.data
        if hasattr(self.data, "remove"):
            self.data.remove(self)
            core._task_queue.push(self)
        elif ticks_diff(self.ph_key, ticks_ms()) > 0:
            core._task_queue.remove(self)
            core._task_queue.push(self)
        self.data = core.CancelledError
        return True
