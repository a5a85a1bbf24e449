"""Models of news: what an item says, and what a user clicked.

In their papers words start from GloVe vectors 300 wide: `tokens=GloVe("glove.6B.300d.txt")`. Unless told, they are learned here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lego.behavior.caum import CAUM
from lego.behavior.cen_news_rec import CenNewsRec
from lego.behavior.flat import Flat
from lego.behavior.lstur import LSTUR
from lego.behavior.mins import MINS
from lego.content.embedding import Embedding
from lego.content.item_id import ItemID
from lego.content.lookup import Lookup
from lego.content.topic_aware import TopicAware
from lego.content.views import Views
from lego.predictor.dot import Dot
from lego.predictor.popularity_aware import PopularityAware
from lego.recommender import Recommender
from lego.sequence.additive import Additive
from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.concat import Concat
from lego.sequence.fastformer import Fastformer
from lego.sequence.gru import GRU
from lego.sequence.mean import Mean
from lego.sequence.transformer import Transformer
from lego.spec import Content, Tokens
from lego.task.matching import Matching
from lego.task.supervised_contrastive import SupervisedContrastive
from lego.zoo.entry import DROPOUT, HEADS, HIDDEN, WIDTH, Setting, published, title

Reads = Mapping[str, int]
ABSTRACT = 50
"""Tokens that are read of a text that is not a title."""


@published(paper="Liu et al. 2025", url="https://arxiv.org/abs/2412.15973", task=Matching(), reads="item ids")
def naml_id(*, setting: Setting = "table2") -> Recommender:
    """NAML with a vector per item instead of its news encoder, the baseline of Table 2; it has no numbers of its own."""
    return Recommender(ItemID(), Additive(hidden=HIDDEN), Dot(), width=WIDTH)


@published(
    paper="Wu et al. 2019",
    url="https://arxiv.org/abs/1907.05576",
    task=Matching(),
    reads="title, abstract, category, subcategory",
)
def naml(
    *,
    setting: Setting = "paper",
    texts: tuple[str, ...] = ("title", "abstract"),
    categories: tuple[str, ...] = ("category", "subcategory"),
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """NAML: convolutions over texts, tables of categories, additive attention over these views and over the history.

    From its paper: 400 filters over 3 words, queries of width 200, dropout 0.2, 4 negatives. Its categories are 100 wide; here
    they are as wide as the model. In Table 2 it has one view, the attributes of `reads` behind one another.
    """
    if setting == "table2":
        pool = Additive(hidden=HIDDEN)
        content: Content = CNN(dropout=DROPOUT, pool=pool)
        return Recommender(content, pool, Dot(), reads=reads, tokens=tokens, width=WIDTH)
    pool = Additive(hidden=200)
    views = _views(CNN(dropout=0.2, pool=pool), texts, Lookup(project=True), categories, pool=pool)
    return Recommender(views, pool, Dot(), reads=reads or _budgets(texts), tokens=tokens, width=400)


@published(paper="Wu et al. 2019", url="https://aclanthology.org/D19-1671", task=Matching(), reads="title")
def nrms(
    *, setting: Setting = "paper", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """NRMS: multi-head self-attention and additive attention over words, and the same over the history.

    From its paper: 16 heads of 16, queries of width 200, dropout 0.2 over words, 4 negatives.
    """
    if setting == "table2":
        both = _attention()
        return Recommender(both, both, Dot(), reads=reads, tokens=tokens, width=WIDTH)
    pool = Additive(hidden=200)
    return Recommender(
        Attention(heads=16, dropout=0.2, pool=pool),
        Attention(heads=16, dropout=0, pool=pool),
        Dot(),
        reads=title(setting, reads),
        tokens=tokens,
        width=256,
    )


@published(
    paper="An et al. 2019",
    url="https://aclanthology.org/P19-1033",
    task=Matching(),
    reads="title, category, subcategory, users",
)
def lstur(
    *,
    setting: Setting = "paper",
    kind: Literal["ini", "con"] = "ini",
    categories: tuple[str, ...] = ("category", "subcategory"),
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """LSTUR: titles by a convolution, joined with their topics; a GRU over recent clicks that knows who the user is.

    From its paper: 300 filters over 3 words, queries of width 200, dropout 0.2, long-term vectors dropped at 0.5, 4 negatives.
    Title and topics are joined by a linear layer, so that items keep the width of 300.
    """
    if setting == "table2":
        words = CNN(dropout=DROPOUT, pool=Additive(hidden=HIDDEN))
        return Recommender(words, LSTUR(kind, hidden=WIDTH), Dot(), reads=reads, tokens=tokens, width=WIDTH)
    words = CNN(dropout=0.2, pool=Additive(hidden=200))
    return Recommender(
        _joined(words, categories),
        LSTUR(kind, hidden=300),
        Dot(),
        reads=title(setting, reads),
        tokens=tokens,
        width=300,
    )


@published(
    paper="Wu et al. 2019", url="https://aclanthology.org/P19-1110", task=Matching(), reads="title, category"
)
def tanr(
    *,
    setting: Setting = "paper",
    category: str = "category",
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """TANR: titles by a convolution that must also tell the topic, additive attention over the history.

    From its paper: 400 filters over 3 words, queries of width 200, dropout 0.2, a weight of 0.2 for the topics, 4 negatives.
    """
    paper = setting == "paper"
    pool = Additive(hidden=200 if paper else HIDDEN)
    content = TopicAware(CNN(dropout=0.2 if paper else DROPOUT, pool=pool), label=category, weight=0.2)
    width = 400 if paper else WIDTH
    return Recommender(content, pool, Dot(), reads=title(setting, reads), tokens=tokens, width=width)


@published(
    paper="Qi et al. 2020",
    url="https://aclanthology.org/2020.findings-emnlp.128",
    task=Matching(),
    reads="title",
)
def cen_news_rec(
    *, setting: Setting = "paper", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """CenNewsRec, the model of FedNewsRec trained in one place: convolution, then attention over words; a long and a short term.

    From its paper: 20 heads of 20, the 20 latest clicks for the short term, queries of width 200, dropout 0.2, 4 negatives.
    """
    heads, hidden, dropout, width = (20, 200, 0.2, 400) if setting == "paper" else _UNIFORM
    words = Attention(heads=heads, dropout=dropout, pool=Additive(hidden=hidden))
    return Recommender(
        CNN(dropout=dropout, pool=None) >> words,
        CenNewsRec(recent=20, heads=heads, hidden=hidden, dropout=dropout),
        Dot(),
        reads=title(setting, reads),
        tokens=tokens,
        width=width,
    )


@published(
    paper="Wang et al. 2022",
    url="https://arxiv.org/abs/2207.07331",
    task=Matching(),
    reads="title, abstract, category",
)
def mins(
    *,
    setting: Setting = "paper",
    texts: tuple[str, ...] = ("title", "abstract"),
    categories: tuple[str, ...] = ("category",),
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """MINS: attention over the words of each text, additive attention over the views, and GRUs side by side over the history.

    15 heads of 20, 6 channels, queries of width 200 and dropout 0.2 are those of NewsRecLib's configuration of it. In Table 2's
    setting it has one view and 4 channels.
    """
    heads, hidden, dropout, width = (15, 200, 0.2, 300) if setting == "paper" else _UNIFORM
    pool = Additive(hidden=hidden)
    words = Attention(heads=heads, dropout=dropout, pool=pool)
    paper = setting == "paper"
    return Recommender(
        _views(words, texts, Lookup(), categories, pool=pool) if paper else words,
        MINS(channels=6 if paper else 4, heads=heads, hidden=hidden, dropout=dropout),
        Dot(),
        reads=reads or (_budgets(texts) if paper else None),
        tokens=tokens,
        width=width,
    )


@published(
    paper="Qi et al. 2022", url="https://arxiv.org/abs/2204.04726", task=Matching(), reads="title, category"
)
def caum(
    *,
    setting: Setting = "paper",
    categories: tuple[str, ...] = ("category",),
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """CAUM: attention over words, joined with the topic; the user as each candidate sees it. The paper's entities are left out.

    From its paper: 20 heads of 20 and windows of 3 clicks; queries of width 200, a pooling perceptron of 256 and dropout 0.2 are
    those of NewsRecLib's configuration.
    """
    heads, hidden, dropout, width = (20, 200, 0.2, 400) if setting == "paper" else _UNIFORM
    words = Attention(heads=heads, dropout=dropout, pool=Additive(hidden=hidden))
    return Recommender(
        _joined(words, categories) if setting == "paper" else words,
        CAUM(heads=heads, kernel=3, attention=256, dropout=dropout),
        Dot(),
        reads=title(setting, reads),
        tokens=tokens,
        width=width,
    )


@published(paper="Wu et al. 2021", url="https://arxiv.org/abs/2108.09084", task=Matching(), reads="title")
def fastformer(
    *, setting: Setting = "paper", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """Fastformer over words and over the history.

    From its paper: 2 layers, 16 heads of 16, queries of width 200, dropout 0.2, 4 negatives. The one layer of Table 2's setting
    is that of the configuration in the code of its authors.
    """
    if setting == "table2":
        both = Fastformer(layers=1, heads=HEADS, dropout=DROPOUT, pool=Additive(hidden=HIDDEN))
    else:
        both = Fastformer(layers=2, heads=16, dropout=0.2, pool=Additive(hidden=200))
    return Recommender(both, both, Dot(), reads=title(setting, reads), tokens=tokens, width=256)


@published(
    paper="Okura et al. 2017",
    url="https://doi.org/10.1145/3097983.3098108",
    task=Matching(negatives=1),
    reads="title, or vectors",
)
def ebnr(
    *,
    setting: Setting = "paper",
    vectors: str | None = None,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """EBNR: a GRU over the vectors of the clicked articles, and an inner product.

    In its paper a denoising autoencoder makes the vectors before: `vectors="articles.parquet"` reads such a file. Without one, an
    item is the mean of its words. The width of its own setting is lego's.
    """
    width = WIDTH if setting == "table2" else 64
    content: Content = Mean() if vectors is None else Embedding(vectors)
    return Recommender(
        content, GRU(hidden=width), Dot(), reads=title(setting, reads), tokens=tokens, width=width
    )


@published(
    paper="Iana et al. 2023",
    url="https://arxiv.org/abs/2304.03112",
    task=SupervisedContrastive(),
    reads="title",
)
def late_fusion(
    *,
    setting: Setting = "paper",
    content: Content | None = None,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Late fusion: no user encoder at all. The mean of the scores with each click is the score with the mean of the clicks.

    Any news encoder stands below it; unless told, that of NRMS. The paper trains it with a supervised contrastive loss.
    """
    encoder = content or nrms(setting=setting).content
    return Recommender(encoder, Mean(), Dot(), reads=title(setting, reads), tokens=tokens, width=256)


@published(paper="Liu et al. 2025", url="https://arxiv.org/abs/2412.15973", task=Matching(), reads="text")
def flat_transformer(
    *, setting: Setting = "table2", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """The tokens of the whole history in one Transformer, of one layer as in the code of the paper. It has no other numbers."""
    user = Flat(Transformer(layers=1, heads=HEADS, dropout=DROPOUT, pool=Additive(hidden=HIDDEN)))
    return Recommender(Mean(), user, Dot(), reads=reads, tokens=tokens, width=WIDTH)


@published(paper="Liu et al. 2025", url="https://arxiv.org/abs/2412.15973", task=Matching(), reads="text")
def flat_fastformer(
    *, setting: Setting = "table2", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """The tokens of the whole history in one Fastformer, of 3 layers as in the code of the paper. It has no other numbers."""
    user = Flat(Fastformer(layers=3, heads=HEADS, dropout=DROPOUT, pool=Additive(hidden=HIDDEN)))
    return Recommender(Mean(), user, Dot(), reads=reads, tokens=tokens, width=WIDTH)


_UNIFORM = (HEADS, HIDDEN, DROPOUT, WIDTH)


def _attention() -> Attention:
    return Attention(heads=HEADS, dropout=DROPOUT, pool=Additive(hidden=HIDDEN))


def _views(
    text: Content, texts: tuple[str, ...], category: Content, categories: tuple[str, ...], **options: Any
) -> Views:
    """A view for each text and for each category."""
    views: dict[str, Any] = {**dict.fromkeys(texts, text), **dict.fromkeys(categories, category)}
    return Views(**views, **options)


def _joined(words: Content, categories: tuple[str, ...]) -> Content:
    """The vector of the words, joined with one of each category."""
    return Concat(words, *(Lookup(each) for each in categories)) if categories else words


def _budgets(texts: tuple[str, ...]) -> dict[str, int]:
    """Tokens that are read of each text: 30 of a title, 50 of another."""
    return {each: 30 if each == "title" else ABSTRACT for each in texts}


@published(
    paper="Qi et al. 2021",
    url="https://arxiv.org/abs/2106.01300",
    task=Matching(),
    reads="title, times of impressions",
)
def pp_rec(
    *,
    setting: Setting = "paper",
    popularity: str = "past_rate",
    recency: str = "past_age",
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """PP-Rec: self-attention over words and over the history, and how popular and how old the candidate is beside interest.

    From its paper: 20 heads of 20, dropout 0.2, 4 negatives. Here news have no entities, and the attention over the history does
    not see how popular the clicks were.
    """
    predictor = PopularityAware(Dot(), popularity=popularity, recency=recency)
    if setting == "table2":
        both = _attention()
        return Recommender(both, both, predictor, reads=reads, tokens=tokens, width=WIDTH)
    pool = Additive(hidden=200)
    return Recommender(
        Attention(heads=20, dropout=0.2, pool=pool),
        Attention(heads=20, dropout=0.2, pool=pool),
        predictor,
        reads=title(setting, reads),
        tokens=tokens,
        width=400,
    )
