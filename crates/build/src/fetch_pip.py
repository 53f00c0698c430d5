"""Fetches pip's own wheel from the package index, checks it against a pinned hash, and puts it at the given path.

Debian's and other distributions' python3 may have neither pip nor ensurepip. A wheel can be run without being installed
(`python3 pip.whl/pip install …`), so nothing of the machine is changed. Index mirrors are found as pip finds them.
"""

import hashlib
import os
import re
import sys
import urllib.parse
import urllib.request

target, name, expected = sys.argv[1:4]
index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
with urllib.request.urlopen(index, timeout=60) as answer:
    page = answer.read(16 << 20).decode()
link = re.search(r'href="([^"#]*/%s)[#"]' % re.escape(name), page)
if link is None:
    sys.exit("%s does not list %s" % (index, name))
with urllib.request.urlopen(urllib.parse.urljoin(index, link.group(1)), timeout=60) as answer:
    wheel = answer.read(64 << 20)
found = hashlib.sha256(wheel).hexdigest()
if found != expected:
    sys.exit("%s has the hash %s instead of %s: the index or the way to it is not to be trusted" % (name, found, expected))
partial = "%s.%d" % (target, os.getpid())
with open(partial, "wb") as file:
    file.write(wheel)
os.replace(partial, target)
