"""A scrape, judged strictly: by the Prometheus project's own OpenMetrics parser, and by what that one lets pass.

    metrics.py URL

Prints one JSON object: each family's name as its series carry it (a counter's with `_total`), its type, its help, the
names of its labels (a histogram's `le` left out), and its series with their values.
"""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

KIND = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def scrape(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.headers["content-type"] == KIND, answer.headers["content-type"]
        return answer.read().decode("utf-8", "strict")


def once(text):
    """HELP and TYPE once for each family, no series twice: the parser merges some of these without a word."""
    seen = set()
    for line in text.splitlines():
        words = line.split(" ")
        thing = " ".join(words[:3]) if words[0] == "#" else line.rsplit(" ", 1)[0]
        assert thing not in seen, f"twice: {thing}"
        seen.add(thing)
    families = {thing.split(" ")[2] for thing in seen if thing.startswith("# TYPE ")}
    helped = {thing.split(" ")[2] for thing in seen if thing.startswith("# HELP ")}
    assert families == helped, f"HELP or TYPE is missing for {families ^ helped}"


def described(family):
    labels = {name for sample in family.samples for name in sample.labels}
    if family.type == "histogram":
        labels.discard("le")
    return {
        "name": family.name + ("_total" if family.type == "counter" else ""),
        "type": family.type,
        "help": family.documentation,
        "labels": sorted(labels),
        "series": [[sample.name, sample.labels, sample.value] for sample in family.samples],
    }


def main(url):
    text = scrape(url)
    once(text)
    print(json.dumps([described(family) for family in text_string_to_metric_families(text)]))


main(*sys.argv[1:])
