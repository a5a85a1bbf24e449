"""Last.fm: who listened to what.

HetRec 2011 (Cantador et al. 2011, https://doi.org/10.1145/2043932.2044016), lastfm-dataset-1K (Celma 2010,
https://doi.org/10.1007/978-3-642-13287-2) and LFM-1b (Schedl 2016, https://doi.org/10.1145/2911996.2912004).

artists.dat  user_artists.dat  …                          HetRec 2011: plays of each artist, no times
userid-timestamp-artid-artname-traid-traname.tsv  …       lastfm-dataset-1K: each listen
LFM-1b_LEs.txt  LFM-1b_tracks.txt  LFM-1b_artists.txt  …  LFM-1b: each listen
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.events import Events, gather, shuffled
from lego.data.impressions.interactions import Interactions, Raw
from lego.data.impressions.recent import most_recent
from lego.data.problems import Problems
from lego.data.raw.columns import as_category, as_number, as_text, one, seconds
from lego.data.raw.official import official_files
from lego.data.raw.reader import MOMENT, Column, Layout, encoding_of, read_pieces, read_rows, read_unique
from lego.data.table import LIST, flat
from lego.errors import DataError, Problem
from lego.ragged import offsets_of
from lego.spec import ge, operator

_HETREC = ("artists.dat", "user_artists.dat")
_TAGS = ("user_taggedartists.dat", "tags.dat")
_LISTENS = "userid-timestamp-artid-artname-traid-traname.tsv"
_PROFILES = "userid-profile.tsv"
_LFM = ("LFM-1b_LEs.txt", "LFM-1b_artists.txt")
_LFM_OF = {"tracks": "LFM-1b_tracks.txt", "albums": "LFM-1b_albums.txt"}
_LFM_USERS = "LFM-1b_users.txt"

_TABS = Layout(delimiter="\t")
_ID = pa.int64()
_LISTENS_LAYOUT = Layout(names=("user", "time", "artid", "artname", "traid", "traname"), delimiter="\t")
_LFM_EVENTS = Layout(names=("user", "artists", "albums", "tracks", "time"), delimiter="\t")


@operator
class LastFM(Interactions):
    """Music that users listened to, as impressions, by the rules of `Interactions`. The files say which edition it is.

    HetRec 2011: the items are artists, each row says how often a user played one.
    - A click is an artist with `plays` plays or more; one with fewer is met, not clicked.
    - There is neither a time nor an order, the file has the most played artists first. `order="random"` therefore draws the
      order of a user's clicks by the seed; `"file"` takes that of the file, which tests on what is played least.
    - Where user_taggedartists.dat and tags.dat are there, `tags` are the 10 that most users gave to an artist.

    lastfm-dataset-1K and LFM-1b: each row is a listen, with its time.
    - The items are tracks, or what `items` says: artists, and in LFM-1b albums.
    - Only the `listens` most recent listens of each user are read (None: all of them); the others are counted. What nobody
      listened to among these is not in the catalogue.
    - In lastfm-dataset-1K a row of a track without id (of an artist, with `items="artists"`) is left out and counted, and so is a
      line with another number of values than six; the official file has some. The newest listen stands first in the file.

    Attributes are title (of the track or album, or the name of the artist) and, unless the items are artists, artist. Users of 1K
    and LFM-1b have gender, age and country where the file of users is there.
    """

    event: ClassVar[str] = "listens"
    item: ClassVar[str] = "pieces"
    reads: ClassVar[Mapping[str, int]] = {"title": 16, "artist": 8}
    domain: ClassVar[str] = "music"
    language: ClassVar[str] = "English and others"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "artist": "category", "tags": "list"},
        "users": {"gender": "category", "age": "number", "country": "category"},
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "artists.dat",
        "user_artists.dat",
        "tags.dat",
        "user_taggedartists.dat",
    )
    url: ClassVar[str] = "https://grouplens.org/datasets/hetrec-2011/"
    licence: ClassVar[str] = "non-commercial use"
    proven: ClassVar[str] = "real rows of HetRec 2011, format of the others"

    items: Literal["tracks", "artists", "albums"] | None = None
    listens: int | None = attrs.field(default=200, validator=ge(1))
    plays: int = attrs.field(default=1, validator=ge(1))
    order: Literal["random", "file"] = "random"

    def files(self) -> Iterable[Path]:
        """The files of the edition; DataError with where to get one."""
        lfm = [_LFM[0], _LFM[1], *([] if self.items == "artists" else [_LFM_OF[self.items or "tracks"]])]
        found = official_files(self.path, [_HETREC, (_LISTENS,), lfm], self.url, what="an edition of Last.fm")
        more = {_HETREC[0]: _TAGS, _LISTENS: (_PROFILES,)}.get(found[0].name, (_LFM_USERS,))
        paths = [found[0].with_name(name) for name in more]
        return [*found, *(paths if all(path.is_file() for path in paths) else [])]

    def read(self, problems: Problems) -> Raw:
        """What the edition holds."""
        files = {path.name: path for path in self.files()}
        self._check_items(files)
        if _HETREC[0] in files:
            return self._hetrec(files, problems)
        return self._thousand(files, problems) if _LISTENS in files else self._billion(files, problems)

    def clicked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are played often enough; without counts of plays all of them."""
        if events.value is None:
            return super().clicked(events)
        return np.asarray(events.value >= self.plays)

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        return "each of the listens" if self.plays == 1 else f"{self.plays} plays or more"

    def _check_items(self, files: Mapping[str, Path]) -> None:
        offered = ["artists"] if _HETREC[0] in files else ["tracks", "artists", "albums"]
        offered = offered[:2] if _LISTENS in files else offered
        if self.items is not None and self.items not in offered:
            what = f"this edition has no {self.items} to be the items"
            raise DataError([Problem(self.path, what, f"choose items={offered[0]!r}")])

    def _people(self, path: Path | None, key: Column, problems: Problems) -> pa.Table | None:
        """Users with gender, age and country."""
        if path is None:
            return None
        columns = (key, Column("gender"), Column("age"), Column("country"))
        what = f"user {{{key.name}}} is already in line {{first}}"
        table = read_unique(path, columns, (key.name,), what, problems, _TABS)
        if table is None:
            return None
        age = as_number(table["age"])
        age = pc.if_else(pc.fill_null(pc.less(age, 0), fill_value=False), pa.scalar(None, age.type), age)
        return pa.table(
            {
                "user_id": one(table[key.name]),
                "gender": as_category(table["gender"]),
                "age": age,
                "country": as_category(table["country"]),
            }
        )

    # --- HetRec 2011

    def _hetrec(self, files: Mapping[str, Path], problems: Problems) -> Raw:
        columns = (Column("id", _ID), Column("name"))
        what = "artist {id} is already in line {first}"
        artists = read_unique(files[_HETREC[0]], columns, ("id",), what, problems, _TABS)
        counts = (Column("userID", _ID), Column("artistID", _ID), Column("weight", _ID, low=0))
        plays = read_pieces(files[_HETREC[1]], counts, problems, _TABS)
        events = gather(piece.rename_columns(["user", "item", "value"]) for piece in plays)
        tags = self._tags(files, problems) if _TAGS[0] in files else None
        problems.raise_any()
        assert artists is not None  # a table is None only where there is a problem
        ids = one(artists["id"])
        made = {"item_id": ids, "title": as_text(artists["name"]), "artist": as_category(pa.nulls(len(ids)))}
        if tags is not None:
            made["tags"] = tags["tags"].take(pc.index_in(ids, value_set=one(tags["item"])))
        drawn = self.order == "random"
        return Raw(
            items=pa.table(made),
            events=shuffled(events, self.seed) if drawn else events,
            rules={"order": f"drawn by seed {self.seed}" if drawn else "the log's, the most played first"},
        )

    def _tags(self, files: Mapping[str, Path], problems: Problems) -> pa.Table | None:
        """The tags of each artist, the most given first; of equally many the first by number."""
        columns = (Column("tagID", _ID), Column("tagValue"))
        layout = attrs.evolve(_TABS, encoding=encoding_of(files[_TAGS[1]]))
        what = "tag {tagID} is already in line {first}"
        names = read_unique(files[_TAGS[1]], columns, ("tagID",), what, problems, layout)
        given = (Column("userID", _ID), Column("artistID", _ID), Column("tagID", _ID))
        rows = read_rows(files[_TAGS[0]], given, problems, _TABS)
        if names is None or rows is None:
            return None
        counts = rows.group_by(["artistID", "tagID"]).aggregate([([], "count_all")])
        keys = [("artistID", "ascending"), ("count_all", "descending"), ("tagID", "ascending")]
        counts = counts.sort_by(keys)
        place = pc.index_in(counts["tagID"], value_set=one(names["tagID"]))
        artist, value = flat(counts["artistID"]), as_text(names["tagValue"]).take(one(place))
        distinct, first, lengths = np.unique(artist, return_index=True, return_counts=True)
        kept = np.arange(len(artist)) - np.repeat(first, lengths) < 10
        kept &= flat(value.is_valid())
        offsets = offsets_of(
            np.bincount(np.repeat(np.arange(len(distinct)), lengths)[kept], minlength=len(distinct))
        )
        lists = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), value.filter(pa.array(kept)), type=LIST
        )
        return pa.table({"item": pa.array(distinct), "tags": lists})

    # --- lastfm-dataset-1K

    def _thousand(self, files: Mapping[str, Path], problems: Problems) -> Raw:
        dropped: dict[str, int] = {}
        catalog = _Names()
        pieces: Iterator[pa.Table] = self._listens(files[_LISTENS], catalog, dropped, problems)
        if self.listens is not None:
            pieces = most_recent(pieces, self.listens, dropped, "listens_too_old", newest_first=True)
        events = gather(pieces)
        people = self._people(files.get(_PROFILES), Column("#id"), problems)
        problems.raise_any()
        return Raw(
            # Turned around, listens of one second are in the order in which they were heard.
            events=events.turned(),
            items=catalog.table(events.item_ids, with_artist=self.items != "artists"),
            users=people,
            dropped=dropped,
            rules={"items": self.items or "tracks", "order": "time; of one second, the later line first"},
        )

    def _listens(
        self, path: Path, catalog: _Names, dropped: dict[str, int], problems: Problems
    ) -> Iterator[pa.Table]:
        columns = [Column(name, MOMENT if name == "time" else pa.string()) for name in _LISTENS_LAYOUT.names]
        key, title = ("artid", "artname") if self.items == "artists" else ("traid", "traname")
        odd: list[str] = []
        without = 0
        for piece in read_pieces(path, columns, problems, _LISTENS_LAYOUT, odd):
            known = piece.filter(pc.not_equal(piece[key], ""))
            without += piece.num_rows - known.num_rows
            catalog.add(one(known[key]), one(known[title]), one(known["artname"]))
            if known.num_rows:
                yield pa.table({"user": known["user"], "item": known[key], "time": seconds(known["time"])})
        dropped["malformed_lines"] = len(odd)
        dropped["listens_without_id"] = without

    # --- LFM-1b

    def _billion(self, files: Mapping[str, Path], problems: Problems) -> Raw:
        dropped: dict[str, int] = {}
        kind = self.items or "tracks"
        columns = [Column("user", _ID), Column(kind, _ID), Column("time", _ID, low=0)]
        pieces: Iterator[pa.Table] = read_pieces(files[_LFM[0]], columns, problems, _LFM_EVENTS)
        if self.listens is not None:
            pieces = most_recent(pieces, self.listens, dropped, "listens_too_old")
        events = gather(piece.rename_columns(["user", "item", "time"]) for piece in pieces)
        people = self._people(files.get(_LFM_USERS), Column("user_id", _ID), problems)
        problems.raise_any()
        artists = _named(
            files[_LFM[1]], ("item_id", "title"), events.item_ids if kind == "artists" else None, problems
        )
        if kind == "artists":
            problems.raise_any()
            assert artists is not None
            items = artists.append_column("artist", as_category(pa.nulls(artists.num_rows)))
        else:
            found = _named(files[_LFM_OF[kind]], ("item_id", "title", "artist"), events.item_ids, problems)
            problems.raise_any()
            assert artists is not None
            assert found is not None
            place = pc.index_in(found["artist"], value_set=one(artists["item_id"]))
            names = one(artists["title"]).take(one(place))
            items = found.set_column(2, "artist", as_category(names))
        return Raw(
            items=items.set_column(1, "title", as_text(items["title"])),
            events=events,
            users=people,
            dropped=dropped,
            rules={"items": kind, "order": "time, then the log's"},
        )


def _named(
    path: Path, names: tuple[str, ...], wanted: pa.Array | None, problems: Problems
) -> pa.Table | None:
    """The rows of a file of names whose ids are wanted; None where something is wrong."""
    columns = [Column(name, pa.string() if name == "title" else _ID) for name in names]
    found = [
        piece if wanted is None else piece.filter(pc.is_in(piece["item_id"], value_set=wanted))
        for piece in read_pieces(path, columns, problems, Layout(names=names, delimiter="\t"))
    ]
    if not found or len(problems):
        return None
    table = pa.concat_tables(found)
    if len(pc.unique(table["item_id"])) < table.num_rows:
        counts = pc.value_counts(one(table["item_id"]))
        again = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[:3].to_pylist()
        what = f"the ids {', '.join(map(str, again))} are there more than once"
        problems.add(path.name, what, "keep one of the rows")
        return None
    return table


class _Names:
    """The names that a log gives to what it names: the first one of each counts."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.parts: list[pa.Table] = []

    def add(self, ids: pa.Array, titles: pa.Array, artists: pa.Array) -> None:
        """The names of a piece of the log."""
        coded = ids.dictionary_encode()
        distinct = coded.dictionary.to_pylist()
        new = [place for place, each in enumerate(distinct) if each not in self.known]
        self.known.update(distinct[place] for place in new)
        _, first = np.unique(flat(coded.indices), return_index=True)
        rows = pa.array(first[new])
        columns = {"item_id": ids.take(rows), "title": titles.take(rows), "artist": artists.take(rows)}
        self.parts.append(pa.table(columns))

    def table(self, wanted: pa.Array, *, with_artist: bool) -> pa.Table:
        """Those that are wanted, as items, in the order in which the log names them."""
        table = pa.concat_tables(self.parts)
        table = table.filter(pc.is_in(table["item_id"], value_set=wanted))
        artist = table["artist"] if with_artist else pa.nulls(table.num_rows)
        columns = {"title": as_text(table["title"]), "artist": as_category(artist)}
        return pa.table({"item_id": one(table["item_id"]), **columns})
