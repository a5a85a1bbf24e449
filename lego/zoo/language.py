"""Models around a language model."""

from __future__ import annotations

from collections.abc import Mapping

from lego import expression
from lego.behavior.poly_attention import PolyAttention
from lego.behavior.user_attributes import UserAttributes
from lego.content.embedding import Embedding
from lego.content.pretrained import Pretrained
from lego.predictor.dot import Dot
from lego.predictor.interest_attention import InterestAttention
from lego.pretrained.layers import Layers, full, split
from lego.recommender import Recommender
from lego.sequence.additive import Additive
from lego.sequence.attention import Attention
from lego.sequence.concat import Concat
from lego.spec import Behavior
from lego.task.matching import Matching
from lego.zoo.entry import DROPOUT, HEADS, HIDDEN, WIDTH, Setting, published, title

BERT_BASE = "google-bert/bert-base-uncased"
LLAMA = "huggyllama/llama-7b"

Reads = Mapping[str, int]


@published(
    paper="Wu et al. 2021",
    url="https://arxiv.org/abs/2104.07413",
    task=Matching(),
    reads="title, a language model",
)
def plm_nr(
    *,
    setting: Setting = "paper",
    checkpoint: str = BERT_BASE,
    layers: Layers | None = None,
    behavior: Behavior | None = None,
    reads: Reads | None = None,
) -> Recommender:
    """PLM-NR: a language model reads the title, additive attention pools its states; the user encoder of NRMS, or another.

    From its paper: BERT, of which the last two layers learn, dropout 0.2, 4 negatives. The heads and widths are those of NRMS.
    """
    paper = setting == "paper"
    pool = Additive(hidden=200 if paper else HIDDEN)
    user = Attention(heads=16, dropout=0, pool=pool) if paper else _user(pool)
    content = Pretrained(checkpoint, layers=layers or split(-2), pool=pool, dropout=0.2 if paper else DROPOUT)
    return Recommender(content, behavior or user, Dot(), reads=title(setting, reads), width=256)


@published(
    paper="Li et al. 2022",
    url="https://aclanthology.org/2022.findings-acl.29",
    task=Matching(),
    reads="title, category, a language model",
)
def miner(
    *,
    setting: Setting = "paper",
    checkpoint: str = BERT_BASE,
    layers: Layers | None = None,
    category: str | None = "category",
    reads: Reads | None = None,
) -> Recommender:
    """MINER: several interests a user, kept apart by a disagreement loss; those that fit the candidate weigh more.

    From its paper: BERT, all of which learns, 32 interests with codes of width 200, a weight of 0.8 for the disagreement. The
    weight of the bias by `category`, which None leaves out, is tuned there and 1 here; 256 for the width and dropout 0.2 are
    those of NewsRecLib's configuration. In Table 2 two layers learn, codes are as wide as the model, and there is no bias.
    """
    if setting == "table2":
        content = Pretrained(checkpoint, layers=layers or split(-2), pool=Additive(hidden=HIDDEN))
        interests = PolyAttention(interests=32, hidden=WIDTH)
        return Recommender(content, interests, InterestAttention(), reads=reads, width=WIDTH)
    content = Pretrained(checkpoint, layers=layers or full(), pool=Additive(hidden=200), dropout=0.2)
    interests = PolyAttention(interests=32, hidden=200, disagreement=0.8)
    if category is not None:
        interests = PolyAttention(
            interests=32, hidden=200, disagreement=0.8, category_bias=1, category=category
        )
    return Recommender(content, interests, InterestAttention(), reads=title(setting, reads), width=256)


@published(
    paper="Liu et al. 2024",
    url="https://arxiv.org/abs/2305.06566",
    task=Matching(),
    reads="title, a language model",
    words=("lora",),
)
def dire(*, setting: Setting = "paper", checkpoint: str = LLAMA, reads: Reads | None = None) -> Recommender:
    """DIRE, the discriminative half of ONCE: LLaMA reads the title, adapters in its last two layers learn.

    From its paper: rank 32 and alpha 128 for the adapters, a width of 64. The user encoder is that of NRMS.
    """
    content = Pretrained(checkpoint, layers=_adapted(), pool=Additive(hidden=HIDDEN))
    width = 64 if setting == "paper" else WIDTH
    return Recommender(content, _user(), Dot(), reads=title(setting, reads), width=width)


@published(
    paper="Liu et al. 2025",
    url="https://arxiv.org/abs/2412.15973",
    task=Matching(),
    reads="vectors",
    vectors="llama.parquet",
)
def dire_decoupled(*, vectors: str, setting: Setting = "table2") -> Recommender:
    """DIRE with vectors that LLaMA made before, in a file that `Embedding` reads. It has no numbers of its own."""
    return Recommender(Embedding(vectors), _user(), Dot(), width=WIDTH)


@published(
    paper="Liu et al. 2024",
    url="https://arxiv.org/abs/2305.06566",
    task=Matching(),
    reads="generated titles, generated profiles of users, a language model",
    words=("lora",),
    profiles=("llm_topics", "llm_region"),
)
def once(
    *,
    profiles: tuple[str, ...],
    setting: Setting = "paper",
    checkpoint: str = LLAMA,
    reads: Reads | None = None,
) -> Recommender:
    """ONCE: DIRE over titles that a language model rewrote, and users joined with what it tells of them.

    `profiles` are categorical attributes of the users. Numbers as in `dire`.
    """
    base = dire(setting=setting, checkpoint=checkpoint, reads=reads or {"llm_title": 30})
    user = Concat(base.behavior, UserAttributes(attributes=profiles))
    return Recommender(base.content, user, Dot(), reads=base.reads, width=base.width)


def _user(pool: Additive | None = None) -> Attention:
    """The user encoder of NRMS with the numbers of Table 2."""
    return Attention(heads=HEADS, dropout=DROPOUT, pool=pool or Additive(hidden=HIDDEN))


def _adapted() -> Layers:
    layers: Layers = expression.parse("split(-2) | lora(rank=32, alpha=128)")
    return layers
