"""Content-based recommendation: models that read what an item says, written as short expressions.

The public names, loaded on first use, so that `import lego` imports neither torch nor an operator.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lego.augment.kind.describe import Describe
    from lego.augment.kind.imagine import Imagine
    from lego.augment.kind.profile import Profile
    from lego.augment.kind.rewrite import Rewrite
    from lego.augment.source import Augment
    from lego.behavior.bst import BST
    from lego.behavior.caum import CAUM
    from lego.behavior.cen_news_rec import CenNewsRec
    from lego.behavior.default import Default
    from lego.behavior.flat import Flat
    from lego.behavior.history import History
    from lego.behavior.long_history import LongHistory
    from lego.behavior.lstur import LSTUR
    from lego.behavior.mins import MINS
    from lego.behavior.poly_attention import PolyAttention
    from lego.behavior.signal_weight import SignalWeight
    from lego.behavior.target_attention import TargetAttention
    from lego.behavior.time_decay import TimeDecay
    from lego.behavior.user_attributes import UserAttributes
    from lego.behavior.user_id import UserID
    from lego.compiler import compile  # noqa: A004 - the verb of the language
    from lego.content.embedding import Embedding
    from lego.content.item_id import ItemID
    from lego.content.lookup import Lookup
    from lego.content.numeric import Numeric
    from lego.content.pretrained import BERT, GLM, OPT, LLaMA, Pretrained, Qwen
    from lego.content.semantic_id import SemanticID
    from lego.content.topic_aware import TopicAware
    from lego.content.views import Views
    from lego.content.whitened_experts import WhitenedExperts
    from lego.data.source.adressa import Adressa
    from lego.data.source.amazon import Amazon
    from lego.data.source.anime import Anime
    from lego.data.source.book_crossing import BookCrossing
    from lego.data.source.ebnerd import EBNeRD
    from lego.data.source.goodreads import Goodreads
    from lego.data.source.hm import HM
    from lego.data.source.hotelrec import HotelRec
    from lego.data.source.lastfm import LastFM
    from lego.data.source.microlens import MicroLens
    from lego.data.source.mind import MIND
    from lego.data.source.movielens import MovieLens
    from lego.data.source.netflix import Netflix
    from lego.data.source.pens import PENS
    from lego.data.source.pog import POG
    from lego.data.source.prepared import Prepared
    from lego.data.source.recbench import RecBench
    from lego.data.source.steam import Steam
    from lego.data.source.tables import Tables
    from lego.data.source.xmind import XMIND
    from lego.data.source.yelp import Yelp
    from lego.experiment import Evaluation, Experiment, Training
    from lego.expression import parse
    from lego.generator.local_model import LocalModel
    from lego.generator.openai_compatible import OpenAICompatible
    from lego.generator.replay import Replay
    from lego.metric.auc import AUC
    from lego.metric.ece import ECE
    from lego.metric.f1 import F1
    from lego.metric.gauc import GAUC
    from lego.metric.hit import Hit
    from lego.metric.log_loss import LogLoss
    from lego.metric.lrap import LRAP
    from lego.metric.map import MAP
    from lego.metric.mrr import MRR
    from lego.metric.mrr_all import MRRAll
    from lego.metric.ndcg import NDCG
    from lego.metric.precision import Precision
    from lego.metric.recall import Recall
    from lego.predictor.auto_int import AutoInt
    from lego.predictor.bilinear import Bilinear
    from lego.predictor.cosine import Cosine
    from lego.predictor.dcn import DCN
    from lego.predictor.dcn_v2 import DCNv2
    from lego.predictor.dcn_v3 import DCNv3
    from lego.predictor.deep_fm import DeepFM
    from lego.predictor.dien import DIEN
    from lego.predictor.din import DIN
    from lego.predictor.dnn import DNN
    from lego.predictor.dot import Dot
    from lego.predictor.euler_net import EulerNet
    from lego.predictor.fibinet import FiBiNET
    from lego.predictor.final_mlp import FinalMLP
    from lego.predictor.final_net import FinalNet
    from lego.predictor.gdcn import GDCN
    from lego.predictor.interest_attention import InterestAttention
    from lego.predictor.late_interaction import LateInteraction
    from lego.predictor.masknet import MaskNet
    from lego.predictor.pnn import PNN
    from lego.predictor.poly import Poly
    from lego.predictor.popularity_aware import PopularityAware
    from lego.predictor.rank_mixer import RankMixer
    from lego.predictor.wide_deep import WideDeep
    from lego.predictor.wukong import WuKong
    from lego.predictor.x_deep_fm import xDeepFM
    from lego.pretrained.layers import frozen, full, lora, split
    from lego.recommender import Recommender
    from lego.runtime.load import load
    from lego.runtime.sweep import sweep
    from lego.scorer.bm25 import BM25
    from lego.scorer.popularity import Popularity
    from lego.scorer.random import Random
    from lego.scorer.score_file import ScoreFile
    from lego.scorer.text_similarity import TextSimilarity
    from lego.sequence.additive import Additive
    from lego.sequence.attention import Attention
    from lego.sequence.chain import Chain
    from lego.sequence.cnn import CNN
    from lego.sequence.concat import Concat
    from lego.sequence.fastformer import Fastformer
    from lego.sequence.first import First
    from lego.sequence.gate import Gate
    from lego.sequence.gru import GRU
    from lego.sequence.hstu import HSTU
    from lego.sequence.last import Last
    from lego.sequence.linear_recurrence import LinearRecurrence
    from lego.sequence.lstm import LSTM
    from lego.sequence.maximum import Max
    from lego.sequence.mean import Mean
    from lego.sequence.multi_cnn import MultiCNN
    from lego.sequence.positions import Positions
    from lego.sequence.sum import Sum
    from lego.sequence.transformer import Transformer
    from lego.spec import any_of, cases
    from lego.task.cosine_contrastive import CosineContrastive
    from lego.task.gbce import GBCE
    from lego.task.matching import Matching
    from lego.task.pairwise import Pairwise
    from lego.task.ranking import Ranking
    from lego.task.supervised_contrastive import SupervisedContrastive
    from lego.tokens.glove import GloVe
    from lego.tokens.pretrained import PretrainedTokens
    from lego.tokens.words import Words

_HOME = {
    "Augment": "lego.augment.source",
    "Describe": "lego.augment.kind.describe",
    "Imagine": "lego.augment.kind.imagine",
    "Profile": "lego.augment.kind.profile",
    "Rewrite": "lego.augment.kind.rewrite",
    "LocalModel": "lego.generator.local_model",
    "OpenAICompatible": "lego.generator.openai_compatible",
    "Replay": "lego.generator.replay",
    "AUC": "lego.metric.auc",
    "Additive": "lego.sequence.additive",
    "Adressa": "lego.data.source.adressa",
    "Amazon": "lego.data.source.amazon",
    "Anime": "lego.data.source.anime",
    "Attention": "lego.sequence.attention",
    "AutoInt": "lego.predictor.auto_int",
    "BERT": "lego.content.pretrained",
    "BM25": "lego.scorer.bm25",
    "BST": "lego.behavior.bst",
    "Bilinear": "lego.predictor.bilinear",
    "BookCrossing": "lego.data.source.book_crossing",
    "CAUM": "lego.behavior.caum",
    "CNN": "lego.sequence.cnn",
    "CenNewsRec": "lego.behavior.cen_news_rec",
    "Chain": "lego.sequence.chain",
    "Concat": "lego.sequence.concat",
    "Cosine": "lego.predictor.cosine",
    "CosineContrastive": "lego.task.cosine_contrastive",
    "DCN": "lego.predictor.dcn",
    "DCNv2": "lego.predictor.dcn_v2",
    "DCNv3": "lego.predictor.dcn_v3",
    "DIEN": "lego.predictor.dien",
    "DIN": "lego.predictor.din",
    "DNN": "lego.predictor.dnn",
    "DeepFM": "lego.predictor.deep_fm",
    "Default": "lego.behavior.default",
    "Dot": "lego.predictor.dot",
    "EBNeRD": "lego.data.source.ebnerd",
    "ECE": "lego.metric.ece",
    "Embedding": "lego.content.embedding",
    "EulerNet": "lego.predictor.euler_net",
    "Evaluation": "lego.experiment",
    "Experiment": "lego.experiment",
    "F1": "lego.metric.f1",
    "Fastformer": "lego.sequence.fastformer",
    "FiBiNET": "lego.predictor.fibinet",
    "FinalMLP": "lego.predictor.final_mlp",
    "FinalNet": "lego.predictor.final_net",
    "First": "lego.sequence.first",
    "Flat": "lego.behavior.flat",
    "GAUC": "lego.metric.gauc",
    "GBCE": "lego.task.gbce",
    "GDCN": "lego.predictor.gdcn",
    "GLM": "lego.content.pretrained",
    "GRU": "lego.sequence.gru",
    "Gate": "lego.sequence.gate",
    "GloVe": "lego.tokens.glove",
    "Goodreads": "lego.data.source.goodreads",
    "HM": "lego.data.source.hm",
    "HSTU": "lego.sequence.hstu",
    "History": "lego.behavior.history",
    "Hit": "lego.metric.hit",
    "HotelRec": "lego.data.source.hotelrec",
    "InterestAttention": "lego.predictor.interest_attention",
    "ItemID": "lego.content.item_id",
    "LLaMA": "lego.content.pretrained",
    "LRAP": "lego.metric.lrap",
    "LSTM": "lego.sequence.lstm",
    "LSTUR": "lego.behavior.lstur",
    "Last": "lego.sequence.last",
    "LastFM": "lego.data.source.lastfm",
    "LateInteraction": "lego.predictor.late_interaction",
    "LinearRecurrence": "lego.sequence.linear_recurrence",
    "LogLoss": "lego.metric.log_loss",
    "LongHistory": "lego.behavior.long_history",
    "Lookup": "lego.content.lookup",
    "MAP": "lego.metric.map",
    "MIND": "lego.data.source.mind",
    "MINS": "lego.behavior.mins",
    "MRR": "lego.metric.mrr",
    "MRRAll": "lego.metric.mrr_all",
    "MaskNet": "lego.predictor.masknet",
    "Matching": "lego.task.matching",
    "Max": "lego.sequence.maximum",
    "Mean": "lego.sequence.mean",
    "MicroLens": "lego.data.source.microlens",
    "MovieLens": "lego.data.source.movielens",
    "MultiCNN": "lego.sequence.multi_cnn",
    "NDCG": "lego.metric.ndcg",
    "Netflix": "lego.data.source.netflix",
    "Numeric": "lego.content.numeric",
    "OPT": "lego.content.pretrained",
    "PENS": "lego.data.source.pens",
    "PNN": "lego.predictor.pnn",
    "POG": "lego.data.source.pog",
    "Pairwise": "lego.task.pairwise",
    "Poly": "lego.predictor.poly",
    "PopularityAware": "lego.predictor.popularity_aware",
    "PolyAttention": "lego.behavior.poly_attention",
    "Popularity": "lego.scorer.popularity",
    "Positions": "lego.sequence.positions",
    "Precision": "lego.metric.precision",
    "Prepared": "lego.data.source.prepared",
    "Pretrained": "lego.content.pretrained",
    "PretrainedTokens": "lego.tokens.pretrained",
    "Qwen": "lego.content.pretrained",
    "Random": "lego.scorer.random",
    "RankMixer": "lego.predictor.rank_mixer",
    "Ranking": "lego.task.ranking",
    "RecBench": "lego.data.source.recbench",
    "Recall": "lego.metric.recall",
    "Recommender": "lego.recommender",
    "ScoreFile": "lego.scorer.score_file",
    "SemanticID": "lego.content.semantic_id",
    "SignalWeight": "lego.behavior.signal_weight",
    "Steam": "lego.data.source.steam",
    "Sum": "lego.sequence.sum",
    "SupervisedContrastive": "lego.task.supervised_contrastive",
    "Tables": "lego.data.source.tables",
    "TargetAttention": "lego.behavior.target_attention",
    "TextSimilarity": "lego.scorer.text_similarity",
    "TimeDecay": "lego.behavior.time_decay",
    "TopicAware": "lego.content.topic_aware",
    "Training": "lego.experiment",
    "Transformer": "lego.sequence.transformer",
    "UserAttributes": "lego.behavior.user_attributes",
    "UserID": "lego.behavior.user_id",
    "Views": "lego.content.views",
    "WhitenedExperts": "lego.content.whitened_experts",
    "WideDeep": "lego.predictor.wide_deep",
    "Words": "lego.tokens.words",
    "WuKong": "lego.predictor.wukong",
    "XMIND": "lego.data.source.xmind",
    "Yelp": "lego.data.source.yelp",
    "any_of": "lego.spec",
    "cases": "lego.spec",
    "compile": "lego.compiler",
    "frozen": "lego.pretrained.layers",
    "full": "lego.pretrained.layers",
    "load": "lego.runtime.load",
    "lora": "lego.pretrained.layers",
    "parse": "lego.expression",
    "split": "lego.pretrained.layers",
    "sweep": "lego.runtime.sweep",
    "xDeepFM": "lego.predictor.x_deep_fm",
}

__all__ = [
    "AUC",
    "BERT",
    "BM25",
    "BST",
    "CAUM",
    "CNN",
    "DCN",
    "DIEN",
    "DIN",
    "DNN",
    "ECE",
    "F1",
    "GAUC",
    "GBCE",
    "GDCN",
    "GLM",
    "GRU",
    "HM",
    "HSTU",
    "LRAP",
    "LSTM",
    "LSTUR",
    "MAP",
    "MIND",
    "MINS",
    "MRR",
    "NDCG",
    "OPT",
    "PENS",
    "PNN",
    "POG",
    "XMIND",
    "Additive",
    "Adressa",
    "Amazon",
    "Anime",
    "Attention",
    "Augment",
    "AutoInt",
    "Bilinear",
    "BookCrossing",
    "CenNewsRec",
    "Chain",
    "Concat",
    "Cosine",
    "CosineContrastive",
    "DCNv2",
    "DCNv3",
    "DeepFM",
    "Default",
    "Describe",
    "Dot",
    "EBNeRD",
    "Embedding",
    "EulerNet",
    "Evaluation",
    "Experiment",
    "Fastformer",
    "FiBiNET",
    "FinalMLP",
    "FinalNet",
    "First",
    "Flat",
    "Gate",
    "GloVe",
    "Goodreads",
    "History",
    "Hit",
    "HotelRec",
    "Imagine",
    "InterestAttention",
    "ItemID",
    "LLaMA",
    "Last",
    "LastFM",
    "LateInteraction",
    "LinearRecurrence",
    "LocalModel",
    "LogLoss",
    "LongHistory",
    "Lookup",
    "MRRAll",
    "MaskNet",
    "Matching",
    "Max",
    "Mean",
    "MicroLens",
    "MovieLens",
    "MultiCNN",
    "Netflix",
    "Numeric",
    "OpenAICompatible",
    "Pairwise",
    "Poly",
    "PolyAttention",
    "Popularity",
    "PopularityAware",
    "Positions",
    "Precision",
    "Prepared",
    "Pretrained",
    "PretrainedTokens",
    "Profile",
    "Qwen",
    "Random",
    "RankMixer",
    "Ranking",
    "RecBench",
    "Recall",
    "Recommender",
    "Replay",
    "Rewrite",
    "ScoreFile",
    "SemanticID",
    "SignalWeight",
    "Steam",
    "Sum",
    "SupervisedContrastive",
    "Tables",
    "TargetAttention",
    "TextSimilarity",
    "TimeDecay",
    "TopicAware",
    "Training",
    "Transformer",
    "UserAttributes",
    "UserID",
    "Views",
    "WhitenedExperts",
    "WideDeep",
    "Words",
    "WuKong",
    "Yelp",
    "any_of",
    "cases",
    "compile",
    "frozen",
    "full",
    "load",
    "lora",
    "parse",
    "split",
    "sweep",
    "xDeepFM",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name == "zoo":
        return importlib.import_module("lego.zoo")
    if name[:1].isupper():  # modules are asked for in this way as well, and need no look at what is installed
        catalog = importlib.import_module("lego.catalog")
        was = catalog.renamed(name)
        if was is not None and was.target in _HOME:
            return getattr(importlib.import_module(_HOME[was.target]), catalog.find(name).name)
    from lego.errors import did_you_mean

    message = f"lego has no {name!r}. {did_you_mean(name, __all__)}See `lego catalog` for all operators."
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
