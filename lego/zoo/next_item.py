"""Models of the next item: the order of what a user did tells what comes."""

from __future__ import annotations

from lego.behavior.poly_attention import PolyAttention
from lego.behavior.user_id import UserID
from lego.content.item_id import ItemID
from lego.content.semantic_id import SemanticID
from lego.content.whitened_experts import WhitenedExperts
from lego.predictor.cosine import Cosine
from lego.predictor.dnn import DNN
from lego.predictor.dot import Dot
from lego.predictor.interest_attention import InterestAttention
from lego.recommender import Recommender
from lego.sequence.concat import Concat
from lego.sequence.gru import GRU
from lego.sequence.hstu import HSTU
from lego.sequence.last import Last
from lego.sequence.mean import Mean
from lego.sequence.transformer import Transformer
from lego.task.cosine_contrastive import CosineContrastive
from lego.task.gbce import GBCE
from lego.task.matching import Matching
from lego.task.pairwise import Pairwise
from lego.task.ranking import Ranking
from lego.zoo.entry import DROPOUT, HEADS, HIDDEN, PERCEPTRON, WIDTH, Setting, published


@published(
    paper="Hidasi et al. 2016",
    url="https://arxiv.org/abs/1511.06939",
    task=Pairwise(negatives=4, source="popularity"),
    reads="item ids",
)
def gru4rec(*, setting: Setting = "paper") -> Recommender:
    """GRU4Rec. From its paper: one layer of 100 units, a pairwise loss, negatives that are as popular as clicks are."""
    width = 100 if setting == "paper" else WIDTH
    return Recommender(ItemID(), GRU(hidden=width), Dot(), width=width)


@published(
    paper="Kang and McAuley 2018",
    url="https://arxiv.org/abs/1808.09781",
    task=GBCE(calibration=0, negatives=1),
    reads="item ids",
)
def sasrec(*, setting: Setting = "paper") -> Recommender:
    """SASRec. From its paper: 2 layers of one head, 50 wide inside and out, dropout 0.2 (its MovieLens).

    Its loss is the cross-entropy of a click and of one negative of the whole catalog. The paper trains on every place of a
    history at once, here each click has its own history.
    """
    user = (
        Transformer(layers=2, heads=1, feed_forward=1, causal=True, dropout=0.2, pool=Last())
        if setting == "paper"
        else Transformer(layers=2, heads=HEADS, causal=True, dropout=DROPOUT, pool=Last())
    )
    return Recommender(ItemID(), user, Dot(), width=50 if setting == "paper" else WIDTH)


@published(
    paper="Petrov and Macdonald 2023",
    url="https://arxiv.org/abs/2308.07192",
    task=GBCE(calibration=0.75, negatives=256),
    reads="item ids",
)
def gsasrec(*, setting: Setting = "paper") -> Recommender:
    """gSASRec: `sasrec`, of the same sizes here, with many negatives and a loss that keeps it from being too sure of clicks."""
    return sasrec(setting=setting)


@published(
    paper="Zhai et al. 2024",
    url="https://arxiv.org/abs/2402.17152",
    task=Matching(negatives=128, source="uniform"),
    reads="item ids",
)
def hstu(*, setting: Setting = "paper", times: bool = False) -> Recommender:
    """HSTU. From its paper: the sizes of SASRec (2 layers of one head, 50 wide, dropout 0.2) and 128 negatives.

    `times=True` reads the times of clicks, as its paper does, and needs data that has them.
    """
    if setting == "table2":
        user = HSTU(layers=2, heads=HEADS, times=times, dropout=DROPOUT, pool=Last())
        return Recommender(ItemID(), user, Dot(), width=WIDTH)
    user = HSTU(layers=2, heads=1, times=times, dropout=0.2, pool=Last())
    return Recommender(ItemID(), user, Dot(), width=50)


@published(
    paper="Cen et al. 2020",
    url="https://arxiv.org/abs/2005.09347",
    task=Matching(negatives=10, source="uniform"),
    reads="item ids",
)
def comirec(*, setting: Setting = "paper") -> Recommender:
    """ComiRec, with self-attention: several interests a user, the best of which scores.

    From its paper: 4 interests, 64 wide, codes of 256, 10 negatives for each click.
    """
    if setting == "table2":
        user = PolyAttention(interests=4, hidden=HIDDEN, disagreement=0)
        return Recommender(ItemID(), user, InterestAttention(score="max"), width=WIDTH)
    user = PolyAttention(interests=4, hidden=256, disagreement=0)
    return Recommender(ItemID(), user, InterestAttention(score="max"), width=64)


@published(
    paper="Mao et al. 2021",
    url="https://arxiv.org/abs/2109.12317",
    task=CosineContrastive(),
    reads="item ids, users",
)
def simplex(*, setting: Setting = "paper") -> Recommender:
    """SimpleX: the mean of the history and a vector of the user, compared by the cosine. From its paper: 64 wide.

    The paper weighs the two by one number, after a linear layer over the mean; here they are joined by a linear layer.
    """
    user = Concat(Mean(), UserID(dropout=0 if setting == "paper" else DROPOUT))
    width = 64 if setting == "paper" else WIDTH
    return Recommender(ItemID(), user, Cosine(temperature=1), width=width)


@published(
    paper="Hou et al. 2022",
    url="https://arxiv.org/abs/2206.05941",
    task=Matching(source="batch"),
    reads="vectors",
    vectors="vectors.parquet",
)
def unisrec(*, vectors: str, setting: Setting = "paper") -> Recommender:
    """UniSRec: vectors of text, whitened by a mixture of experts, and a Transformer over the history.

    From its paper: 8 experts, dropout 0.2 over the vectors, 2 layers of 2 heads, 300 wide, temperature 0.07, negatives
    from the batch. It is pretrained on other data first, which is left out.
    """
    content = WhitenedExperts(vectors, experts=8, dropout=0.2)
    if setting == "table2":
        user = Transformer(layers=2, heads=HEADS, causal=True, dropout=DROPOUT, pool=Last())
        return Recommender(content, user, Cosine(temperature=0.07), width=WIDTH)
    user = Transformer(layers=2, heads=2, feed_forward=1, causal=True, dropout=0.5, pool=Last())
    return Recommender(content, user, Cosine(temperature=0.07), width=300)


@published(
    paper="Hou et al. 2023",
    url="https://arxiv.org/abs/2210.12316",
    task=Matching(source="batch"),
    reads="vectors",
    vectors="vectors.parquet",
)
def vq_rec(*, vectors: str, setting: Setting = "paper") -> Recommender:
    """VQ-Rec: vectors of text cut into pieces, each replaced by a code, and a Transformer over the history.

    From its paper: 32 pieces of 256 codes, 2 layers of 2 heads, 300 wide, temperature 0.07. Its pretraining is left out.
    """
    content = SemanticID(vectors, levels=32, codes=256, kind="product")
    if setting == "table2":
        user = Transformer(layers=2, heads=HEADS, causal=True, dropout=DROPOUT, pool=Last())
        return Recommender(content, user, Cosine(temperature=0.07), width=WIDTH)
    user = Transformer(layers=2, heads=2, feed_forward=1, causal=True, dropout=0.5, pool=Last())
    return Recommender(content, user, Cosine(temperature=0.07), width=300)


@published(
    paper="Singh et al. 2023",
    url="https://arxiv.org/abs/2306.08121",
    task=Ranking(),
    reads="vectors",
    vectors="vectors.parquet",
)
def semantic_ids(*, vectors: str, setting: Setting = "paper") -> Recommender:
    """Ranking by semantic ids: residual codes of ready-made vectors instead of ids, so that alike items learn from each other.

    The paper prints no sizes for its ranking model; 3 levels of 256 codes are those of TIGER
    (https://arxiv.org/abs/2305.05065), whose generation of ids is left out; the rest is lego's.
    """
    content = SemanticID(vectors, levels=3, codes=256)
    if setting == "table2":
        return Recommender(content, Mean(), DNN(hidden=PERCEPTRON, dropout=DROPOUT), width=WIDTH)
    return Recommender(content, Mean(), DNN(), width=64)
