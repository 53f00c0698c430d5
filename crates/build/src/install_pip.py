"""Runs pip in a process that can start no program.

`--only-binary :all:` holds for what pip picks from an index, but a wheel may require a package by the address of its source,
and pip would build that: it would run a stranger's code. Every way to build something, and every version control system,
is a program that pip starts, so the interpreter itself refuses to start any. A wheel is only unpacked.

The first argument is the wheel that pip comes from, or nothing for the interpreter's own; the rest is pip's. Standard input is a
pipe that ends with whoever called: an installation does not outlive the platform.
"""

import os
import sys
import threading

STARTS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}


def refuse(event, arguments):
    if event not in STARTS:
        return
    # How pip asks for the version of musl, on systems with it.
    if event == "subprocess.Popen" and len(arguments[1]) == 1 and arguments[1][0].startswith("/lib/ld-musl-"):
        return
    raise PermissionError("only wheels are installed: building a package would run its code (pip wanted %s)" % event)


def end_with_the_caller():
    os.read(0, 1)
    os._exit(1)


wheel = sys.argv.pop(1)
if wheel:
    sys.path.insert(0, wheel)
import runpy

threading.Thread(target=end_with_the_caller, daemon=True).start()
sys.addaudithook(refuse)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
