"""HotelRec (Antognini and Faltings 2020, https://aclanthology.org/2020.lrec-1.605/): reviews of hotels on TripAdvisor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Ratings, Raw
from lego.data.problems import Problems
from lego.data.raw.clean import are_steps, clean, in_words
from lego.data.raw.json_lines import Field, read_json_lines
from lego.data.raw.official import first_of, missing
from lego.data.raw.times import ISO, read_times
from lego.spec import operator

_FILE = "HotelRec.txt"
_REVIEW = (
    Field("author"),
    Field("hotel_url", required=True),
    Field("rating", pa.float64(), required=True, low=1, high=5),
    Field("date", required=True),
)
_HOTEL = r"-Reviews-(?:or\d+-)?(?P<hotel>.*?)(?:\.html)?$"
_PARTS = r"^(?P<name>.*?)(?:-(?P<place>[^-]*))?$"


@operator
class HotelRec(Ratings):
    """Hotels that travelers reviewed, as impressions, by the rules of `Ratings`.

    - A rating above 3 is a click, one below 3 a dislike, and 3 is neither, as RecBench and most of the literature have it.
    - There is no file of hotels: a hotel is its url, and its name and place are what the url says behind `-Reviews-`, with blanks
      for underscores. The place is what follows the last hyphen; where there is none, it is missing. The items are the hotels
      that have reviews, in the order of their urls.
    - Times are days: reviews of one user and day are in the order of the file. A review without an author is left out and
      counted.
    - Text is cleaned by the steps `clean` of `lego.data.raw.clean`.
    """

    event: ClassVar[str] = "reviews"
    item: ClassVar[str] = "hotels"
    reads: ClassVar[Mapping[str, int]] = {"name": 16, "place": 16}
    domain: ClassVar[str] = "hotels"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"name": "text", "place": "text"},
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (_FILE,)
    url: ClassVar[str] = "https://github.com/Diego999/HotelRec"
    licence: ClassVar[str] = "academic research only"
    proven: ClassVar[str] = "real rows"

    clean: tuple[str, ...] = attrs.field(default=("whitespace",), validator=are_steps)
    below: float | None = 3.0

    def files(self) -> Iterable[Path]:
        """The file; DataError with where to get it."""
        return [self._file()]

    def read(self, problems: Problems) -> Raw:
        """Hotels and reviews."""
        dropped = {"reviews_without_author": 0}
        events = gather(_events(self._file(), problems, dropped))
        items = _hotels(pc.cast(events.item_ids, pa.string()), self.clean)
        return Raw(items=items, events=events, dropped=dropped, rules={"text": in_words(self.clean)})

    def _file(self) -> Path:
        folder = Path(self.path).expanduser()
        found = first_of(folder, _FILE)
        if found is None:
            fix = f"download it from {self.url}, and give its folder"
            raise missing(folder, _FILE, fix, _FILE, f"{_FILE}.gz")
        return found


def _events(path: Path, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
    """User, item, rating and time, piece by piece."""
    for piece in read_json_lines(path, _REVIEW, problems, lines=True):
        time, known, _ = read_times(path.name, "date", piece, ISO, "2010-02-01T00:00:00", problems)
        signed = pc.fill_null(pc.match_substring_regex(piece["author"], r"\S"), fill_value=False)
        dropped["reviews_without_author"] += piece.num_rows - int(pc.sum(signed).as_py() or 0)
        table = piece.select(["author", "hotel_url", "rating"]).rename_columns(["user", "item", "value"])
        yield table.append_column("time", pa.array(time)).filter(pc.and_(signed, pa.array(known)))


def _hotels(urls: pa.Array, steps: tuple[str, ...]) -> pa.Table:
    """item_id, name and place of each url."""
    hotel = pc.struct_field(pc.extract_regex(urls, _HOTEL), "hotel")
    parts = pc.extract_regex(hotel, _PARTS)
    made = {"item_id": urls}
    for name in ("name", "place"):
        words = pc.replace_substring(pc.struct_field(parts, name), "_", " ")
        words = pc.utf8_trim_whitespace(words)
        made[name] = clean(pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words), steps)
    return pa.table(made)
