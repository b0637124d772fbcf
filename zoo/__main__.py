"""The command ``zoo``, also as ``python -m zoo``: ready to be stopped at once.

Importing the command line takes a fifth of a second.  A request to end that comes
earlier ends the program as one that comes later does, in one line.
"""

import os
import signal
import sys
from types import FrameType


def be_stoppable() -> None:
    """Let Ctrl-C and a request to end stop a program that has not begun to work."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def main() -> None:
    """Run the command line; see `zoo.cli.main`."""
    be_stoppable()
    from zoo.cli import main as run

    run()


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.stderr.write("zoo: interrupted; nothing incomplete was left behind\n")
    sys.stderr.flush()
    os._exit(1)  # there is nothing to clean up, and imports would print a traceback


if __name__ == "__main__":
    main()
