"""Tells what the platform must know of this interpreter: its version, its program, and what of the host it needs to run.

A sandbox sees the files that are named here and nothing beside them: the prefix of an interpreter may be a home's ~/.local,
or /usr/local, with everything that others have put there. What is needed is what the interpreter itself would look at: the
program, the folders in which it looks for its library, the shared libraries that it and its modules load, and the
certificates and time zones that it was built to find in its prefix. Libraries are found by loading them.

The arguments are the files and folders of the system that every sandbox sees; what lies in them is not named again.
"""

import json
import os
import socket  # Not used: what cannot open a socket or read JSON is a broken build, and no answer.
import sys


def is_seen(path):
    return any(path == place or path.startswith(os.path.join(place, "")) for place in sys.argv[1:])


def program():
    """The program with all links resolved; of a copy that `venv` has made the one it was made from."""
    executable = os.path.realpath(sys.executable)
    folder = os.path.dirname(executable)
    if any(os.path.exists(os.path.join(place, "pyvenv.cfg")) for place in (folder, os.path.dirname(folder))):
        original = os.path.join(sys.base_exec_prefix, "bin", "python%d.%d" % sys.version_info[:2])
        if os.access(original, os.X_OK):
            return os.path.realpath(original)
    return executable


def load_modules(folders):
    """Loads the library's native modules, and with them what they are linked with, without running them."""
    try:
        import _ctypes
    except ImportError:
        return
    for folder in folders:
        if os.path.basename(folder) != "lib-dynload":
            continue
        for name in os.listdir(folder):
            # Those of the test suite are of no use to handlers, and some are made to fail.
            if name.endswith(".so") and not name.startswith(("_test", "_xx", "xx", "_ctypes_test")):
                try:
                    _ctypes.dlopen(os.path.join(folder, name), os.RTLD_LAZY)
                except OSError:
                    pass


def loaded():
    """The libraries that are mapped into this process, by every name that they have in their folder."""
    found, executable = set(), os.path.realpath(sys.executable)
    try:
        with open("/proc/self/maps", errors="surrogateescape") as lines:
            mapped = [line.rstrip("\n").split(None, 5)[5:] for line in lines]
    except OSError:
        mapped = []
    for path in mapped:
        if path and path[0].startswith("/") and path[0] != executable and not is_seen(path[0]) and os.path.isfile(path[0]):
            found.add(path[0])
    named = set(found)
    for folder in set(map(os.path.dirname, found)):
        for entry in os.scandir(folder):
            # A program is linked with libx.so.1, which is a link to libx.so.1.2.
            if entry.is_symlink() and os.path.realpath(entry.path) in found:
                named.add(entry.path)
    return named


def built_in():
    """Certificates and time zones in the interpreter's own prefix."""
    paths = []
    os.environ.pop("PYTHONTZPATH", None)
    try:
        import _ssl

        _, file, _, folder = _ssl.get_default_verify_paths()
        paths += [file, folder]
    except ImportError:
        pass
    try:
        import zoneinfo

        paths += zoneinfo.TZPATH
    except ImportError:
        pass
    prefixes = tuple(os.path.join(prefix, "") for prefix in (sys.base_prefix, sys.base_exec_prefix))
    return [path for path in paths if path.startswith(prefixes)]


def main():
    # With -S, which it is asked with, these are the library's own folders and nothing of the site's.
    library = [folder for folder in sys.path if os.path.isabs(folder)]
    load_modules(filter(os.path.isdir, library))
    needs = {program(), *library, *loaded(), *built_in()}
    major, minor, micro = sys.version_info[:3]
    print(
        json.dumps(
            {
                "major": major,
                "minor": minor,
                "micro": micro,
                "executable": program(),
                "needs": sorted(path for path in needs if os.path.exists(path) and not is_seen(path)),
            }
        )
    )


main()
