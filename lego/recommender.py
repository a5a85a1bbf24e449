"""A model: the three slots, filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from lego.spec import Behavior, Content, Predictor, Scorer, Tokens, ge, operator


@operator
class Recommender(Scorer):
    """attributes of an item ─content→ item vector ─behavior→ user ─predictor→ score, trained jointly.

    `reads` names the attributes and their token budgets (the source has a sensible default). `tokens` says how text becomes
    ids and first vectors: `Words()` unless said otherwise; a pretrained content operator brings its own. `width` is the width
    of items and users.
    """

    content: Content = attrs.field(kw_only=False)
    behavior: Behavior = attrs.field(kw_only=False)
    predictor: Predictor = attrs.field(kw_only=False)
    reads: Mapping[str, int] | None = None
    tokens: Tokens | None = None
    width: int = attrs.field(default=64, validator=ge(1))

    @property
    def words(self) -> Tokens:
        """What makes token vectors, for content operators that read these: `tokens`, or `Words()`."""
        if self.tokens is not None:
            return self.tokens
        from lego.tokens.words import Words

        return Words()

    @classmethod
    def examples(cls) -> Iterable[Recommender]:
        """None: a model is made of the examples of its slots."""
        return ()
