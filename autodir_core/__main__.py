"""`python -m autodir_core`."""

import gc
import sys

from .cli import main

code = main()
gc.freeze()  # what is left goes with the process: the interpreter's last collections search all libraries for a second
sys.exit(code)
