"""Models of click prediction: a vector per item or the mean of its words, the mean of the history, and a predictor over fields.

In their papers fields are categorical attributes, so in their own setting each attribute of item and user is a field beside the
user vector and the item vector (`fields="attributes"`); in Table 2's there are the two vectors alone. `text=True` reads the words
of an item (their mean, as in Table 2) instead of its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lego.behavior.bst import BST
from lego.behavior.history import History
from lego.behavior.long_history import LongHistory
from lego.content.item_id import ItemID
from lego.predictor.auto_int import AutoInt
from lego.predictor.dcn import DCN
from lego.predictor.dcn_v2 import DCNv2
from lego.predictor.dcn_v3 import DCNv3
from lego.predictor.deep_fm import DeepFM
from lego.predictor.dien import DIEN
from lego.predictor.din import DIN
from lego.predictor.dnn import DNN
from lego.predictor.euler_net import EulerNet
from lego.predictor.fibinet import FiBiNET
from lego.predictor.final_mlp import FinalMLP
from lego.predictor.final_net import FinalNet
from lego.predictor.gdcn import GDCN
from lego.predictor.masknet import MaskNet
from lego.predictor.pnn import PNN
from lego.predictor.rank_mixer import RankMixer
from lego.predictor.wide_deep import WideDeep
from lego.predictor.wukong import WuKong
from lego.predictor.x_deep_fm import xDeepFM
from lego.recommender import Recommender
from lego.sequence.mean import Mean
from lego.spec import Behavior, Predictor, Tokens
from lego.task.ranking import Ranking
from lego.zoo.entry import DROPOUT, HEADS, PERCEPTRON, WIDTH, Setting, published

Reads = Mapping[str, int]
IDS = "item ids, or text"


@published(paper="Wang et al. 2017", url="https://arxiv.org/abs/1708.05123", task=Ranking(), reads=IDS)
def dcn(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Deep & Cross Network. From its paper: 6 cross layers beside a perceptron of 1024, 1024, without dropout.

    The three cross layers of Table 2's setting are those of the code of that paper.
    """
    if setting == "table2":
        return _model(DCN(cross=3, hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    predictor = DCN(cross=6, hidden=(1024, 1024), dropout=0, fields="attributes")
    return _model(predictor, 64, text, reads, tokens)


@published(paper="Liu et al. 2025", url="https://arxiv.org/abs/2412.15973", task=Ranking(), reads="text")
def dcn_text(
    *, setting: Setting = "paper", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """Deep & Cross Network over the mean of an item's words: `zoo.dcn(text=True)`."""
    return dcn(setting=setting, text=True, reads=reads, tokens=tokens)


@published(paper="Zhou et al. 2018", url="https://arxiv.org/abs/1706.06978", task=Ranking(), reads=IDS)
def din(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Deep Interest Network. From its paper: 36 units to weigh a click, a perceptron of 200, 80. The width is lego's.

    The 64 units of Table 2's setting are those of the code of that paper.
    """
    if setting == "table2":
        predictor = DIN(attention=(64,), hidden=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens, History())
    predictor = DIN(attention=(36,), hidden=(200, 80), dropout=0)
    return _model(predictor, 64, text, reads, tokens, History())


@published(paper="Liu et al. 2025", url="https://arxiv.org/abs/2412.15973", task=Ranking(), reads="text")
def din_text(
    *, setting: Setting = "paper", reads: Reads | None = None, tokens: Tokens | None = None
) -> Recommender:
    """Deep Interest Network over the mean of an item's words: `zoo.din(text=True)`."""
    return din(setting=setting, text=True, reads=reads, tokens=tokens)


@published(paper="Zhou et al. 2019", url="https://arxiv.org/abs/1809.03672", task=Ranking(), reads=IDS)
def dien(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Deep Interest Evolution Network. A perceptron of 200, 80 and a weight of 1 for the next click, as its authors have it.

    The width is lego's.
    """
    if setting == "table2":
        predictor = DIEN(hidden=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens, History())
    predictor = DIEN(next_item=1, hidden=(200, 80), dropout=0)
    return _model(predictor, 64, text, reads, tokens, History())


@published(paper="Chen et al. 2019", url="https://arxiv.org/abs/1905.06874", task=Ranking(), reads=IDS)
def bst(
    *,
    setting: Setting = "paper",
    times: bool = False,
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Behavior Sequence Transformer. `times=True` reads the times of clicks, as its paper does, and needs data that has them.

    From its paper: one layer of 8 heads, all places joined, a perceptron of 1024, 512, 256, dropout 0.2. The width is lego's.
    """
    if setting == "table2":
        behavior = BST(layers=1, heads=HEADS, times=times, dropout=DROPOUT)
        return _model(DNN(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens, behavior)
    behavior = BST(layers=1, heads=8, times=times, output="all", dropout=0.2)
    predictor = DNN(hidden=(1024, 512, 256), dropout=0.2)
    return _model(predictor, 64, text, reads, tokens, behavior)


@published(
    paper="Pi et al. 2020", url="https://arxiv.org/abs/2006.05639", task=Ranking(), reads="item ids, category"
)
def sim(
    *,
    setting: Setting = "paper",
    select: Literal["category", "similarity", "hash"] = "category",
    category: str = "category",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Search-based Interest Model: the candidate looks for the clicks that matter to it, then attends over those alone.

    From its paper: the hard search, by category, and a perceptron of 200, 80. How many clicks are kept, the heads and the width
    are lego's.
    """
    if setting == "table2":
        behavior = LongHistory(select=select, heads=HEADS, dropout=DROPOUT, category=category)
        return _model(DNN(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens, behavior)
    behavior = LongHistory(select=select, dropout=0, category=category)
    return _model(DNN(hidden=(200, 80), dropout=0), 64, text, reads, tokens, behavior)


@published(paper="Chen et al. 2021", url="https://arxiv.org/abs/2108.04468", task=Ranking(), reads=IDS)
def eta(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """ETA: as `sim`, but clicks are found by the signs of random projections. The numbers are those of `sim`."""
    return sim(setting=setting, select="hash", text=text, reads=reads, tokens=tokens)


@published(
    paper="Covington et al. 2016", url="https://doi.org/10.1145/2959100.2959190", task=Ranking(), reads=IDS
)
def youtube_dnn(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """The ranking network of YouTube: the mean of what was watched, and a perceptron of 1024, 512, 256 from its paper.

    The paper weighs clicks by the time watched, which is left out here. The width is lego's.
    """
    if setting == "table2":
        return _model(DNN(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    predictor = DNN(hidden=(1024, 512, 256), dropout=0, fields="attributes")
    return _model(predictor, 64, text, reads, tokens)


@published(paper="Cheng et al. 2016", url="https://arxiv.org/abs/1606.07792", task=Ranking(), reads=IDS)
def wide_deep(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Wide & deep. From its paper: a perceptron of 1024, 512, 256 over vectors 32 wide."""
    if setting == "table2":
        return _model(WideDeep(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    predictor = WideDeep(hidden=(1024, 512, 256), dropout=0, fields="attributes")
    return _model(predictor, 32, text, reads, tokens)


@published(paper="Guo et al. 2017", url="https://arxiv.org/abs/1703.04247", task=Ranking(), reads=IDS)
def deep_fm(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """DeepFM. From its paper: a perceptron of 400, 400, 400 with dropout 0.5 over vectors 10 wide."""
    if setting == "table2":
        return _model(DeepFM(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    predictor = DeepFM(hidden=(400, 400, 400), dropout=0.5, fields="attributes")
    return _model(predictor, 10, text, reads, tokens)


@published(paper="Qu et al. 2016", url="https://arxiv.org/abs/1611.00144", task=Ranking(), reads=IDS)
def pnn(
    *,
    setting: Setting = "paper",
    product: Literal["inner", "outer"] = "inner",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Product-based network. From its paper: vectors 10 wide, dropout 0.5. The perceptron is lego's."""
    if setting == "table2":
        predictor = PNN(product=product, hidden=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens)
    return _model(PNN(product=product, dropout=0.5, fields="attributes"), 10, text, reads, tokens)


@published(paper="Wang et al. 2020", url="https://arxiv.org/abs/2008.13535", task=Ranking(), reads=IDS)
def dcn_v2(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """DCN V2, the mixture of low-rank experts beside a perceptron. Its paper tunes the sizes for each data set: they are lego's.

    In Table 2's setting: 3 cross layers of 4 experts of rank 32, as in the code of that paper.
    """
    if setting == "table2":
        predictor = DCNv2(cross=3, rank=32, experts=4, hidden=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens)
    return _model(DCNv2(fields="attributes"), 64, text, reads, tokens)


@published(paper="Li et al. 2024", url="https://arxiv.org/abs/2407.13349", task=Ranking(), reads=IDS)
def dcn_v3(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """DCN V3. Its paper tunes the sizes for each data set: they are lego's."""
    if setting == "table2":
        return _model(DCNv3(dropout=DROPOUT), WIDTH, text, reads, tokens)
    return _model(DCNv3(fields="attributes"), 64, text, reads, tokens)


@published(paper="Lian et al. 2018", url="https://arxiv.org/abs/1803.05170", task=Ranking(), reads=IDS)
def x_deep_fm(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """xDeepFM. From its paper: 3 layers of 200 maps, a perceptron of 400, 400, vectors 10 wide."""
    if setting == "table2":
        return _model(xDeepFM(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    predictor = xDeepFM(maps=(200, 200, 200), hidden=(400, 400), dropout=0, fields="attributes")
    return _model(predictor, 10, text, reads, tokens)


@published(paper="Song et al. 2019", url="https://arxiv.org/abs/1810.11921", task=Ranking(), reads=IDS)
def autoint(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """AutoInt. From its paper: 3 layers of 2 heads of 32 over vectors 16 wide, no perceptron, dropout 0.1 (its MovieLens).

    In Table 2's setting: 3 layers of 8 heads that are 64 wide together, beside a perceptron, as in the code of that paper.
    """
    if setting == "table2":
        predictor = AutoInt(layers=3, heads=HEADS, head_width=64 // HEADS, hidden=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens)
    predictor = AutoInt(layers=3, heads=2, head_width=32, hidden=(), dropout=0.1, fields="attributes")
    return _model(predictor, 16, text, reads, tokens)


@published(paper="Huang et al. 2019", url="https://arxiv.org/abs/1905.09433", task=Ranking(), reads=IDS)
def fibinet(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """FiBiNET. From its paper: reduction 3, a perceptron of 400, 400, 400 with dropout 0.5 over vectors 10 wide."""
    if setting == "table2":
        return _model(FiBiNET(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    predictor = FiBiNET(reduction=3, hidden=(400, 400, 400), dropout=0.5, fields="attributes")
    return _model(predictor, 10, text, reads, tokens)


@published(paper="Wang et al. 2021", url="https://arxiv.org/abs/2102.07619", task=Ranking(), reads=IDS)
def masknet(
    *,
    setting: Setting = "paper",
    structure: Literal["parallel", "serial"] = "parallel",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """MaskNet. From its paper: reduction 2, vectors 10 wide. The other sizes are lego's.

    In Table 2's setting: one block of 64 and reduction 1, as in the code of that paper.
    """
    if setting == "table2":
        predictor = MaskNet(
            structure=structure, blocks=1, units=64, reduction=1, hidden=PERCEPTRON, dropout=DROPOUT
        )
        return _model(predictor, WIDTH, text, reads, tokens)
    return _model(MaskNet(structure=structure, reduction=2, fields="attributes"), 10, text, reads, tokens)


@published(paper="Wang et al. 2023", url="https://arxiv.org/abs/2311.04635", task=Ranking(), reads=IDS)
def gdcn(
    *,
    setting: Setting = "paper",
    structure: Literal["parallel", "stacked"] = "parallel",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Gated Deep & Cross Network. Its paper tunes the sizes for each data set: they are lego's.

    In Table 2's setting: 3 cross layers, as in the code of that paper.
    """
    if setting == "table2":
        predictor = GDCN(cross=3, structure=structure, hidden=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens)
    return _model(GDCN(structure=structure, fields="attributes"), 64, text, reads, tokens)


@published(paper="Mao et al. 2023", url="https://arxiv.org/abs/2304.00902", task=Ranking(), reads=IDS)
def final_mlp(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """FinalMLP. Its paper tunes the sizes for each data set: they are lego's."""
    if setting == "table2":
        predictor = FinalMLP(first=PERCEPTRON, second=PERCEPTRON, dropout=DROPOUT)
        return _model(predictor, WIDTH, text, reads, tokens)
    return _model(FinalMLP(fields="attributes"), 64, text, reads, tokens)


@published(paper="Zhu et al. 2023", url="https://doi.org/10.1145/3539618.3591988", task=Ranking(), reads=IDS)
def final_net(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """FINAL. Its paper tunes the sizes for each data set: they are lego's."""
    if setting == "table2":
        return _model(FinalNet(dropout=DROPOUT), WIDTH, text, reads, tokens)
    return _model(FinalNet(fields="attributes"), 64, text, reads, tokens)


@published(paper="Tian et al. 2023", url="https://arxiv.org/abs/2304.10711", task=Ranking(), reads=IDS)
def euler_net(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """EulerNet. Its paper tunes the sizes for each data set: they are lego's."""
    if setting == "table2":
        return _model(EulerNet(dropout=DROPOUT), WIDTH, text, reads, tokens)
    return _model(EulerNet(fields="attributes"), 64, text, reads, tokens)


@published(paper="Zhang et al. 2024", url="https://arxiv.org/abs/2403.02545", task=Ranking(), reads=IDS)
def wukong(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """Wukong. Its paper tunes the sizes for each data set: they are lego's."""
    if setting == "table2":
        return _model(WuKong(hidden=PERCEPTRON, dropout=DROPOUT), WIDTH, text, reads, tokens)
    return _model(WuKong(fields="attributes"), 64, text, reads, tokens)


@published(paper="Zhu et al. 2025", url="https://arxiv.org/abs/2507.15551", task=Ranking(), reads=IDS)
def rank_mixer(
    *,
    setting: Setting = "paper",
    text: bool = False,
    reads: Reads | None = None,
    tokens: Tokens | None = None,
) -> Recommender:
    """RankMixer. Its paper's sizes are those of a service with a billion weights: here they are lego's."""
    if setting == "table2":
        return _model(RankMixer(dropout=DROPOUT), WIDTH, text, reads, tokens)
    return _model(RankMixer(fields="attributes"), 64, text, reads, tokens)


def _model(
    predictor: Predictor,
    width: int,
    text: bool,  # noqa: FBT001 - as the models above have it
    reads: Reads | None,
    tokens: Tokens | None,
    behavior: Behavior | None = None,
) -> Recommender:
    content = Mean() if text else ItemID()
    return Recommender(content, behavior or Mean(), predictor, reads=reads, tokens=tokens, width=width)
