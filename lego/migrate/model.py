"""The model file: what its operators, inputs and predictor are in lego, and where they compute something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from lego import catalog
from lego.behavior.flat import Flat
from lego.behavior.history import History
from lego.behavior.poly_attention import PolyAttention
from lego.content.embedding import Embedding
from lego.content.item_id import ItemID
from lego.content.lookup import Lookup
from lego.content.pretrained import Pretrained
from lego.content.views import Views
from lego.errors import CatalogError, did_you_mean
from lego.migrate.data import Data
from lego.migrate.notes import Options, Told
from lego.migrate.predictor import predictor_of
from lego.migrate.vectors import Vectors
from lego.predictor.dot import Dot
from lego.pretrained.layers import Full, Layers, Lora, Split
from lego.recommender import Recommender
from lego.sequence.additive import Additive
from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.concat import Concat
from lego.sequence.fastformer import Fastformer
from lego.sequence.gru import GRU
from lego.sequence.maximum import Max
from lego.sequence.mean import Mean
from lego.sequence.sum import Sum
from lego.sequence.transformer import Transformer
from lego.spec import Behavior, Content, Sequence, Task
from lego.task.matching import Matching
from lego.task.ranking import Ranking

CHECKPOINTS: Mapping[str, str] = {
    "bertbase": "google-bert/bert-base-uncased",
    "bertlarge": "google-bert/bert-large-uncased",
    "llama1": "huggyllama/llama-7b",
    "llama2": "meta-llama/Llama-2-7b-hf",
    "llama3": "meta-llama/Meta-Llama-3-8B",
    "optbase": "facebook/opt-350m",
    "optlarge": "facebook/opt-1.3b",
    "glm4th9b": "zai-org/glm-4-9b-hf",
}
"""The language models of Legommenders, where `.model` does not name others."""

DEAD: Mapping[str, str] = {
    "scsimple": "an item as the words of one column, passed on as they are",
    "scflatten": "the words of one column of the history, passed on as they are",
    "semantic": "one operator for each level of codes",
}
"""Operators that lego has no counterpart for."""

HEADS, INNER, DROPOUT = 8, 256, 0.1
"""What operators take where nothing is said: heads, the width of additive attention, dropout."""

_FAST = "it changes no number in lego, where what can be cached is cached"
_INPUTS = ("Attention", "Transformer", "Fastformer", "Ada", "GRU")


@attrs.frozen(kw_only=True)
class Model:
    """What the model file says."""

    recommender: Recommender
    task: Task
    pretrained: bool
    """Whether weights of a language model learn, so that they may have a rate of their own."""


def model_of(
    document: Mapping[str, Any], data: Data, vectors: Vectors, checkpoints: Mapping[str, str], told: Told
) -> Model:
    """What a model file says."""
    options = Options(document, "model", told)
    options.take("name")
    meta, config = options.part("meta"), options.part("config")
    width = config.number("hidden_size", 256)
    config.unneeded(_FAST, "use_fast_eval", "item_page_size", "cache_page_size", "page_size")
    names = {role: str(meta.take(role, "")) for role in ("item", "user", "predictor")}
    task = _task(config, data, told)
    has_content = config.flag("use_item_content", default=True) and bool(names["item"])
    items = _Items(data, vectors, checkpoints, width, told)
    inner = config.take("item_hidden_size")
    content = items.content(names["item"] if has_content else "", config.part("item_config"))
    if type(inner) is int and inner != width and items.tokens_count:
        what = f"{inner} left out: vectors of words are as wide as their table, or as the model ({width})"
        told.note("model.config.item_hidden_size", what)
    behavior = _Sequences(width, told).behavior(names["user"], config.part("user_config"))
    predictor = predictor_of(names["predictor"], config.part("predictor_config"), width, told)
    for each in (meta, config, options):
        each.close()
    tokens = vectors.tokens_of(data, checkpoints) if items.reads_words else None
    pieces = tokens is not None or not items.reads_words
    values = [each.name for each in data.texts if each.budget == 1 and each.vocabulary is None]
    if values and pieces and items.tokens_count:
        what = f"{', '.join(values)}: a value was one token, with a vector of its own; it is read as words, up to 4"
        told.note("data.item.inputs", what)
    recommender = Recommender(
        content=content or ItemID(),
        behavior=behavior or Mean(),
        predictor=predictor or Dot(),
        reads=data.reads(pieces=pieces) if items.tokens_count else None,
        tokens=tokens,
        width=width,
    )
    return Model(recommender=recommender, task=task, pretrained=items.learns_language)


def _task(config: Options, data: Data, told: Told) -> Task:
    count, where = config.number("neg_count", 4), f"{config.where}.neg_count"
    if not config.flag("use_neg_sampling", default=True):
        return Ranking()
    if count < 1:
        told.problem(
            where, f"{count} negatives of a click", "write a whole number above 0, or use_neg_sampling: false"
        )
        return Matching()
    if data.negatives:
        told.note(
            where,
            "where a user had too few negatives, items were drawn from all; lego draws among those of the user alone",
        )
        return Matching(negatives=count, source="user")
    told.note(
        where,
        "negatives were drawn from all items, clicked ones included; lego leaves out what the user clicked",
    )
    return Matching(negatives=count, source="uniform", exclude="positives")


class _Sequences:
    """The operators that both sides share: a sequence to a vector."""

    def __init__(self, width: int, told: Told) -> None:
        self.width, self.told = width, told

    def sequence(self, name: str, options: Options) -> Sequence | None:
        """The operator of a name; None where it is not one of these."""
        makers: Mapping[str, Callable[[Options], Sequence]] = {
            "attention": self._attention,
            "transformer": self._transformer,
            "fastformer": self._fastformer,
            "ada": self._additive,
            "gru": self._gru,
        }
        maker = makers.get(name.lower())
        return None if maker is None else maker(options)

    def behavior(self, name: str, options: Options) -> Behavior | None:
        """The user operator."""
        key, where = name.lower(), "model.meta.user"
        self._inputer(options)
        options.unneeded("lego takes it from the data", "columns", "use_item_content")
        made: Behavior | None
        if key == "pooling":
            options.unneeded("the operator has no such part", "dropout", "kernel_size")
            if options.flag("flatten", default=False):
                self.told.note(
                    f"{options.where}.flatten", "left out: the vectors of a history are not joined but pooled"
                )
            made = Max() if options.flag("max_pooling", default=False) else Mean()
        elif key == "polyattention":
            made = PolyAttention(
                interests=options.number("num_context_codes", 32),
                hidden=options.number("context_code_dim", 200),
                disagreement=0.0,
            )
        elif key in ("null", "nullsimple", "nullconcat"):
            made = History()
        elif key in ("flattentransformer", "flattenfastformer"):
            inner = self.sequence(key.removeprefix("flatten"), options)
            made = None if inner is None else Flat(inner)
            self.told.note(
                where, f"{name} marks items by separators; lego adds a learned vector where an item begins"
            )
        else:
            made = self.sequence(key, options)
        if made is None:
            self._unknown(
                where,
                name,
                ("Pooling", "PolyAttention", "Null", "FlattenTransformer", "FlattenFastformer", *_INPUTS),
            )
        else:
            options.close()
        return made

    def _unknown(self, where: str, name: str, known: tuple[str, ...]) -> None:
        if name.lower() in DEAD:
            what = f"{name} ({DEAD[name.lower()]}) has no counterpart in lego"
            self.told.problem(where, what, "choose another operator")
        elif not name:
            self.told.problem(where, "no operator is named", f"name one of: {', '.join(known)}")
        else:
            fix = f"{did_you_mean(name, known)}Known: {', '.join(known)}"
            self.told.problem(where, f"{name!r} is not known", fix)

    def _inputer(self, options: Options) -> None:
        inputs = options.part("inputer_config")
        for name in ("use_cls_token", "use_sep_token", "use_attr_sep_token"):
            if inputs.flag(name, default=False):
                what = "lego has no CLS; between attributes of an item it has a separator, whether asked for or not"
                self.told.note(inputs.where, what)
        inputs.close()

    def _pool(self, options: Options, hidden: int = INNER) -> Additive:
        return Additive(hidden=options.number("additive_hidden_size", hidden))

    def _attention(self, options: Options) -> Attention:
        made = Attention(
            heads=options.number("num_attention_heads", HEADS),
            dropout=options.number("attention_dropout", DROPOUT, float),
            projection=True,
            pool=self._pool(options),
        )
        what = "dropout falls on what the heads find, not on the weights, and one linear layer follows where there were two"
        self.told.note(options.where, f"Attention: {what}")
        return made

    def _transformer(self, options: Options) -> Transformer:
        options.unneeded("its pool is as wide as the model", "additive_hidden_size")
        return Transformer(
            layers=options.number("num_hidden_layers", 3),
            heads=options.number("num_attention_heads", HEADS),
            activation="gelu",
            dropout=options.number("attention_dropout", DROPOUT, float),
            pool=Additive(hidden=self.width),
        )

    def _fastformer(self, options: Options) -> Fastformer:
        return Fastformer(
            layers=options.number("num_hidden_layers", 3),
            heads=options.number("num_attention_heads", HEADS),
            dropout=options.number("attention_dropout", DROPOUT, float),
            pool=self._pool(options),
        )

    def _additive(self, options: Options) -> Additive:
        return self._pool(options)

    def _gru(self, options: Options) -> GRU:
        self.told.note(
            options.where,
            "GRU: a linear layer followed the last state; in lego none does where the widths agree",
        )
        return GRU(hidden=self.width, layers=options.number("num_layers", 1))


class _Items(_Sequences):
    """The item operator, with what it reads."""

    def __init__(
        self, data: Data, vectors: Vectors, checkpoints: Mapping[str, str], width: int, told: Told
    ) -> None:
        super().__init__(width, told)
        self.data, self.vectors = data, vectors
        self.checkpoints = {**CHECKPOINTS, **checkpoints}
        self.reads_words = False
        """Whether it reads vectors of words, which have to come from somewhere."""
        self.tokens_count = False
        """Whether it reads attributes, with so many tokens of each."""
        self.learns_language = False

    def content(self, name: str, options: Options) -> Content | None:
        """The item operator; the vector of an id, made or given, where there is none."""
        self._inputer(options)
        language = self._language(name.lower())
        if self.data.prompts and (language is None or not self.data.texts):
            self.told.note("data.item.inputs", "prompts left out: the content operator is no language model")
        if not name:
            options.close()
            return self._ids()
        ids = [each for each in self.data.columns if each.name == "item_id"]
        if ids:
            return self._of_ids(ids, name, options)
        self.tokens_count = True
        if language is not None:
            made = self._pretrained(name, *language, options)
        else:
            self.reads_words = True
            made = self._of_words(name, options)
        if made is not None:
            options.close()
        return made

    def _ids(self) -> Content:
        given = self.vectors.of_items()
        return ItemID() if given is None else Embedding(given.path, trainable=not given.frozen)

    def _of_ids(self, ids: list[Any], name: str, options: Options) -> Content:
        """Ids among the columns: a vector for each item, learned or given, and both where they stand twice."""
        parts: list[Content] = []
        for column in ids:
            given = self.vectors.of_column(column.alias)
            parts.append(ItemID() if given is None else Embedding(given.path, trainable=not given.frozen))
        for name_, value in options.rest.items():
            self.told.note(
                f"{options.where}.{name_}", f"{value!r} left out: vectors of items pass through no {name}"
            )
        if len(parts) > 1:
            self.told.note(
                "model.meta.item",
                f"{name}: the vectors of an item are added, where they were averaged or attended to",
            )
        if self.data.texts:
            left = ", ".join(each.name for each in self.data.texts)
            self.told.note("data.item.inputs", f"{left} left out: beside ids only ids are translated")
        return parts[0] if len(parts) == 1 else Sum(*parts)

    def _of_words(self, name: str, options: Options) -> Content | None:
        key = name.lower()
        if key == "pooling":
            return self._pooling(options)
        if key in ("cnn", "cnncat"):
            cnn = CNN(
                kernel=options.number("kernel_size", 3),
                dropout=options.number("dropout", DROPOUT, float),
                pool=self._pool(options),
            )
            return self._convolved(cnn, joined=key == "cnncat")
        made = self.sequence(key, options)
        if made is None:
            known = (
                "Pooling",
                "CNN",
                "CNNCat",
                *_INPUTS,
                "BertBase",
                "BertLarge",
                "Llama1",
                "OPTBase",
                "GLM4TH9B",
                "BertBaseIISAN",
            )
            self._unknown("model.meta.item", name, known)
        return made

    def _pooling(self, options: Options) -> Content:
        options.unneeded("the operator has no such part", "dropout", "kernel_size", "num_attention_heads")
        pool: type[Mean | Max] = Max if options.flag("max_pooling", default=False) else Mean
        if options.flag("flatten", default=False):
            self.told.note(
                f"{options.where}.flatten", "left out: the vectors of the columns are not joined but pooled"
            )
        texts = self.data.texts
        if len(texts) < 2:
            return pool()
        views: dict[str, Content] = {each.name: pool() for each in texts}
        return Views(pool=pool(), **views)

    def _convolved(self, cnn: CNN, *, joined: bool) -> Content:
        texts = self.data.texts
        if len(texts) < 2:
            return cnn
        if joined:
            parts: list[Content] = []
            for each in texts:
                view: dict[str, Any] = {each.name: cnn if each.budget > 1 else Lookup()}
                parts.append(Views(**view))
            what = "the vectors of the columns were joined; in lego a linear layer then leads back to the model's width"
            self.told.note("model.meta.item", f"CNNCat: {what}")
            return Concat(*parts)
        what = "the convolution runs over the columns as one text, those of one token included"
        self.told.note("model.meta.item", f"CNN: {what}; it ran over each alone")
        return cnn

    def _language(self, key: str) -> tuple[str, bool] | None:
        """The language model of a name, and whether it is adapted by side networks."""
        side = key.endswith("iisan")
        plain = key.removesuffix("iisan")
        plain = {"bert": "bertbase", "llama": "llama1", "opt": "optbase", "glm": "glm4th9b"}.get(plain, plain)
        return (plain, side) if plain in self.checkpoints else None

    def _template(self) -> str | None:
        """Prompts as one text, since their words are not in the file."""
        if not self.data.prompts:
            return None
        made = " ".join(f"{each.name.capitalize()}: {{{each.name}}}" for each in self.data.texts)
        self.told.note(
            "data.item.inputs", f"the words of the prompts are not in the file: {made!r} stands for them"
        )
        return made

    def _pretrained(self, name: str, model: str, side: bool, options: Options) -> Content | None:  # noqa: FBT001
        checkpoint = self.checkpoints[model]
        template = self._template()
        if self.vectors.of_words(self.data) is None:
            what = f"no embed file gives its token vectors, so that a table at random was read; lego reads those of {checkpoint}"
            self.told.note("embed", what)
        if side:
            return self._side(checkpoint, template, options)
        layers = self._layers(options)
        self.learns_language = True
        what = "the tokens have those of their model that begin and end a text; there were none"
        self.told.note("model.meta.item", f"{name}: {what}")
        pool = self._pool(options)
        return Pretrained(checkpoint, layers=layers, pool=pool, dropout=0.0, template=template)

    def _layers(self, options: Options) -> Layers:
        given = "tune_from" in options.rest
        first = options.take("tune_from", None if given else 0)
        where = f"{options.where}.tune_from"
        if first is not None and type(first) is not int:
            self.told.problem(where, f"{first!r} is no number of a layer", "write a whole number, or null")
            first = None
        table = self.vectors.of_words(self.data)
        learns = table is not None and not table.frozen
        adapters = None
        if options.flag("use_lora", default=True):
            adapters = Lora(
                rank=options.number("lora_r", 32),
                alpha=options.number("lora_alpha", 128, float),
                dropout=options.number("lora_dropout", DROPOUT, float),
            )
        else:
            options.unneeded("use_lora is false", "lora_r", "lora_alpha", "lora_dropout")
        if first:
            what = f"{first} left out layer {first} of the model itself; in lego it is there, and learns"
            self.told.note(where, what)
            split = Split(first)
            return split if adapters is None else split | adapters
        if first == 0:
            self.told.note(where, "0 left out layer 0 of the model; in lego all layers are there, and learn")
        if adapters is not None:
            return adapters
        return Full() if learns else Split(0)

    def _side(self, checkpoint: str, template: str | None, options: Options) -> Content | None:
        """Side networks over frozen layers: the operator of a plugin."""
        try:
            made: Any = catalog.load("content", "IISAN")
        except CatalogError:
            what = "side networks are the operator of a plugin that is not installed"
            self.told.problem("model.meta.item", what, "pip install legorec-iisan")
            return None
        options.unneeded(
            "lego has one projection, behind the last block", "global_proj_size", "local_proj_size"
        )
        every = options.number("layer_selection_step", 1)
        what = "blocks narrow to `hidden` and widen again, with gates of temperature 0.1; they widened to twice the width"
        self.told.note("model.meta.item", f"IISAN as published: {what}")
        content: Content = made(checkpoint, every=every, embeddings=False, norm=True, template=template)
        return content


def root_of(path: Path) -> Path:
    """The folder that the paths in a file lead from: what holds its `config` folder, else the working directory."""
    parents = path.resolve().parents
    return next((each.parent for each in parents if each.name == "config"), Path())
