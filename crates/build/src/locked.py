"""Writes in pip's format what a project's lock file requires of this interpreter on this machine: one of uv (`uv.lock`), of Poetry
(`poetry.lock`) or a `pylock.toml` (PEP 751), else the dependencies of `pyproject.toml`.

Arguments: the project's folder, the file to write, and the wheel that pip comes from, or nothing for the interpreter's own: pip brings
the readers of TOML and of markers. Nothing of the project runs.
"""

import os
import sys

folder, place, wheel = sys.argv[1:4]
if wheel:
    sys.path.insert(0, wheel)

try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib

from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.utils import canonicalize_name

PYPI = "https://pypi.org/simple"


class Refused(Exception):
    pass


def read(name):
    with open(os.path.join(folder, name), "rb") as file:
        return tomllib.load(file)


def holds(marker):
    return not marker or Marker(marker).evaluate({"extra": ""})


def line(name, version, hashes, what):
    if not version or not hashes:
        raise Refused("%s has no wheel in %s, and only wheels are installed" % (name, what))
    return " ".join(["%s==%s" % (name, version)] + ["--hash=" + found for found in sorted(set(hashes))])


def of_uv(lock):
    packages = {}
    for package in lock.get("package", []):
        packages.setdefault(canonicalize_name(package["name"]), []).append(package)
    own = canonicalize_name(read("pyproject.toml").get("project", {}).get("name", ""))
    roots = [package for package in packages.get(own, []) if not package.get("wheels")]
    if not roots:
        raise Refused("uv.lock does not have the project of pyproject.toml: run `uv lock`")
    found, indexes, todo, seen = set(), set(), [(roots[0], ())], set()
    while todo:
        package, extras = todo.pop()
        wanted = list(package.get("dependencies", []))
        for extra in extras:
            wanted += package.get("optional-dependencies", {}).get(extra, [])
        for needed in wanted:
            if not holds(needed.get("marker")):
                continue
            choices = packages.get(canonicalize_name(needed["name"]), [])
            choices = [one for one in choices if needed.get("version") in (None, one.get("version"))]
            for one in choices:
                key = (one["name"], one.get("version"), tuple(needed.get("extra", [])))
                if key in seen:
                    continue
                seen.add(key)
                todo.append((one, needed.get("extra", [])))
                hashes = [wheel["hash"] for wheel in one.get("wheels", []) if "hash" in wheel]
                found.add(line(one["name"], one.get("version"), hashes, "uv.lock"))
                indexes.add(one.get("source", {}).get("registry", PYPI))
    return found, indexes


def of_poetry(lock):
    found, indexes = set(), set()
    for package in lock.get("package", []):
        markers = package.get("markers")
        if isinstance(markers, dict):
            markers = markers.get("main")
        is_main = "main" in package.get("groups", ["main"]) and package.get("category", "main") == "main"
        if not is_main or package.get("optional") or not holds(markers):
            continue
        hashes = [file["hash"] for file in package.get("files", []) if file["file"].endswith(".whl")]
        found.add(line(package["name"], package.get("version"), hashes, "poetry.lock"))
        source = package.get("source", {})
        indexes.add(source.get("url", PYPI) if source.get("type") == "legacy" else PYPI)
    return found, indexes


def of_pylock(lock):
    found, indexes = set(), set()
    for package in lock.get("packages", []):
        if not holds(package.get("marker")):
            continue
        hashes = [
            "%s:%s" % (kind, digits)
            for wheel in package.get("wheels", [])
            for kind, digits in wheel.get("hashes", {}).items()
            if kind in ("sha256", "sha384", "sha512")
        ]
        found.add(line(package["name"], package.get("version"), hashes, "pylock.toml"))
        indexes.add(package.get("index", PYPI))
    return found, indexes


def of_project(project):
    about = project.get("project", {})
    if "poetry" in project.get("tool", {}) and "dependencies" not in about:
        raise Refused("there is no poetry.lock: run `poetry lock`")
    return set(about.get("dependencies", [])), set()


def required():
    for name, reader in (("uv.lock", of_uv), ("poetry.lock", of_poetry), ("pylock.toml", of_pylock)):
        if os.path.exists(os.path.join(folder, name)):
            return reader(read(name))
    return of_project(read("pyproject.toml"))


try:
    lines, indexes = required()
    first = [index.rstrip("/") for index in sorted(indexes)]
    options = []
    if first and first != [PYPI]:
        options = ["--index-url " + first[0]] + ["--extra-index-url " + index for index in first[1:]]
    with open(place, "w", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in options + sorted(lines)))
except Refused as error:
    sys.exit("error: %s" % error)
except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
    sys.exit("error: the lock file cannot be read: %r" % error)
