"""Requests to a server's admin listener: see `--admin`."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def get(admin, path):
    """Returns status and body."""
    try:
        with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(admin):
    """Returns the values of all samples, by name and labels."""
    status, text = get(admin, "/metrics")
    assert status == 200
    return {(sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}
