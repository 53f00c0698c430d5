"""Fetches one wheel from a package index: fetch_wheel.py INDEX PROJECT FILE SHA256 DESTINATION.

Only the standard library: this is how pip itself arrives on a machine whose python3 has none (Debian's has not).
The index is asked for the file's address, as pip does it (PEP 503); the hash decides whether it is the right file.
"""

import hashlib
import html.parser
import os.path
import sys
import urllib.parse
import urllib.request


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.found.extend(value for name, value in attributes if name == "href" and value)


def main(index, project, name, sha256, destination):
    page = f"{index.rstrip('/')}/{project}/"
    with urllib.request.urlopen(page, timeout=60) as answer:
        links = Links()
        links.feed(answer.read().decode())
        page = answer.url
    for link in links.found:
        address = urllib.parse.urldefrag(urllib.parse.urljoin(page, link)).url
        if os.path.basename(urllib.parse.urlparse(address).path) == name:
            break
    else:
        sys.exit(f"{page} does not list {name}")
    with urllib.request.urlopen(address, timeout=60) as answer:
        data = answer.read()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        sys.exit(f"{address} has the hash {found}, expected {sha256}")
    with open(destination, "wb") as file:
        file.write(data)


main(*sys.argv[1:])
