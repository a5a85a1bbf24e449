"""Small sets of right raw files for every source: a function each, that writes them below a folder and gives the source.

They are the rows that the tests of the source write by hand. A source without an entry here fails test_malformed.py.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lego import catalog
from lego.spec import Source

Factory = Callable[[Path], Source]


def _module(name: str) -> Any:
    return importlib.import_module(f"tests.data.source.test_{name}")


def _writer(name: str, folder: Path) -> Callable[..., Any]:
    """What the fixture `raw` of the tests of a source gives: a function that writes files."""
    module = _module(name)
    fixture = module.raw.__wrapped__
    if "folder" in inspect.signature(fixture).parameters:
        return fixture(module.folder.__wrapped__(folder))  # type: ignore[no-any-return]
    return fixture(folder)  # type: ignore[no-any-return]


def _made(name: str, kind: str, **options: Any) -> Factory:
    """The default files of a source's own tests, and what they are read with."""

    def factory(folder: Path) -> Source:
        written = _writer(name, folder)()
        return written if isinstance(written, Source) else catalog.load("source", kind)(written, **options)

    return factory


def _of(
    name: str, kind: str, files: Callable[[Any], dict[str, Any]], *, flat: bool, **options: Any
) -> Factory:
    """Files that the tests of a source name; `flat` where they are given as one dict."""

    def factory(folder: Path) -> Source:
        write, given = _writer(name, folder), files(_module(name))
        path = write(given) if flat else write(**given)
        return catalog.load("source", kind)(path, **options)  # type: ignore[no-any-return]

    return factory


def _netflix_probe(folder: Path) -> Source:
    module, write = _module("netflix"), _writer("netflix", folder)
    path = write(combined_data_1=module.blocks_of(module.RATED), probe=module.probe_of(module.PROBE))
    return catalog.load("source", "Netflix")(  # type: ignore[no-any-return]
        path, split="probe", negatives=2, candidates="uniform", minimum=3
    )


def _pens_written(folder: Path) -> Source:
    _writer("pens", folder)({"personalized_test.tsv": _module("pens").WRITTEN})
    return catalog.load("source", "PENS")(str(folder / "pens"), test="personalized", negatives=3)  # type: ignore[no-any-return]


def _mind_hidden(folder: Path) -> Source:
    return _writer("mind", folder / "mind")(_module("mind").HIDDEN, test="test")  # type: ignore[no-any-return]


def _ebnerd_hidden(folder: Path) -> Source:
    module = _module("ebnerd")
    changes = {**module.HIDDEN, "articles.parquet": module.EVERY_ARTICLE}
    return _writer("ebnerd", folder)(changes, test="test")  # type: ignore[no-any-return]


def _tables(folder: Path) -> Source:
    (folder / "items.csv").write_text(
        "item_id,title,year\n" + "".join(f'i{n},"Title, number {n}",{1990 + n}\n' for n in range(12)),
        encoding="utf-8",
    )
    (folder / "rows.csv").write_text(
        "user,item,time\n" + "".join(f"u{n % 3},i{n // 3},{1000 + n}\n" for n in range(24)), encoding="utf-8"
    )
    return catalog.load("source", "Tables")(str(folder / "items.csv"), rows=str(folder / "rows.csv"))  # type: ignore[no-any-return]


FACTORIES: dict[str, Factory] = {
    "Adressa": _made("adressa", "Adressa"),
    "Amazon": _of("amazon", "Amazon", lambda m: m.EDITIONS["2018"], flat=True),
    "Anime": _of("anime", "Anime", lambda m: {"anime": m.OLD, "rating": m.rated(*m.ROWS)}, flat=False),
    "BookCrossing": _made("book_crossing", "BookCrossing"),
    "EBNeRD": _made("ebnerd", "EBNeRD"),
    "Goodreads": _of("goodreads", "Goodreads", lambda m: m.GENRE, flat=True),
    "HM": _made("hm", "HM"),
    "HotelRec": _of("hotelrec", "HotelRec", lambda m: {"content": m.lines(m.REVIEWS)}, flat=False),
    "LastFM": _of(
        "lastfm",
        "LastFM",
        lambda m: {
            "artists": m.ARTISTS,
            "user_artists": m.PLAYS,
            "user_taggedartists": m.TAGGED,
            "tags": m.TAGS,
        },
        flat=False,
        order="file",
    ),
    "MIND": _made("mind", "MIND"),
    "MicroLens": _of(
        "microlens", "MicroLens", lambda m: {"pairs_csv": m.PAIRS, "titles_csv": m.TITLES}, flat=False
    ),
    "MovieLens": _made("movielens", "MovieLens"),
    "Netflix": _made("netflix", "Netflix"),
    "PENS": _made("pens", "PENS"),
    "POG": _made("pog", "POG"),
    "RecBench": _made("recbench", "RecBench"),
    "Steam": _of("steam", "Steam", lambda m: m.KAGGLE, flat=True),
    "Tables": _tables,
    "XMIND": _made("xmind", "XMIND"),
    "Yelp": _of("yelp", "Yelp", lambda m: m.FILES, flat=True),
}
"""By the name of the source."""


def _amazon(edition: str) -> Factory:
    return _of("amazon", "Amazon", lambda m: m.EDITIONS[edition], flat=True)


LAYOUTS: dict[str, Factory] = {
    "Amazon, cut": _of(
        "amazon",
        "Amazon",
        lambda m: {"meta_Toys.jsonl.gz": m.lines(m.META_2023)} | m.cut_2023(),
        flat=True,
        log="cut",
        minimum=3,
        candidates="uniform",
    ),
    "EBNeRD, test": _ebnerd_hidden,
    "MIND, test": _mind_hidden,
    "Netflix, probe": _netflix_probe,
    "PENS, personalized": _pens_written,
    "Steam, user reviews": _of(
        "steam", "Steam", lambda m: m.OPINIONS, flat=True, log="user_reviews", bundles=True, year=2016
    ),
}
"""Further layouts of these, of their own readers."""
MORE_LAYOUTS: dict[str, Factory] = {
    **{
        f"Amazon, {edition}": _amazon(edition) for edition in ("2014", "2014 ratings", "2018 ratings", "2023")
    },
    "Amazon, 2023 ratings": _amazon("2023 ratings"),
    "Steam, RecBench": _of("steam", "Steam", lambda m: m.RECBENCH, flat=True),
    "Steam, reviews": _of("steam", "Steam", lambda m: m.UCSD, flat=True),
    "Steam, library": _of("steam", "Steam", lambda m: m.OWNED, flat=True),
}
"""Those that are broken where time is no matter."""


def _movielens_100k(folder: Path) -> Source:
    module = _module("movielens")
    films = "".join(f"{m}|{title}|01-Jan-1995||u|{'|'.join('1' * 19)}\n" for m, title, _ in module.FILMS)
    data = "".join("\t".join(map(str, row)) + "\n" for row in module.LIKES)
    people = "1|24|M|technician|85711\n2|53|F|other|T8H1N\n3|23|M|writer|32067\n"
    path = module.older.__wrapped__(folder)(u_item=films, u_data=data, u_user=people)
    return catalog.load("source", "MovieLens")(path)  # type: ignore[no-any-return]


def _movielens_1m(folder: Path) -> Source:
    module = _module("movielens")
    films, likes, people = map(module.dat, (module.FILMS, module.LIKES, module.PEOPLE))
    path = module.older.__wrapped__(folder)(movies_dat=films, ratings_dat=likes, users_dat=people)
    return catalog.load("source", "MovieLens")(path)  # type: ignore[no-any-return]


def _lastfm_1k(folder: Path) -> Source:
    path = _module("lastfm").thousand.__wrapped__(folder)()
    return catalog.load("source", "LastFM")(path, negatives=1)  # type: ignore[no-any-return]


def _pog_translated(folder: Path) -> Source:
    module, path = _module("pog"), _writer("pog", folder)()
    table = folder / "titles.csv"
    table.write_text(f"item_id,title_en\n{module.IDS[1]},Dress\n", encoding="utf-8")
    return catalog.load("source", "POG")(path, negatives=3, translations=table)  # type: ignore[no-any-return]


RICH_LAYOUTS: dict[str, Factory] = {
    "Anime, 2020": _of(
        "anime",
        "Anime",
        lambda m: {"anime": m.LATER, "anime_with_synopsis": m.TOLD, "rating_complete": m.rated(*m.ROWS)},
        flat=False,
    ),
    "BookCrossing, users": _of("book_crossing", "BookCrossing", lambda m: {"users": m.USERS}, flat=False),
    "Goodreads, whole": _of("goodreads", "Goodreads", lambda m: m.WHOLE, flat=True),
    "Goodreads, once": _of("goodreads", "Goodreads", lambda m: m.ONCE, flat=True),
    "HM, customers": _of("hm", "HM", lambda m: {"customers": m.CUSTOMERS}, flat=False),
    "LastFM, 1K": _lastfm_1k,
    "MicroLens, views": _of(
        "microlens",
        "MicroLens",
        lambda m: {"pairs_csv": m.PAIRS, "titles_csv": m.TITLES, "likes_and_views_txt": "1\t10\t200\n"},
        flat=False,
    ),
    "MovieLens, 100K": _movielens_100k,
    "MovieLens, 1M": _movielens_1m,
    "POG, translated": _pog_translated,
}
"""Those that have what the others lack: with these, every column that a source may hold is there in one of them."""
