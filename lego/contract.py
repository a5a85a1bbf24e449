"""What flows between the slots. Read this first.

    N  items in a call (the distinct real items of a batch)   L  tokens of an item
    B  users in a call (one impression each)                  S  history slots
    C  candidates of a user                                   M  interests of a user
    W  width of a token vector                            T  tokens of a whole history
    V  values of an attribute (several where it is a list)

    stage       gets                                                      gives
    content     tokens (N, L) or token vectors (N, L, W), mask (N, L)     items (N, D)
    behavior    history (B, S, D), mask (B, S)                            the user, in a form
    predictor   user in a form it takes, candidates (B, C, D)             scores (B, C), float32
    task        scores (B, C), labels (B, C), candidate mask (B, C)       a loss

A mask is bool: True marks a real entry, False marks padding. Real entries come first: a row of a mask is a run of True
followed by a run of False, and a row may be all padding (an item without text, a user without history). Padding never
reaches a result, nor a normalisation's statistics; an all-padding row gives a learned or a zero vector, never NaN.

Scores are what a predictor gives, before any softmax or sigmoid. Labels are 1.0 (clicked) or 0.0.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.ragged import Ragged


class Form(enum.Flag):
    """The axes of a user beside (B, D). Forms are compared and looked up in sets, never tested as flags."""

    VECTOR = 0
    """(B, D)"""
    INTERESTS = enum.auto()
    """adds M: (B, M, D)"""
    SEQUENCE = enum.auto()
    """adds S, with its mask: (B, S, D)"""
    PER_CANDIDATE = enum.auto()
    """adds C, the user as seen from each candidate: (B, C, D)"""

    @property
    def shape(self) -> str:
        """The shape in the letters of this module: `(B, C, M, D)`."""
        axes = ["B"]
        axes += ["C"] if self & Form.PER_CANDIDATE else []
        axes += ["M"] if self & Form.INTERESTS else []
        axes += ["S"] if self & Form.SEQUENCE else []
        return f"({', '.join([*axes, 'D'])})"

    @property
    def label(self) -> str:
        """The name in words: `interests per candidate (B, C, M, D)`."""
        words = [flag.name.lower().replace("_", " ") for flag in Form if flag and flag & self and flag.name]
        return f"{' '.join(words) or 'vector'} {self.shape}"


class Need(enum.Enum):
    """What an operator may ask for beyond its tensor. The compiler gathers just what is declared."""

    USER = "who the user is"
    PROFILE = "attributes of the user"
    ATTRIBUTES = "attributes of the history's items and of the candidates"
    TIMES = "times of the history and of the impression"
    TOKENS = "the tokens of the history's items"
    IMPRESSION = "attributes of the impression"
    SIGNALS = "numbers beside the clicks of the history"
    CANDIDATE_SIGNALS = "numbers beside the candidates"
    CANDIDATES = "the candidates, before the user is made"
    STATES = "hidden states of the frozen lower layers, made once and cached"


class Reads(enum.Enum):
    """What feeds a content operator."""

    VECTORS = "token vectors (N, L, W) of the Recommender's `tokens`"
    TOKENS = "token ids (N, L) of the operator's own tokenizer"
    ROWS = "item rows (N, 1)"
    CODES = "codes (N, V) of one categorical attribute"
    NUMBERS = "numbers (N, 1) of one numeric attribute"
    PARTS = "what its parts give, side by side (N, K, D)"


@attrs.frozen(eq=False, kw_only=True)
class Needs:
    """What was asked for beyond the tensor; None, or an empty mapping, where nobody did.

    Values of attributes are whole numbers below `Context.item_vocabularies[name]` (or those of users and impressions); 0 is
    padding, a missing value, or one that the data the model was made for does not have. Real values come first.
    """

    user: Tensor | None = None
    """USER. (B,) int64, counted from 1; 0 is a user that the train part does not have."""
    profile: Mapping[str, Tensor] = attrs.field(factory=dict)
    """PROFILE. Attribute → (B, V) int64."""
    times: Tensor | None = None
    """TIMES. (B, S) int64, seconds from each click to the impression, at least 0; 0 at padding."""
    impression: Mapping[str, Tensor] = attrs.field(factory=dict)
    """IMPRESSION. Attribute → (B, V) int64; all 0 where it is not an impression of the data that is scored."""
    signals: Mapping[str, Tensor] = attrs.field(factory=dict)
    """SIGNALS. Name → (B, S) float32, such as how long each click was read; NaN where it is missing, 0 at padding."""
    candidate_signals: Mapping[str, Tensor] = attrs.field(factory=dict)
    """CANDIDATE_SIGNALS. Name → (B, C) float32: what the data has beside candidates (their position; NaN at one that is not of
    the impression, too), or what was known of them before the impression (`past_rate`, `past_age`: see `lego.data.past`). NaN
    where it is missing, 0 at padding; empty before the candidates are known."""
    history: Mapping[str, Tensor] = attrs.field(factory=dict)
    """ATTRIBUTES of the history's items. Attribute → (B, S, V) int64."""
    candidates: Mapping[str, Tensor] = attrs.field(factory=dict)
    """ATTRIBUTES of the candidates. Attribute → (B, C, V) int64; empty before the candidates are known."""
    items: Mapping[str, Tensor] = attrs.field(factory=dict)
    """ATTRIBUTES of the items that a content operator encodes. Attribute → (N, V) int64."""
    tokens: Tensor | None = None
    """TOKENS. (B, T, W) floating point: the token vectors of the history's items, one item behind the other."""
    token_slots: Tensor | None = None
    """TOKENS. (B, T) int64: the history slot, counted from 1, that each token belongs to; 0 is padding."""
    states: Tensor | None = None
    """STATES. (N, L, W) floating point; (N, 1, W) where an item has one state."""

    def at(self, rows: Tensor) -> Needs:
        """The needs of the users at `rows` (R,) of these B users, in that order."""
        return self._mapped(lambda tensor: tensor[rows])

    def to(self, device: Any, *, non_blocking: bool = False) -> Needs:
        """The same needs on a device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pinned(self) -> Needs:
        """The same needs in memory that a device can read by itself."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Needs:
        def of(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: change(each) for name, each in value.items()}
            return None if value is None else change(value)

        return Needs(**{field.name: of(getattr(self, field.name)) for field in attrs.fields(Needs)})


@attrs.frozen(eq=False, slots=False)
class Out:
    """What a stage gives: a tensor, its mask where the form has one, and named auxiliary losses (scalars)."""

    tensor: Tensor
    mask: Tensor | None = None
    losses: Mapping[str, Tensor] = attrs.field(factory=dict)

    def __init__(
        self, tensor: Tensor, mask: Tensor | None = None, losses: Mapping[str, Tensor] | None = None
    ) -> None:
        # Written out, since torch.compile cannot look into what attrs makes of a frozen class.
        object.__setattr__(self, "tensor", tensor)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "losses", {} if losses is None else losses)


def summed(*several: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Losses of several operators; those of one name are one loss, their sum, so that none is lost."""
    together: dict[str, Tensor] = {}
    for losses in several:
        for name, loss in losses.items():
            together[name] = together[name] + loss if name in together else loss
    return together


@attrs.frozen
class Candidates:
    """Which candidates a task asks the training batches for.

    `negatives=K`: a row for each positive, with K negatives from `source`. `negatives=None`: all candidates of an impression;
    with the source `batch` a row for each positive, and all other positives of the batch.
    """

    negatives: int | None
    source: str = "impression"
    correction: Literal["frequency", "rate"] | None = None
    """What is added to the scores before the loss, so that they need not learn how candidates were drawn. `frequency`: minus the
    log of how often an item is drawn. `rate`: minus the log of the rate at which negatives were kept."""
    exclude: Literal["positives", "history"] = "history"
    """What negatives from elsewhere than the impression may not be: the user's clicks in the part, or those before, too."""


class SequenceModule(Protocol):
    """Torch of a Sequence operator; also of a behavior operator that does not look at candidates."""

    def __call__(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) with its mask."""
        ...


class ContentModule(Protocol):
    """Torch of a content operator. `tokens` is what `Reads` says: (N, L) ids, (N, L, W) vectors, (N, 1) rows and so on."""

    def __call__(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, L[, W]), mask (N, L) -> (N, D)."""
        ...


class FrozenStatesModule(ContentModule, Protocol):
    """Torch of a content operator that asks for STATES: it says what they are, and makes them.

    They are made once for all items, kept on disk under all that can change them, and shared between runs; tokens and tokenizer
    are part of the key without being told. `lego.pretrained.model.frozen_key` hashes what is frozen of a checkpoint.
    """

    states_key: str
    """A hash of all that `lower` depends on but for the tokens."""
    states_width: int
    """W of a state."""
    states_dtype: Literal["float32", "bfloat16", "float16"]
    """What they are stored as."""
    states_per: Literal["token", "item"]
    """Whether every token has a state, (N, L, W), or an item has one, (N, 1, W)."""
    states_about: Mapping[str, str]
    """What `lego cache list` shows: `checkpoint`, `layers`."""

    def lower(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (N, L), mask (N, L) -> states (N, L, W), or (N, 1, W) with `states_per` item; without gradient."""
        ...

    def drop_lower(self) -> None:
        """Takes what `lower` runs out of memory: from now on `Needs.states` is given."""
        ...


class CandidateAwareModule(Protocol):
    """Torch of a behavior operator that needs the candidates; it runs inside `score` and is never cached per user."""

    def __call__(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C, D)."""
        ...


class PredictorModule(Protocol):
    """Torch of a predictor."""

    def __call__(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor | Out:
        """user in a form it takes, candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        ...


class TaskModule(Protocol):
    """Torch of a task."""

    def __call__(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> loss, a scalar."""
        ...


# --- around a model -----------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False, kw_only=True)
class Lists:
    """What a re-ranker reads: a ranked list of items for each of B impressions or users. Items are numbered; 0 is no item."""

    items: Ragged
    """The items of each list, best first."""
    scores: NDArray[np.float32]
    """One for each value of `items`, as the model gave them: falling within a list."""
    histories: Ragged
    """What the user of each list read before, oldest first; it may be empty."""
    vectors: NDArray[np.float32] | None = None
    """(items + 1, D), where the re-ranker `reads_vectors`; that of item 0 is zero."""
    categories: NDArray[np.int64] | None = None
    """(items + 1,), where the re-ranker `reads_categories`: whole numbers from 0, and -1 where an item has none."""

    def __len__(self) -> int:
        return len(self.items)


@attrs.frozen(eq=False, kw_only=True)
class Tracked:
    """What a tracker is told of a run when it begins."""

    name: str
    """What the run is called; runs of one name belong together."""
    id: str
    """The name of its folder, which no other run of that name has."""
    folder: Path
    """Its folder, in which a tracker may keep files of its own."""
    text: str
    """The experiment, as the expression that makes it."""
    options: Mapping[str, str | float | bool | None]
    """Every option by its path (`training.lr`); what is no plain value as its expression."""
    resumed: bool = False
    """Whether it goes on with what was begun before, so that an epoch may be told again."""


class Tracking(Protocol):
    """A tracker at work on one run. Names of values are `train/loss`, `dev/ndcg@5`, `test/auc`; every value is finite."""

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """While an epoch goes on, now and then: batches since the first epoch, and what they gave."""
        ...

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Behind an epoch, counted from 1."""
        ...

    def close(self, state: Literal["finished", "stopped", "failed"], values: Mapping[str, float]) -> None:
        """At the end, however it came: the numbers of the test part where the run was finished, else none."""
        ...
