"""The content slot as a tree: operators that are fed, and combinations of them. An operator alone is a tree of one leaf.

Every leaf has what feeds it: its own share of the attributes, as tokens, codes, numbers or item rows. Leaves that read the
Recommender's token vectors share one vocabulary and one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import nn

from lego.compiler.feed import Feed, Feeds, ItemFeed, Numbers
from lego.contract import Need, Reads
from lego.data.attributes import Codes, codes_of, not_categorical
from lego.data.text import ItemTokens, item_tokens
from lego.errors import Problem, did_you_mean
from lego.home import home
from lego.nn.token_encoder import TokenEncoder
from lego.seed import lent, torch_generator
from lego.spec import Content, Context, Encoder, Tokens

if TYPE_CHECKING:
    from lego.data.store import Store
    from lego.recommender import Recommender

SHARED = ""
"""The name of the encoder that all leaves share which read the Recommender's token vectors."""


@attrs.frozen(eq=False, kw_only=True)
class Leaf:
    """An operator that is fed, where it stands (`title`, `2.title`), and the attributes that it reads."""

    path: str
    spec: Content
    reads: Mapping[str, int]

    @property
    def encoder(self) -> str | None:
        """The name of what makes its ids; None where it reads none."""
        if self.spec.reads is Reads.VECTORS:
            return SHARED
        return self.path if self.spec.reads is Reads.TOKENS else None


def leaves(spec: Content, reads: Mapping[str, int], path: str = "") -> Iterator[Leaf]:
    """The operators of a content slot that are fed, in order."""
    if getattr(spec, "reads", None) is not Reads.PARTS:
        # What is no content operator at all is found by the check, which lists all that is wrong.
        if not isinstance(spec, Content):
            return
        mine = {} if spec.reads is Reads.ROWS else spec.reads_of(reads)
        yield Leaf(path=path, spec=spec, reads=mine)
        return
    for name, part in spec.content_parts.items():
        inner = f"{path}.{name}" if path else name
        yield from leaves(part, spec.part_reads(name, reads), inner)


def tokenizers(model: Recommender, reads: Mapping[str, int]) -> dict[str, Tokens]:
    """What makes token ids, by the name of the encoder."""
    made: dict[str, Tokens] = {}
    for leaf in leaves(model.content, reads):
        if leaf.spec.reads is Reads.VECTORS:
            made[SHARED] = model.words
        elif leaf.spec.reads is Reads.TOKENS and leaf.spec.tokens is not None:
            made[leaf.path] = leaf.spec.tokens
    return made


def shared_reads(content: Content, reads: Mapping[str, int]) -> dict[str, int]:
    """The attributes that the shared vocabulary is made of, in the order of the leaves."""
    return {
        name: budget
        for leaf in leaves(content, reads)
        if leaf.encoder == SHARED
        for name, budget in leaf.reads.items()
    }


def fitted(
    model: Recommender, reads: Mapping[str, int], store: Store, given: Mapping[str, Encoder] | None
) -> dict[str, Encoder]:
    """The encoders, each fitted on the attributes that its leaves read; those that are given stand."""
    own = {leaf.path: dict(leaf.reads) for leaf in leaves(model.content, reads)}
    made = {}
    for name, tokenizer in tokenizers(model, reads).items():
        names = shared_reads(model.content, reads) if name == SHARED else own[name]
        columns = {attribute: store.items.column(attribute) for attribute in names}
        made[name] = (given or {}).get(name) or tokenizer.fit(columns)
    return made


@attrs.frozen(eq=False, kw_only=True)
class Fed:
    """A leaf with its data: tokens where it reads ids, codes where it reads a category, numbers where it reads these."""

    leaf: Leaf
    tokens: ItemTokens | None = None
    codes: Codes | None = None
    numbers: Numbers | None = None
    labels: Mapping[str, Codes] = attrs.field(factory=dict)
    """Categorical attributes of the items beside what it reads, for operators that ask for them."""


def fed(
    content: Content, reads: Mapping[str, int], store: Store, encoders: Mapping[str, Encoder]
) -> dict[str, Fed]:
    """The data of every leaf, by path."""
    return {leaf.path: _fed(leaf, store, encoders) for leaf in leaves(content, reads)}


def _fed(leaf: Leaf, store: Store, encoders: Mapping[str, Encoder]) -> Fed:
    tokens = codes = numbers = None
    if leaf.encoder is not None:
        tokens = item_tokens(store, leaf.reads, encoders[leaf.encoder], home() / "tokens")
    elif leaf.spec.reads is Reads.CODES:
        codes = Codes.of(store.items.column(_only(leaf)), 1)
    elif leaf.spec.reads is Reads.NUMBERS:
        numbers = Numbers.of(store.items.column(_only(leaf)))
    labels = _labels(leaf.spec, store)
    return Fed(leaf=leaf, tokens=tokens, codes=codes, numbers=numbers, labels=labels)


def _labels(spec: Content, store: Store) -> dict[str, Codes]:
    if Need.ATTRIBUTES not in spec.item_needs:
        return {}
    return codes_of(store.items, store.attributes, spec.item_attributes, first=1)


def _only(leaf: Leaf) -> str:
    (name,) = leaf.reads
    return name


def unreadable(content: Content, reads: Mapping[str, int], store: Store) -> Iterator[Problem]:
    """Attributes that a leaf reads and the items lack, or have in a kind that it does not read."""
    kinds = store.attributes
    for leaf in leaves(content, reads):
        where = f"content: {leaf.path}={leaf.spec!r}" if leaf.path else f"content={leaf.spec!r}"
        for name in leaf.reads:
            if name not in kinds:
                fix = f"{did_you_mean(name, kinds)}They have: {', '.join(kinds)}"
                yield Problem(f"reads: {name!r}", "the items have no such attribute", fix)
        for name in leaf.spec.named_attributes:
            if name not in reads:
                fix = f"read it: reads={{{name!r}: 20, …}}; read are {', '.join(reads)}"
                yield Problem(where, f"it names {name!r}, which the model does not read", fix)
        if leaf.spec.reads in (Reads.CODES, Reads.NUMBERS) and len(leaf.reads) != 1:
            what = f"it reads one attribute, and gets {', '.join(leaf.reads) or 'none'}"
            yield Problem(where, what, "name it: Lookup('category'), or Views(category=Lookup())")
        elif leaf.spec.reads is Reads.CODES:
            for problem in not_categorical(leaf.reads, kinds, "items"):
                if problem.where.strip("'") in kinds:
                    yield attrs.evolve(problem, where=f"{where}: {problem.where}")
        elif leaf.spec.reads is Reads.NUMBERS:
            (name,) = leaf.reads
            if kinds.get(name, "number") != "number":
                numeric = ", ".join(each for each, kind in kinds.items() if kind == "number") or "none"
                yield Problem(
                    where, f"{name!r} is a {kinds[name]}, no number", f"the numeric attributes are: {numeric}"
                )
    for spec in _asking(content):
        for problem in not_categorical(spec.item_attributes, kinds, "items"):
            yield attrs.evolve(problem, where=f"content={spec!r}: {problem.where}")


def _asking(content: Content) -> Iterator[Content]:
    """The operators of the tree that ask for attributes beside what they read."""
    if Need.ATTRIBUTES in content.item_needs:
        yield content
    if content.reads is Reads.PARTS:
        for part in content.content_parts.values():
            yield from _asking(part)


# --- modules and feeds --------------------------------------------------------------------------------------------------------


class Parts(nn.Module):
    """A combination: what its parts give side by side is a short sequence of vectors, which `combiner` makes one."""

    def __init__(self, parts: list[nn.Module], combiner: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.combiner = combiner


@attrs.frozen(eq=False, kw_only=True)
class Builder:
    """Makes the modules and the feeds of a content tree."""

    context: Context
    """Of a leaf that reads no token; the others get their lengths and widths."""
    words: Tokens | None
    fed: Mapping[str, Fed]
    encoders: Mapping[str, Encoder]
    store: Store
    seed: int
    states: Callable[[Any, ItemTokens], Any]
    """Content module and its tokens → cached hidden states, None where nobody asks for them."""

    def module(self, content: Content) -> nn.Module:
        """The modules of the tree; the table of token vectors is `.table` of what is returned."""
        table = None
        if self.words is not None:
            with lent(self.seed, "initialisation", "tokens"):
                shared = next(each for each in self.fed.values() if each.leaf.encoder == SHARED)
                table = self.words.build(self._context(shared))
        made = self._module(content, "", table, owns=content.reads is not Reads.PARTS)
        if table is not None and isinstance(made, Parts):
            made.table = table
        return made

    def _module(self, content: Content, path: str, table: nn.Module | None, *, owns: bool) -> nn.Module:
        # Every leaf draws its first weights from a stream of its own, so that changing one leaves the others' alone.
        stream = ("initialisation", "content", path) if path else ("initialisation", "content")
        if content.reads is not Reads.PARTS:
            context = self._context(self.fed[path])
            with lent(self.seed, *stream):
                built = content.build(context)
            if content.reads is not Reads.VECTORS or table is None:
                return built
            return TokenEncoder(table, built, owns=owns)
        parts = [
            self._module(part, f"{path}.{name}" if path else name, table, owns=False)
            for name, part in content.content_parts.items()
        ]
        vocabularies = {name: len(codes) for name, codes in _labels(content, self.store).items()}
        context = attrs.evolve(self.context, length=len(parts), item_vocabularies=vocabularies)
        with lent(self.seed, *stream):
            return Parts(parts, content.build_combiner(context))

    def feed(self, content: Content, module: Any, path: str = "") -> Feed:
        """What the tree is fed with."""
        if content.reads is Reads.PARTS:
            feeds = tuple(
                self.feed(part, module.parts[place], f"{path}.{name}" if path else name)
                for place, (name, part) in enumerate(content.content_parts.items())
            )
            return Feeds(parts=feeds, labels=_labels(content, self.store))
        mine = self.fed[path]
        tokens = None if mine.tokens is None else mine.tokens.tokens
        states = None
        if mine.tokens is not None and Need.STATES in content.item_needs:
            states = self.states(module, mine.tokens)
        return ItemFeed(
            tokens=tokens, states=states, codes=mine.codes, numbers=mine.numbers, labels=mine.labels
        )

    def _generator(self, path: str) -> torch.Generator | None:
        """Chance for what a leaf draws by hand: of its own, as its first weights are."""
        if not path:
            return self.context.generator
        return torch_generator(self.seed, "initialisation", "content by hand", path)

    def _context(self, mine: Fed) -> Context:
        leaf = mine.leaf
        input_width = self.context.width
        if leaf.spec.reads is Reads.VECTORS and self.words is not None:
            input_width = self.words.width(self.context.width)
        length = 1 if mine.tokens is None else mine.tokens.length
        codes = {} if mine.codes is None else {_only(leaf): len(mine.codes)}
        labels = {name: len(each) for name, each in mine.labels.items()}
        return attrs.evolve(
            self.context,
            input_width=input_width,
            length=length,
            encoder=None if leaf.encoder is None else self.encoders[leaf.encoder],
            item_vocabularies={**codes, **labels},
            generator=self._generator(leaf.path),
            numbers=None if mine.numbers is None else mine.numbers.values,
        )
