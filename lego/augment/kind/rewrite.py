"""Items' texts written anew: titles that tell at a glance what an item is about.

The news and book summaries of ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566), there read instead of the original title.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs

from lego.augment.kind.of_items import OfItems
from lego.spec import ge, operator


@operator
class Rewrite(OfItems):
    """A better text for each item, as in `title=Rewrite("{title} — {abstract}", to="llm_title")`.

    `to` names the new attribute, `llm_` and the name of the change unless given; `words` is the longest answer; `language` is
    that of the text unless named; `most=n` asks about the n items alone that users took most. An item without an answer keeps
    the attribute that the change is named after, where there is one. `prompt` is a file to use instead of the packaged prompt;
    `attempts` says how often a question is asked at most where answers do not fit.
    """

    packaged: ClassVar[str] = "rewrite"

    words: int = attrs.field(default=25, validator=ge(1))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls("{title}"), cls("{title} ({category})", to="better", words=8, language="English", most=3))
