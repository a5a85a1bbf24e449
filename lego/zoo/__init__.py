"""Published models by name: `zoo.nrms()`, in expressions too.

Each function returns a `Recommender`. `setting="paper"` has the numbers of the model's own paper, as far as it prints them;
`setting="table2"` the same width, heads and dropout for every model, so that they differ in their operators alone.
`zoo.entries()` lists them, with paper and task; `zoo.OMITTED` says which the contract does not admit, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lego.errors import CatalogError, did_you_mean
from lego.recommender import Recommender
from lego.zoo.click import (
    autoint,
    bst,
    dcn,
    dcn_text,
    dcn_v2,
    dcn_v3,
    deep_fm,
    dien,
    din,
    din_text,
    eta,
    euler_net,
    fibinet,
    final_mlp,
    final_net,
    gdcn,
    masknet,
    pnn,
    rank_mixer,
    sim,
    wide_deep,
    wukong,
    x_deep_fm,
    youtube_dnn,
)
from lego.zoo.entry import Entry, Setting, listed
from lego.zoo.language import dire, dire_decoupled, miner, once, plm_nr
from lego.zoo.news import (
    caum,
    cen_news_rec,
    ebnr,
    fastformer,
    flat_fastformer,
    flat_transformer,
    late_fusion,
    lstur,
    mins,
    naml,
    naml_id,
    nrms,
    pp_rec,
    tanr,
)
from lego.zoo.next_item import comirec, gru4rec, gsasrec, hstu, sasrec, semantic_ids, simplex, unisrec, vq_rec
from lego.zoo.omitted import OMITTED
from lego.zoo.table2 import ROWS, Row

__all__ = [
    "OMITTED",
    "ROWS",
    "Entry",
    "Row",
    "Setting",
    "autoint",
    "bst",
    "caum",
    "cen_news_rec",
    "comirec",
    "dcn",
    "dcn_text",
    "dcn_v2",
    "dcn_v3",
    "deep_fm",
    "dien",
    "din",
    "din_text",
    "dire",
    "dire_decoupled",
    "ebnr",
    "entries",
    "eta",
    "euler_net",
    "fastformer",
    "fibinet",
    "final_mlp",
    "final_net",
    "find",
    "flat_fastformer",
    "flat_transformer",
    "gdcn",
    "gru4rec",
    "gsasrec",
    "hstu",
    "late_fusion",
    "lstur",
    "masknet",
    "miner",
    "mins",
    "naml",
    "naml_id",
    "nrms",
    "once",
    "plm_nr",
    "pnn",
    "pp_rec",
    "rank_mixer",
    "sasrec",
    "semantic_ids",
    "sim",
    "simplex",
    "tanr",
    "unisrec",
    "vq_rec",
    "wide_deep",
    "wukong",
    "x_deep_fm",
    "youtube_dnn",
]


def entries() -> tuple[Entry, ...]:
    """Every model of the zoo, by name."""
    return tuple(entry for _, entry in sorted(listed().items()))


def find(name: str) -> Callable[..., Recommender]:
    """The function of a name; CatalogError with a suggestion, or with the reason where the contract does not admit the model."""
    if name in listed():
        return listed()[name].function
    raise CatalogError(_unknown(name))


def _unknown(name: str) -> str:
    if name in OMITTED:
        return f"zoo.{name} is not there. {OMITTED[name]}"
    return f"The zoo has no model {name!r}. {did_you_mean(name, listed())}See the page on the zoo for all of them."


def __getattr__(name: str) -> Any:
    raise AttributeError(_unknown(name))
