"""The process of one task: `python -m longshore.worker.task_main MODULE SLUG VERSION`.

It loads the module, makes an instance of the class that is registered there as the worker, and
calls its `run()`. Its exit status is that of the class; what it prints is the task's log.
"""

from __future__ import annotations

import sys

from longshore.errors import ConfigurationError
from longshore.wire.preparing import prepare
from longshore.worker.loading import load
from longshore.worker.tasks_registry import RegisteredWorker


def main(arguments: list[str]) -> int:
    """Run a task; return the exit status where the class does not exit by itself."""
    module, slug, version = arguments
    try:
        registered = find(module, slug, version)
    except ConfigurationError as error:
        # The log of the task.
        sys.stderr.write(f"{error}\n")
        return 1
    prepare()
    # The class reads its own arguments, and there are none.
    sys.argv = [slug]
    registered.program().run()
    return 0


def find(module: str, slug: str, version: str) -> RegisteredWorker:
    """Load a module and return the worker that it registers, after the module's set-up.

    Raises:
        ConfigurationError: the module does not load, or registers no such worker.
    """
    registry = load([module])
    registered = registry.workers.get((slug, version))
    if registered is None:
        raise ConfigurationError(
            f"{module} registers no worker {slug} {version} any more. Restart the worker, so that "
            "it offers what there is now."
        )
    for function in registry.setups:
        function()
    return registered


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
