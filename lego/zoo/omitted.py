"""Published models that the contract does not admit, and what would."""

from __future__ import annotations

from collections.abc import Mapping

OMITTED: Mapping[str, str] = {
    "npa": (
        "NPA weighs the words of an item by who reads it, so an item has a vector for each user; content operators "
        "do not know the user, which is what lets an item be encoded once. A content operator with Need.USER, "
        "without a cache, would admit it."
    ),
    "dkn": (
        "DKN reads vectors of the entities in a title, place by place; the prepared data has no entities. An "
        "attribute of entities, aligned with the tokens, would admit it; its attention of the candidate over the "
        "history is TargetAttention."
    ),
    "sentirec": (
        "SentiRec predicts the sentiment of an item and keeps scores apart from it; the data has no sentiment. "
        "With such an attribute, TopicAware(…, label='sentiment') is the first half; a loss over the scores of a "
        "batch would be the second."
    ),
    "senti_debias": (
        "SentiDebias trains against an adversary that tells the sentiment; the data has no sentiment, and a task "
        "has one loss and one optimizer. An attribute of sentiment and a gradient that is reversed would admit it."
    ),
    "manner": (
        "MANNeR trains an encoder for each aspect by a contrastive loss over items and adds their scores; a task "
        "sees scores alone, not pairs of items. A task over item vectors would admit it."
    ),
    "bert4rec": (
        "BERT4Rec predicts items that were masked out of the history; a task sees the candidates of a row alone. A "
        "task over places of the history would admit it; Transformer(causal=False) is its encoder."
    ),
    "tiger": (
        "TIGER generates the codes of the next item one after the other; a predictor scores candidates. SemanticID "
        "has its codes, and zoo.semantic_ids() ranks by them."
    ),
    "iisan_nrms": "It needs the content operator IISAN, which this version of lego does not have.",
}
"""Name → why, in a sentence or two."""
