"""What the workers of some tests do, in a module that they can import."""

import dataclasses
import os
import time
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Write:
    """Writes a line to `folder/<task>` again and again, `times` times."""

    folder: Path
    times: int = 1

    def __call__(self):
        def perform(task, on_epoch):
            for number in range(self.times):
                with (self.folder / str(task)).open("a") as file:
                    file.write(f"{os.getpid()} {number}\n")
                time.sleep(0.01)
            return f"{task} {os.environ.get('TFDAT_TEST', '')}"

        return perform
