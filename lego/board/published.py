"""The published results of the board, each with its source.

Numbers are as their sources print them, as fractions. A result is here only where its source was read; those that are known from
hearsay alone are left out. Nothing is filled in: what cannot be run has the reason instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from lego.board.row import Edition, Row
from lego.experiment import Training
from lego.spec import Task
from lego.task.ranking import Ranking
from lego.zoo import entries
from lego.zoo.table2 import ROWS as TABLE2

MINDDEMO: Final = Edition(
    name="MINDdemo",
    title="MINDdemo, 5,000 users of MIND-small",
    tested=7_538,
    note="MINDdemo_train and MINDdemo_dev as https://github.com/recommenders-team/recommenders downloads them; dev is tested",
    dev=0.05,
)
MINDSMALL: Final = Edition(
    name="MINDsmall",
    title="MIND-small",
    tested=73_152,
    note="MINDsmall_train and MINDsmall_dev from https://msnews.github.io; dev is tested",
    dev=0.05,
)
PAPER: Final = attrs.evolve(MINDSMALL, dev=0.1)

_NOTEBOOKS = "https://github.com/recommenders-team/recommenders/blob/main/examples/00_quick_start"
_POOL = "pool=Additive(hidden=200)"
_GLOVE = "reads={'title': 30}, tokens=GloVe('{glove}'), width=400"
_VALIDATED = (
    "the last 5 % of train choose the epoch here; the source trains on all of train and prints the last epoch"
)
_HELD = "nothing: the options of one configuration, one seed"


def _demo(
    name: str,
    model: str,
    numbers: tuple[float, float, float, float],
    text: str,
    differs: str = "",
    missing: str = "",
) -> Row:
    """A row of the notebooks of Microsoft's recommenders."""
    return Row(
        name=f"minddemo/{name}",
        model=model,
        edition=MINDDEMO,
        protocol="ms_recommenders",
        metrics=dict(zip(("gauc", "mrr_all", "ndcg@5", "ndcg@10"), numbers, strict=True)),
        seeds=1,
        source=f"{_NOTEBOOKS}/{name}_MIND.ipynb",
        read="the output of the notebook, after 5 epochs",
        tuning=_HELD,
        text=text,
        training=Training(epochs=5, batch_size=32, lr=1e-4),
        differs="; ".join(part for part in (_VALIDATED, differs) if part) if text else "",
        missing=missing,
    )


_DEMO = (
    _demo(
        "nrms",
        "NRMS (title)",
        (0.6127, 0.2697, 0.2912, 0.3625),
        f"Recommender(content=Attention(heads=20, dropout=0.2, {_POOL}), behavior=Attention(heads=20, dropout=0.2, {_POOL}), "
        f"predictor=Dot(), {_GLOVE})",
    ),
    _demo(
        "naml",
        "NAML (title, abstract, categories)",
        (0.6272, 0.2846, 0.3100, 0.3760),
        "zoo.naml(tokens=GloVe('{glove}'))",
        "categories are as wide as the model, not 100",
    ),
    _demo(
        "lstur",
        "LSTUR (ini, title)",
        (0.6462, 0.3031, 0.3349, 0.3983),
        f"Recommender(content=CNN(dropout=0.2, {_POOL}), behavior=LSTUR('ini', hidden=400), predictor=Dot(), {_GLOVE})",
    ),
    _demo(
        "npa",
        "NPA (title)",
        (0.6005, 0.2711, 0.2936, 0.3586),
        "",
        missing="an item has a vector for each user in it, which content operators here do not make",
    ),
)

_HUB = "https://huggingface.co/newsrex"
_NEWSREX = Training(epochs=20, batch_size=64, lr=1e-4, patience=5)


def _hub(
    name: str,
    model: str,
    numbers: tuple[float, float, float, float],
    spread: tuple[float, ...] = (),
    *,
    card: str = "",
    text: str = "",
    training: Training = _NEWSREX,
    differs: str = "",
    missing: str = "",
) -> Row:
    """A row of the models that NewsReX publishes."""
    names = ("gauc", "mrr_all", "ndcg@5", "ndcg@10")
    return Row(
        name=f"mind-small/{name}",
        model=model,
        edition=MINDSMALL,
        protocol="ms_recommenders",
        metrics=dict(zip(names, numbers, strict=True)),
        deviations=dict(zip(names, spread, strict=False)),
        seeds=3 if spread else 1,
        source=f"{_HUB}/{card}" if card else _HUB,
        read="the card of the model" if card else "a summary of the models' cards",
        tuning="not stated; one configuration for each model" if card else "not stated",
        text=text,
        training=training,
        differs=differs,
        missing=missing,
    )


_MIND_SMALL = (
    _hub(
        "crown",
        "CROWN",
        (0.6778, 0.3246, 0.3619, 0.4233),
        (0.0030, 0.0018, 0.0022, 0.0022),
        card="CROWN-JAX-MIND-small",
        missing="no operator here disentangles intents or passes messages over a graph of users and news",
    ),
    _hub(
        "digat",
        "DIGAT",
        (0.6760, 0.3245, 0.3594, 0.4220),
        (0.0021, 0.0021, 0.0035, 0.0027),
        card="DIGAT-JAX-MIND-small",
        missing="no operator here attends over a graph of similar news",
    ),
    _hub(
        "tccm",
        "TCCM",
        (0.6734, 0.3208, 0.3574, 0.4194),
        (0.0055, 0.0034, 0.0046, 0.0043),
        card="TCCM-JAX-MIND-small",
        missing="no model here answers to it",
    ),
    _hub(
        "caum",
        "CAUM",
        (0.6656, 0.3176, 0.3504, 0.4149),
        (0.0053, 0.0028, 0.0040, 0.0035),
        card="CAUM-PYTORCH-MIND-small",
        text="zoo.caum(tokens=GloVe('{glove}'))",
        training=Training(epochs=20, batch_size=64, lr=5e-5, clip=1.0, patience=5),
        differs="the entities of titles are left out here",
    ),
    _hub(
        "naml",
        "NAML",
        (0.6661, 0.3149, 0.3478, 0.4119),
        (0.0024,),
        text="zoo.naml(tokens=GloVe('{glove}'))",
        differs="options that the summary does not state are those of the model's paper",
    ),
    _hub(
        "nrms",
        "NRMS (token vectors of BERT)",
        (0.6614, 0.3135, 0.3469, 0.4096),
        text="zoo.nrms(tokens=PretrainedTokens('google-bert/bert-base-uncased'))",
        differs="options that the summary does not state are those of the model's paper",
    ),
    _hub(
        "pp-rec",
        "PP-Rec",
        (0.6681, 0.3302, 0.3692, 0.4272),
        text="zoo.pp_rec(tokens=GloVe('{glove}'))",
        differs="the entities of titles are left out here, and the attention over the history does not see how popular clicks "
        "were; options that the summary does not state are those of the model's paper",
    ),
)


def _paper_rows() -> tuple[Row, ...]:
    """Table 2 of the paper that the language comes from."""
    tasks: Mapping[str, Task] = {each.name: each.task for each in entries()}
    made = []
    for row in TABLE2:
        name = row.name.lower().replace(" + ", "-").replace(", ", "-").replace("_", "-").replace(" ", "-")
        published = tasks[row.entry]
        task: Task = Ranking(negatives=4) if isinstance(published, Ranking) else published
        made.append(
            Row(
                name=f"table2/{name}",
                model=row.name,
                edition=PAPER,
                protocol="legommenders",
                metrics={metric: round(value / 100, 6) for metric, value in row.metrics.items()},
                source="https://arxiv.org/abs/2412.15973",
                read="Table 2",
                tuning="not stated",
                text=row.text.replace("'llama.parquet'", "'{vectors}'"),
                task=task,
                training=Training(epochs=10, patience=2),
                differs="the last 10 % of train by time choose the epoch here, a tenth of its users there; options that the "
                "paper does not print are those of its code, or the defaults here",
                missing=f"wants {row.needs}" if row.needs else "",
            )
        )
    return tuple(made)


ROWS: Final[tuple[Row, ...]] = (*_DEMO, *_MIND_SMALL, *_paper_rows())
"""Every row, in the order of the page."""


def find(name: str) -> Row:
    """The row of a name; SpecError with a suggestion where there is none."""
    from lego.errors import SpecError, did_you_mean

    known = {row.name: row for row in ROWS}
    if name not in known:
        raise SpecError(f"The board has no row {name!r}. {did_you_mean(name, known)}`lego board` lists them.")
    return known[name]
