"""Compiles a folder's modules within bounds. Called as -c with the folder as its argument; standard input is a pipe that
ends with whoever called.

Compiling runs nothing of the source, but a source may take a hundred times its size of memory, and minutes. So this process
has limits of its own, and does not outlive the platform."""

import compileall
import os
import py_compile
import resource
import sys
import threading

MEMORY = 1 << 30
CPU_SECONDS = 300


def end_with_the_caller():
    os.read(0, 1)
    os._exit(1)


def limit(kind, most):
    # An ordinary user's own hard limit may be lower already, and cannot be raised.
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


limit(resource.RLIMIT_AS, MEMORY)
limit(resource.RLIMIT_CPU, CPU_SECONDS)
threading.Thread(target=end_with_the_caller, daemon=True).start()
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
sys.exit(not compileall.compile_dir(sys.argv[1], quiet=2, invalidation_mode=mode))
