"""The slots: what an operator of each says of itself, and the one bridge to torch, `build(context)`."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import attrs

from lego.contract import Candidates, Form, Lists, Need, Reads, Tracked, Tracking
from lego.spec.base import Spec
from lego.spec.declare import positional_names

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from torch import nn

    from lego.errors import Problem
    from lego.generator.base import Known, Writer
    from lego.ragged import Ragged
    from lego.spec.context import Context


class Content(Spec):
    """Attributes of an item → item vector. Its module is a `ContentModule`."""

    slot: ClassVar[str] = "content"
    transductive: ClassVar[bool] = False
    """Whether it knows items by id alone, so that an item that was not in the data cannot be told from any other."""

    @property
    def reads(self) -> Reads:
        """What its module is fed with."""
        return Reads.VECTORS

    @property
    def item_needs(self) -> frozenset[Need]:
        """What it needs beyond what it reads: STATES (frozen lower layers, made once and cached), ATTRIBUTES of the items."""
        return frozenset()

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """With ATTRIBUTES: the categorical attributes of items that it asks for; all there are where none is named."""
        return ()

    @property
    def loss_attributes(self) -> tuple[str, ...]:
        """Those of `item_attributes` that only a loss reads, so that a new item may lack them."""
        return ()

    @property
    def content_parts(self) -> Mapping[str, Content]:
        """With `Reads.PARTS`: the operators that it combines, by name."""
        return {}

    def part_reads(self, name: str, reads: Mapping[str, int]) -> Mapping[str, int]:
        """The attributes, with their token budgets, that the part of this name reads, of those that the model reads."""
        return reads

    @property
    def named_attributes(self) -> tuple[str, ...]:
        """Attributes that its options name, so that the model must read them."""
        return ()

    def reads_of(self, reads: Mapping[str, int]) -> Mapping[str, int]:
        """What it reads, with token budgets, where the model (or the source, where the model does not say) has these `reads`."""
        return {
            attribute: budget
            for name, part in self.content_parts.items()
            for attribute, budget in part.reads_of(self.part_reads(name, reads)).items()
        } or reads

    def build_combiner(self, context: Context) -> nn.Module:
        """With `Reads.PARTS`: the torch of it, a `SequenceModule` over what the K parts give, (N, K, D), mask (N, K)."""
        raise NotImplementedError

    @property
    def tokens(self) -> Tokens | None:
        """The tokenizer it brings along, where `reads` is `Reads.TOKENS`."""
        return None

    @property
    def item_form(self) -> Form:
        """VECTOR, or INTERESTS for several vectors an item."""
        return Form.VECTOR

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class _Asking(Spec):
    """What the needs of a part that sees users are for: the names of what it reads of items, users, clicks and candidates."""

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """With ATTRIBUTES: the categorical attributes of items that it reads; all there are where none is named."""
        return ()

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """With PROFILE: the categorical attributes of users that it reads; all there are where none is named."""
        return ()

    @property
    def signals(self) -> tuple[str, ...]:
        """With SIGNALS: the numbers beside clicks that it reads; all there are where none is named."""
        return ()

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """With CANDIDATE_SIGNALS: the numbers beside candidates that it reads; all the data has where none is named."""
        return ()


class Behavior(_Asking):
    """History → user. Its module is a `SequenceModule`, or a `CandidateAwareModule` where it needs the candidates."""

    slot: ClassVar[str] = "behavior"

    @property
    def needs(self) -> frozenset[Need]:
        """What its module asks for beyond the history."""
        return frozenset()

    @property
    def gives(self) -> Form:
        """The form of the user."""
        return Form.VECTOR

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Sequence(Content, Behavior):
    """A masked sequence → one vector, or a sequence: fits the content slot (tokens) and the behavior slot (history) alike."""

    slot: ClassVar[str] = "content"

    def __rshift__(self, after: Behavior) -> Sequence:
        """`Attention(pool=None) >> GRU()`: the second reads what the first gives; in the behavior slot any may be last."""
        from lego.sequence.chain import Chain

        return Chain(parts=(self, after))


class Pool(Sequence):
    """A Sequence operator without a sequence of its own to give: what `pool=` takes."""


class Predictor(_Asking):
    """User and candidates → scores. Its module is a `PredictorModule`."""

    slot: ClassVar[str] = "predictor"
    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR})

    @property
    def cosines(self) -> bool:
        """Whether its scores are cosines, from −1 to 1."""
        return False

    @property
    def needs(self) -> frozenset[Need]:
        """What its module asks for beyond user and candidates."""
        return frozenset()

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Task(Spec):
    """Scores and labels → a loss. Its module is a `TaskModule`."""

    slot: ClassVar[str] = "task"
    logits: ClassVar[bool] = False
    """Whether it makes scores whose sigmoid is the probability of a click, each by itself."""
    cosines: ClassVar[bool] = False
    """Whether it reads scores as cosines, so that it wants a predictor that gives such."""
    mean_over: ClassVar[Literal["rows", "candidates"]] = "rows"
    """What its loss is a mean over: what a batch counts where several of them make one step."""

    @property
    def candidates(self) -> Candidates:
        """What the training batches must bring."""
        raise NotImplementedError

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Metric(Spec):
    """Scores and labels per group → one number, over all groups at once."""

    slot: ClassVar[str] = "metric"
    larger_is_better: ClassVar[bool] = True
    logits: ClassVar[bool] = False
    """Whether it reads a score as the logit of the probability of a click; it does not apply to scores that are none."""

    @property
    def name(self) -> str:
        """How it is asked for and printed: `ndcg@5`."""
        raise NotImplementedError

    def measure(self, ranking: Any) -> float:
        """The value over a `lego.metric.ranking.Ranking`."""
        raise NotImplementedError


class Scorer(Spec):
    """Whatever scores impressions: a Recommender, a baseline, a system from outside."""

    slot: ClassVar[str] = "scorer"


class Source(Spec):
    """Raw files of one data set → tables."""

    slot: ClassVar[str] = "source"
    reads: ClassVar[Mapping[str, int]] = {}
    """The attributes a model reads unless it says otherwise, with their token budgets."""
    protocol: ClassVar[str] = "mind"
    """How results on this data are read unless the experiment says otherwise."""
    domain: ClassVar[str] = ""
    """What the items are: `news`, `movies`."""
    language: ClassVar[str] = ""
    """Of the text."""
    attributes: ClassVar[tuple[str, ...]] = ()
    """The attributes that the items have."""
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """What `items`, `users` and `impressions` have, and what stands beside `candidates` and the clicks of a `history`, each where
    the files of an edition have it: name → `text`, `category`, `list`, `number` or `time`, or two of them with ` or ` between."""
    official_files: ClassVar[tuple[str, ...]] = ()
    """The raw files it reads, by their official names."""
    url: ClassVar[str] = ""
    """Where the raw files are had."""
    licence: ClassVar[str] = ""
    """The terms, in a phrase."""
    task: ClassVar[str] = "clicks"
    """What a click of it is made of: `clicks`, `ratings`."""
    proven: ClassVar[str] = ""
    """What its tests prepare: `real rows` of the official files, or rows written by hand after the `format` alone."""

    def fingerprint(self) -> Mapping[str, Any]:
        """What the prepared tables depend on: the options that change them (not `history`)."""
        raise NotImplementedError

    def files(self) -> Iterable[Path]:
        """The raw files it reads; DataError with the ways out where one is missing."""
        raise NotImplementedError

    def tables(self) -> Any:
        """The `lego.data.table.Tables` of it, checked."""
        raise NotImplementedError

    @classmethod
    def within(cls, folder: Path) -> Iterable[Self]:
        """Sources that might read what a folder holds, the plainest first; whether one does, its `files` say."""
        make: Any = cls
        return (make(str(folder)),) if positional_names(cls)[:1] == ("path",) else ()

    def lacks(self) -> Iterable[str]:
        """What is not there of the official files, and what it does without, a few words each."""
        return ()

    def ready(self) -> Path | None:
        """The folder of data that is prepared already, where that is what it names; nothing is read or written then."""
        return None


class Tokens(Spec):
    """Text → token ids and first vectors. Its module maps ids (N, L) to vectors (N, L, W)."""

    slot: ClassVar[str] = "tokens"

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> Encoder:
        """An encoder for these attributes (a vocabulary from the corpus, or one that stands already)."""
        raise NotImplementedError

    def load(self, folder: Path) -> Encoder:
        """The encoder that `Encoder.save` wrote."""
        raise NotImplementedError

    def width(self, width: int) -> int:
        """W, the width of its vectors, in a model of the given width."""
        raise NotImplementedError

    def build(self, context: Context) -> nn.Module:
        """The torch of it: ids (N, L) → vectors (N, L, W). `context.encoder` is what `fit` gave."""
        raise NotImplementedError


class Encoder(typing.Protocol):
    """A fitted tokenizer: plain data, saved with a run."""

    @property
    def vocab_size(self) -> int:
        """Ids are below this; 0 is padding."""
        ...

    @property
    def identity(self) -> str:
        """A hash of all that can change an id."""
        ...

    def encode(self, attribute: str, values: pa.ChunkedArray) -> Ragged:
        """Ids (int32) of each value, untruncated and without special tokens; a null value has none."""
        ...

    def join(self, parts: list[Ragged]) -> Ragged:
        """Attributes of each item put together in order, with separators and special tokens."""
        ...

    def save(self, folder: Path) -> None:
        """Writes plain files (JSON, text) that `Tokens.load` reads."""
        ...


class Generator(Spec):
    """A language model that answers prompts, or answers that one gave before."""

    slot: ClassVar[str] = "generator"
    parallel: ClassVar[bool] = False
    """Whether several requests may be under way at once."""
    tokens_per_second: ClassVar[float | None] = None
    """What one request writes, about, for an estimate before any was measured; None where that depends on too much."""

    @property
    def prices(self) -> tuple[float, float] | None:
        """Of a million tokens read and of a million written, in the user's currency; None where they are not known."""
        return (0.0, 0.0)

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that can change an answer, in plain JSON: part of the name that an answer is kept under."""
        raise NotImplementedError

    @property
    def tried(self) -> bool:
        """Whether it may be opened for an estimate, and a few tokens be asked of it: it is on this machine, and costs nothing."""
        return False

    def lacks(self) -> Iterable[Problem]:
        """What keeps it from being asked, as far as that shows without asking: a package, a key, a checkpoint."""
        return ()

    def known(self) -> Known | None:
        """The answers it has from elsewhere, where it makes none; they are not kept again."""
        return None

    def open(self) -> Writer:
        """What answers; GeneratorError or CheckpointError where it cannot."""
        raise NotImplementedError


class Rerank(Spec):
    """Ranked lists → the same items in another order, by what a score alone does not say: variety, taste, fairness."""

    slot: ClassVar[str] = "rerank"
    reads_vectors: ClassVar[bool] = False
    """Whether it compares items by their vectors."""
    reads_categories: ClassVar[bool] = False
    """Whether it reads the category of an item."""

    def pool(self, k: int) -> int:
        """How many of the best items it chooses k from, where it is free to choose from all."""
        return 10 * k

    def rerank(self, lists: Lists, k: int) -> Ragged:
        """The places in each list of its new first k, best first (all of a shorter list); the others follow as they were."""
        raise NotImplementedError


class Tracker(Spec):
    """Where the numbers of a run go while it is made, beside its folder. It changes nothing of the run."""

    slot: ClassVar[str] = "tracker"

    def open(self, run: Tracked) -> Tracking:
        """Begins; an error here ends the run before any work, one later is told once and ends the tracking alone."""
        raise NotImplementedError


@attrs.frozen(kw_only=True, eq=False)
class Checkpoint:
    """Where the files of a language model are, on this machine."""

    name: str
    folder: Path
    origin: str
    """`folder`, `package NAME VERSION` or `hub cache`."""
