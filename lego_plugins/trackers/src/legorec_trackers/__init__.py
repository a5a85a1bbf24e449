"""Trackers of lego. Those that need another library are imported by name, each when it is used."""

lego_api = ">=1,<2"

from legorec_trackers.csv_file import CSV  # noqa: E402 - what it is for is known before anything can fail
from legorec_trackers.json_lines import JSONLines  # noqa: E402 - see above

__all__ = ["CSV", "JSONLines"]
