"""Configurations in the layouts of Legommenders, written by hand, and what comes of each of their options."""

from __future__ import annotations

import copy
import itertools
import sys

import pytest
import yaml

from lego import (
    CNN,
    DCN,
    DIN,
    DNN,
    GDCN,
    GRU,
    MIND,
    PNN,
    XMIND,
    Additive,
    Attention,
    AutoInt,
    Concat,
    DCNv2,
    DeepFM,
    Embedding,
    Evaluation,
    Fastformer,
    FinalMLP,
    Flat,
    GloVe,
    History,
    InterestAttention,
    ItemID,
    Lookup,
    MaskNet,
    Matching,
    Max,
    Mean,
    Poly,
    PolyAttention,
    Pretrained,
    PretrainedTokens,
    Ranking,
    RecBench,
    Sum,
    Tables,
    Transformer,
    Views,
    full,
    lora,
    parse,
    split,
    zoo,
)
from lego.compiler.check import check
from lego.errors import DataError
from lego.migrate.dialect import imported
from lego.migrate.script import migrate
from lego.runtime.script import load_experiment
from lego.testing.checkpoint import tiny_checkpoint

PLAIN = {"inputer_config": {"use_cls_token": False, "use_sep_token": False}}
UNITS = [1000, 1000, 1000]
PERCEPTRON = {
    "dnn_hidden_units": UNITS,
    "dnn_activations": "ReLU",
    "dnn_dropout": 0.1,
    "dnn_batch_norm": False,
}
WIDE = (1000, 1000, 1000)

DATA = {
    "name": "mind",
    "base_dir": "data/mind",
    "item": {"ut": "${data.base_dir}/items", "inputs": [{"title@glove": 30}, {"category": 1}]},
    "user": {"ut": "${data.base_dir}/users", "truncate": -50},
    "inter": {
        "train": "${data.base_dir}/train",
        "dev": "${data.base_dir}/valid",
        "test": "${data.base_dir}/test",
        "filters": {"history": ["lambda x: x"]},
    },
    "column_map": {
        "item_col": "item_id",
        "user_col": "user_id",
        "history_col": "history",
        "neg_col": "neg",
        "label_col": "click",
        "group_col": "user_id",
    },
}
MODEL = {
    "name": "NAML",
    "meta": {"item": "CNN", "user": "Ada", "predictor": "Dot"},
    "config": {
        "use_neg_sampling": True,
        "use_item_content": True,
        "use_fast_eval": "${fast_eval:true}$",
        "item_page_size": "${item_page_size:128}$",
        "cache_page_size": 512,
        "hidden_size": "${hidden_size}$",
        "item_hidden_size": "${item_hidden_size}$",
        "neg_count": 4,
        "item_config": {"kernel_size": 3, "dropout": 0.1},
        "user_config": PLAIN,
    },
}
EXP = {
    "load": {"sign": "${load_sign:null}", "model_only": True, "strict": False},
    "store": {"metric": "${metric:GAUC}", "patience": "${patience:5}$"},
    "policy": {
        "epoch": 50,
        "lr": "${lr:0.001}$",
        "item_lr": "${item_lr:null}$",
        "freeze_emb": False,
        "pin_memory": False,
        "epoch_batch": "${epoch_batch:0}$",
        "batch_size": "${batch_size}$",
        "device": "gpu",
        "n_warmup": "${warmup:0}$",
        "check_interval": "${interval:-2}$",
        "simple_dev": "${simple_dev:false}$",
    },
    "metrics": ["GAUC", "MRR", "NDCG@1", "NDCG@5", "NDCG@10"],
}
EMBED = {
    "name": "glove",
    "embeddings": [{"path": "data/embeddings/glove.npy", "vocab_name": "glove", "frozen": True}],
    "transformation": "auto",
    "transformation_dropout": 0.1,
}


def changed(document, **changes):
    """A copy with `a__b=value` replaced; None takes it out."""
    made = copy.deepcopy(document)
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = made
        for step in steps:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return made


def model(item=None, user="Ada", predictor="Dot", item_config=None, user_config=None, **config):
    """A model file with these operators."""
    meta = {"user": user, "predictor": predictor, **({"item": item} if item else {})}
    made = changed(
        MODEL, meta=meta, config__item_config=item_config or {}, config__user_config=user_config or {}
    )
    made["config"].update({"hidden_size": 64, **config})
    return made


@pytest.fixture
def migrated(tmp_path):
    """Writes the files, translates them, and sees that the script reads back as the experiment and fits together."""
    numbers = itertools.count()

    def translate(data=DATA, model=MODEL, exp=EXP, embed=None, side=None, raw=None, beside=None, **given):
        folder = tmp_path / f"checkout{next(numbers)}"
        files = []
        for kind, document in {"data": data, "model": model, "embed": embed, "exp": exp}.items():
            if document is not None:
                path = folder / "config" / kind / f"{kind}.yaml"
                path.parent.mkdir(parents=True)
                path.write_text(yaml.safe_dump(document))
                files.append(path)
        for name, text in (side or {}).items():
            (folder / name).write_text(text)
            files.append(folder / name)
        made = migrate(files, given={"batch_size": 64, **given}, raw=raw, beside=beside)
        script = folder / "script.py"
        script.write_text(made.script)
        experiment, _ = load_experiment(str(script))
        if beside is None:
            assert experiment == made.experiment
        absent = [note for note in made.notes if note.where == "to be had first"]
        assert len(check(experiment, files=False)) == len(absent)
        for note in made.notes:
            assert note.where in made.script
        return made

    return translate


def said(made):
    """All notes as one text."""
    return "\n".join(map(str, made.notes))


# --- the dialect --------------------------------------------------------------------------------------------------------------


def test_imports_are_merged_below_what_imports_them(tmp_path):
    """Imports lead from the file that has them, later ones win, and what the file says itself stands above all of them."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common/item.yaml").write_text(
        "meta: {item: Pooling}\nconfig: {hidden_size: 8, item_config: {a: 1, b: 2}}\n"
    )
    (tmp_path / "base.yaml").write_text(
        "$$import: [common/item.yaml]\nmeta: {user: Ada}\nconfig: {hidden_size: 16}\n"
    )
    (tmp_path / "top.yaml").write_text(
        "$$import:\n  - base.yaml\n  - common/item.yaml\nname: X\nconfig: {item_config: {b: 3}}\n"
    )
    assert imported(tmp_path / "top.yaml") == {
        "meta": {"item": "Pooling", "user": "Ada"},
        "config": {"hidden_size": 8, "item_config": {"a": 1, "b": 3}},
        "name": "X",
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("$$import: [self.yaml]\n", "imports itself"),
        ("a: [1\n", "no YAML"),
        ("- a\n", "no mapping"),
        ("!!python/object/apply:os.system ['true']\n", "no YAML"),
        ("banana: 1\n", "neither a data, model, embed nor exp file: it has banana"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path, text, what):
    """A file that cannot be read says why; tags that would run code are not known to the reader."""
    (tmp_path / "self.yaml").write_text(text)
    with pytest.raises(DataError, match=what) as error:
        migrate([tmp_path / "self.yaml"])
    assert error.value.wrong_use


def test_variables_are_filled_in(migrated):
    """From what is given, from defaults, from other files, with their type where `$` stands behind them."""
    data = changed(
        DATA,
        item__inputs=[{"title@${lm}": "${length:30}$"}],
        name="mind",
        user__truncate="${data.slots}$",
        slots=-7,
    )
    made = migrated(data=data, model=changed(MODEL, config__neg_count="${k:2}$"), lm="glove", hidden_size=32)
    assert made.experiment.data.history == 7
    assert made.experiment.model.reads == {"title": 30}
    assert made.experiment.model.width == 32
    assert made.experiment.task.negatives == 2
    assert made.experiment.training.batch_size == 64


def test_missing_variables_and_names_that_nobody_asks_for_are_told_at_once(migrated):
    """A variable without a value is no guess, and a misspelt one does not vanish."""
    data = changed(DATA, item__inputs=[{"title@${lm}": "${length}$"}])
    with pytest.raises(DataError) as error:
        migrated(data=data, hiden_size=3)
    first, second, third = error.value.problems
    assert {first.fix, second.fix} == {"give it: --with lm=VALUE", "give it: --with length=VALUE"}
    assert first.where.startswith("data.item.inputs")
    assert third.where == "--with hiden_size"
    assert "Did you mean 'hidden_size'?" in third.fix


def test_a_variable_that_leads_to_itself_ends(migrated):
    """Two variables that name each other are a problem, not a program that never ends."""
    with pytest.raises(DataError, match="leads to itself"):
        migrated(data=changed(DATA, name="${a}"), a="${b}", b="${a}")


def test_one_of_each_kind_is_needed(tmp_path):
    """Without a model file there is no experiment; two of a kind leave open which is meant."""
    path = tmp_path / "data.yaml"
    path.write_text(yaml.safe_dump(DATA))
    with pytest.raises(DataError, match="no model file"):
        migrate([path])
    with pytest.raises(DataError, match="a second data file"):
        migrate([path, path])


def test_one_file_may_hold_all(tmp_path):
    """The resolved configuration has the four kinds under their names."""
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump({"data": DATA, "model": MODEL, "exp": EXP, "embed": EMBED}))
    assert migrate([path], given={"batch_size": 8}).experiment.training.batch_size == 8


def test_an_option_that_nobody_knows_is_told(migrated):
    """A word put into any mapping of any file comes up again: nothing is dropped in silence."""
    files = {"data": DATA, "model": changed(MODEL, config__predictor_config={}), "exp": EXP, "embed": EMBED}
    wild = {kind: copy.deepcopy(document) for kind, document in files.items()}
    words = []

    def sow(value, path):
        if isinstance(value, dict):
            for name, each in list(value.items()):
                sow(each, [*path, name])
            if path[-1] != "filters":
                words.append("_".join(["odd", *path]))
                value[words[-1]] = 1
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if path[-1] != "inputs":
                    sow(each, [*path, str(number)])

    for kind, document in wild.items():
        sow(document, [kind])
    assert len(words) > 12
    text = said(migrated(**wild))
    assert [word for word in words if word not in text] == []


def test_files_of_version_1_are_told_from_wrong_ones(migrated):
    """Their names are others, and the error says where both stand."""
    with pytest.raises(DataError, match="version 1"):
        migrated(model=changed(MODEL, config__news_config={}))
    old = changed(DATA, inter=None, item={"depot": "a", "order": ["title"]}, user={"depots": {}})
    with pytest.raises(DataError, match="version 1"):
        migrated(data=old)


# --- the model file -----------------------------------------------------------------------------------------------------------

HEADS4 = {"num_attention_heads": 4, "attention_dropout": 0.2, "additive_hidden_size": 16, **PLAIN}
ITEMS = [
    ("Pooling", {}, Views(title=Mean(), category=Mean(), pool=Mean())),
    ("Pooling", {"max_pooling": True}, Views(title=Max(), category=Max(), pool=Max())),
    (
        "CNN",
        {"kernel_size": 5, "dropout": 0.3, "additive_hidden_size": 9},
        CNN(kernel=5, dropout=0.3, pool=Additive(hidden=9)),
    ),
    ("CNNCat", {}, Concat(Views(title=CNN()), Views(category=Lookup()))),
    ("Attention", HEADS4, Attention(heads=4, dropout=0.2, projection=True, pool=Additive(hidden=16))),
    (
        "Transformer",
        {"num_hidden_layers": 2, "num_attention_heads": 4},
        Transformer(layers=2, heads=4, activation="gelu", pool=Additive(hidden=64)),
    ),
    ("Transformer", {}, Transformer(layers=3, activation="gelu", pool=Additive(hidden=64))),
    ("FastFormer", {"num_attention_heads": 16, "num_hidden_layers": 1}, Fastformer(layers=1, heads=16)),
    ("Fastformer", {}, Fastformer(layers=3, heads=8)),
    ("Ada", {"additive_hidden_size": 32}, Additive(hidden=32)),
    ("GRU", {"num_layers": 2}, GRU(hidden=64, layers=2)),
]


@pytest.mark.parametrize(("name", "options", "expected"), ITEMS)
def test_item_operators(migrated, name, options, expected):
    """Each operator over words, with each of its options."""
    made = migrated(model=model(name, item_config=options))
    assert made.experiment.model.content == expected
    assert made.experiment.model.reads == {"title": 30, "category": 1}


USERS = [
    ("Pooling", {}, Mean()),
    ("Pooling", {"max_pooling": True}, Max()),
    ("Ada", {}, Additive()),
    ("Attention", {"num_attention_heads": 16}, Attention(heads=16, projection=True)),
    ("GRU", {}, GRU(hidden=64)),
    (
        "Transformer",
        {"num_hidden_layers": 1},
        Transformer(layers=1, activation="gelu", pool=Additive(hidden=64)),
    ),
    ("Fastformer", {"num_hidden_layers": 1, "num_attention_heads": 16}, Fastformer(layers=1, heads=16)),
    (
        "FlattenTransformer",
        {"num_hidden_layers": 1},
        Flat(Transformer(layers=1, activation="gelu", pool=Additive(hidden=64))),
    ),
    ("FlattenFastformer", {}, Flat(Fastformer(layers=3, heads=8))),
]


@pytest.mark.parametrize(("name", "options", "expected"), USERS)
def test_user_operators(migrated, name, options, expected):
    """Each operator over histories, with its options."""
    made = migrated(model=model("CNN", name, user_config={**options, **PLAIN}))
    assert made.experiment.model.behavior == expected


PREDICTORS = {
    ("DNN", ()): DNN(hidden=(64, 64, 64), dropout=0.0),
    ("DNN", tuple(PERCEPTRON)): DNN(hidden=WIDE),
    ("PNN", tuple(PERCEPTRON)): PNN(hidden=WIDE),
    ("DeepFM", tuple(PERCEPTRON)): DeepFM(hidden=WIDE),
    ("DCN", (*PERCEPTRON, "cross_num")): DCN(cross=2, hidden=WIDE),
    ("GDCN", (*PERCEPTRON, "cross_num")): GDCN(cross=2, hidden=WIDE),
    ("GDCN", (*PERCEPTRON, "sequential_mode")): GDCN(hidden=WIDE, structure="stacked"),
    ("DCNv2", ("crossnet_only",)): DCNv2(structure="stacked", rank=None, hidden=(), dropout=0.0),
    ("DCNv2", ("stacked", "use_low_rank_mixture", "low_rank", "num_experts", "cross_num")): DCNv2(
        structure="stacked", cross=2, rank=8, experts=2, hidden=(20, 10), dropout=0.0
    ),
    ("DCNv2", ("parallel",)): DCNv2(rank=None, hidden=(30, 10), dropout=0.0),
    ("DCNv2", ("stacked_parallel", "use_low_rank_mixture", "dnn_dropout")): DCNv2(
        structure="stacked", hidden=(20, 10)
    ),
    (
        "AutoInt",
        (*PERCEPTRON, "num_attention_layers", "num_attention_heads", "attention_dim", "use_residual"),
    ): AutoInt(layers=2, heads=4, head_width=8, hidden=WIDE),
    ("AutoInt", ()): AutoInt(layers=3, heads=8, head_width=8, hidden=(64, 64, 64), dropout=0.0),
    ("FinalMLP", ("mlp1_hidden_units", "mlp2_hidden_units", "num_heads")): FinalMLP(
        first=(20, 10), second=(30, 10), heads=2, dropout=0.0
    ),
    (
        "MaskNet",
        ("hidden_units", "parallel_num_blocks", "parallel_block_dim", "reduction_ratio", "net_dropout"),
    ): MaskNet(blocks=2, units=32, reduction=1.5, hidden=(20, 10), dropout=0.2),
    ("MaskNet", ("SerialMaskNet",)): MaskNet(
        structure="serial", blocks=3, units=64, reduction=1.0, hidden=(), dropout=0.0
    ),
}
VALUES = {
    **PERCEPTRON,
    "cross_num": 2,
    "sequential_mode": True,
    "use_low_rank_mixture": True,
    "low_rank": 8,
    "num_experts": 2,
    "num_attention_layers": 2,
    "num_attention_heads": 4,
    "attention_dim": 32,
    "use_residual": True,
    "mlp1_hidden_units": [20, 10],
    "mlp2_hidden_units": [30, 10],
    "num_heads": 2,
    "hidden_units": [20, 10],
    "parallel_num_blocks": 2,
    "parallel_block_dim": 32,
    "reduction_ratio": 1.5,
    "net_dropout": 0.2,
}
WORDS = {
    **{
        each: {
            "model_structure": each,
            "stacked_dnn_hidden_units": [20, 10],
            "parallel_dnn_hidden_units": [30, 10],
        }
        for each in ("crossnet_only", "stacked", "parallel", "stacked_parallel")
    },
    "SerialMaskNet": {"model_type": "SerialMaskNet"},
}


def options_of(names):
    made = {}
    for name in names:
        made.update(WORDS.get(name) or {name: VALUES[name]})
    return made


@pytest.mark.parametrize(("name", "options"), PREDICTORS)
@pytest.mark.parametrize("sampled", [True, False])
def test_predictors_of_one_vector(migrated, name, options, sampled):
    """Each predictor of a pair of vectors, with each of its options, in both tasks."""
    written = model(
        user="Pooling", predictor=name, predictor_config=options_of(options), use_neg_sampling=sampled
    )
    made = migrated(model=written)
    assert made.experiment.model.predictor == PREDICTORS[name, options]
    assert made.experiment.model.content == ItemID()
    assert made.experiment.task == (Matching(source="user", negatives=4) if sampled else Ranking())


@pytest.mark.parametrize("score", ["weighted", "max", "mean"])
def test_miner(migrated, score):
    """Interests by codes, without the loss that was not there, and the three ways to make one score of theirs."""
    user = {"num_context_codes": 8, "context_code_dim": 16, **PLAIN}
    written = model(
        "Transformer", "PolyAttention", "MINER", user_config=user, predictor_config={"score_type": score}
    )
    found = migrated(model=written).experiment.model
    assert found.behavior == PolyAttention(interests=8, hidden=16, disagreement=0.0)
    assert found.predictor == InterestAttention(score=score)
    assert migrated(model=model("CNN", "PolyAttention", "MINER")).experiment.model.behavior.hidden == 200


@pytest.mark.parametrize("name", ["Null", "NullConcat", "NullSimple"])
def test_din(migrated, name):
    """The whole history and its attention, without the candidate in the last perceptron."""
    options = {
        "dnn_hidden_units": UNITS,
        "dnn_activations": "ReLU",
        "attention_hidden_units": [64],
        "attention_dropout": 0.1,
        "net_dropout": 0.1,
        "batch_norm": False,
        "din_use_softmax": False,
    }
    found = migrated(
        model=model("Pooling", name, "DIN", predictor_config=options, use_neg_sampling=False)
    ).experiment.model
    assert found.behavior == History()
    assert found.predictor == DIN(attention=(64,), hidden=WIDE, candidate=False)
    plain = migrated(model=model(None, name, "DIN", use_neg_sampling=False)).experiment.model
    assert plain.predictor == DIN(attention=(64,), hidden=(512, 128, 64), candidate=False)


def test_poly(migrated):
    """A predictor asked once for each vector of a user, which there could not be made."""
    written = model(
        "CNN", "PolyAttention", "Poly", predictor_config={"num_layers": 2, "base_predictor": "DNN"}
    )
    assert migrated(model=written).experiment.model.predictor == Poly(DNN(hidden=(64, 64, 64), dropout=0.0))


@pytest.mark.parametrize(
    ("where", "options", "told"),
    [
        ("predictor_config", {"dnn_activations": "Tanh"}, "Tanh left out"),
        ("predictor_config", {"dnn_batch_norm": True}, "lego's perceptrons have none"),
        ("item_config", {"flatten": True}, "not joined but pooled"),
        ("item_config", {"inputer_config": {"use_cls_token": True}}, "lego has no CLS"),
        ("user_config", {"flatten": True}, "not joined but pooled"),
        ("predictor_config", {"dnn_drop": 0.1}, "no such option is known. Did you mean 'dnn_dropout'?"),
    ],
)
def test_options_without_a_counterpart_are_told(migrated, where, options, told):
    """An option that lego cannot say stands among the notes, and the rest is translated."""
    made = migrated(model=model("Pooling", "Pooling", "DNN", **{where: options}))
    assert told in said(made)


@pytest.mark.parametrize(
    ("user", "name", "options", "told"),
    [
        ("Null", "DIN", {"dnn_activations": "ReLU"}, "ReLU left out: it is Dice in lego"),
        ("Pooling", "FinalMLP", {"mlp1_dropout": 0.1, "mlp2_dropout": 0.3}, "0.1 left out"),
    ],
)
def test_options_of_predictors_that_differ_are_told(migrated, user, name, options, told):
    """What a predictor has otherwise than there is said where the configuration asks for it."""
    made = migrated(model=model("Pooling", user, name, predictor_config=options))
    assert told in said(made)


def test_a_serial_net_without_blocks_and_metrics_that_are_no_list_are_problems(migrated):
    """Both are refused with their places, neither in a traceback."""
    written = model(
        "Pooling",
        "Pooling",
        "MaskNet",
        predictor_config={"model_type": "SerialMaskNet", "hidden_units": []},
    )
    with pytest.raises(DataError) as error:
        migrated(model=written, exp=changed(EXP, metrics="GAUC"))
    where = [each.where for each in error.value.problems]
    assert "exp.metrics" in where
    assert any(each.endswith("hidden_units") for each in where)


def test_all_that_cannot_be_translated_is_told_at_once(migrated):
    """Operators without a counterpart refuse the whole, each with its reason, and values out of range beside them."""
    written = model("SCSimple", "Semantic", "SemanticMix", neg_count="many")
    with pytest.raises(DataError) as error:
        migrated(model=written, data=changed(DATA, item__inputs=[{"title": "long"}]))
    assert [each.where for each in error.value.problems] == [
        "data.item.inputs",
        "model.config.neg_count",
        "model.meta.item",
        "model.meta.user",
        "model.meta.predictor",
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"item": "Atention"}, "Did you mean 'Attention'"),
        ({"user": ""}, "no operator is named"),
        ({"predictor": "Dott"}, "Did you mean 'Dot'"),
        ({"item": "CNN", "item_config": {"kernel_size": 0}}, "kernel"),
        ({"item": "Attention", "item_config": {"num_attention_heads": 7}}, "heads"),
        ({"item": "CNN", "user": "PolyAttention"}, "predictor"),
        ({"use_item_content": "maybe"}, "neither true nor false"),
        ({"item": "CNN", "item_config": 3}, "no mapping"),
        ({"predictor": "AutoInt", "predictor_config": {"attention_dim": 30}}, "no multiple"),
        ({"predictor": "DCNv2", "predictor_config": {"model_structure": "both"}}, "none of crossnet_only"),
        ({"predictor": "DNN", "predictor_config": {"dnn_hidden_units": 10}}, "no list of whole numbers"),
    ],
)
def test_wrong_values_are_refused(migrated, changes, what):
    """A name, a value or a model that lego refuses too is an error with a way out, never another model."""
    changes = {"item": None, "user": "Ada", "predictor": "Dot", **changes}
    with pytest.raises(DataError, match=what):
        migrated(model=model(**changes))


def test_negatives(migrated):
    """Those of the user where there is a column of them, else of all items; pairs where nothing is drawn."""
    assert migrated().experiment.task == Matching(negatives=4, source="user")
    without = changed(DATA, column_map__neg_col=None)
    assert migrated(data=without).experiment.task == Matching(
        negatives=4, source="uniform", exclude="positives"
    )
    assert migrated(model=changed(MODEL, config__use_neg_sampling=False)).experiment.task == Ranking()
    with pytest.raises(DataError, match="0 negatives"):
        migrated(model=changed(MODEL, config__neg_count=0))


def test_naml_is_that_of_table_2(migrated):
    """The shipped model at its default width is the recipe of the zoo with the same numbers."""
    found = migrated().experiment.model
    recipe = zoo.naml(setting="table2")
    assert (found.content, found.behavior, found.predictor, found.width) == (
        recipe.content,
        recipe.behavior,
        recipe.predictor,
        recipe.width,
    )


# --- language models ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """The side file `.model`, with small checkpoints behind the names."""
    home = tmp_path_factory.mktemp("models") / "models"
    bert, llama = tiny_checkpoint(home / "bert", layers=3), tiny_checkpoint(home / "llama", "llama", layers=3)
    return bert, llama, {".model": f"# checkpoints\nbertbase = {bert}\n\nllama1 = {llama}\n"}


LAYERS = [
    ({"tune_from": None, "use_lora": False}, False, full()),
    ({"tune_from": 0, "use_lora": False}, True, split(0)),
    ({"tune_from": 2, "use_lora": False}, True, split(2)),
    ({"tune_from": -1, "use_lora": False}, True, split(-1)),
    (
        {"tune_from": 1, "use_lora": True, "lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.2},
        True,
        parse("split(1) | lora(rank=4, alpha=8, dropout=0.2)"),
    ),
    ({"tune_from": 0, "use_lora": True}, True, lora(rank=32, alpha=128, dropout=0.1)),
    ({}, True, lora(rank=32, alpha=128, dropout=0.1)),
]


@pytest.mark.parametrize(("options", "frozen", "layers"), LAYERS)
def test_layers_of_a_language_model(migrated, language, options, frozen, layers):
    """Where it is cut, what learns above, and adapters; null is a value, too."""
    bert, _, side = language
    embed = {"embeddings": [{"path": "bert.npy", "vocab_name": "bert", "frozen": frozen}]}
    data = changed(DATA, item__inputs=[{"title@bert": 30}])
    written = model("BertBase", item_hidden_size=768)
    written["config"]["item_config"] = {**options, **PLAIN}
    made = migrated(data=data, model=written, embed=embed, side=side, item_lr=1e-5)
    assert made.experiment.model.content == Pretrained(str(bert), layers=layers, dropout=0.0)
    assert made.experiment.training.pretrained_lr == 1e-5
    assert ("left out layer" in said(made)) == isinstance(options.get("tune_from", 0), int)


def test_prompts_become_a_template(migrated, language):
    """Columns of prompts are one text, whose words stand in no file; without a language model they are left out, and told."""
    inputs = [
        "prompt@llama1",
        "prompt_title@llama1",
        {"title@llama1": 30},
        "prompt_category@llama1",
        {"category@llama1": 4},
    ]
    _, llama, side = language
    data = changed(DATA, item__inputs=inputs)
    made = migrated(
        data=data, model=model("Llama1", item_config={"tune_from": 1, "use_lora": False}), side=side
    )
    expected = "Title: {title} Category: {category}"
    assert made.experiment.model.content == Pretrained(
        str(llama), layers=split(1), dropout=0.0, template=expected
    )
    assert "the words of the prompts are not in the file" in said(made)
    assert "no embed file gives its token vectors" in said(made)
    assert "prompts left out" in said(migrated(data=data, model=model("CNN"), side=side))


def test_a_checkpoint_that_is_not_here_is_told(migrated):
    """The shipped names stand for the published checkpoints; where there is no network the script says what to fetch."""
    made = migrated(model=model("BertBase", item_config={"tune_from": 10, "use_lora": False}))
    assert made.experiment.model.content.checkpoint == "google-bert/bert-base-uncased"
    assert "there is no such folder, no installed package ships it" in said(made)


def test_side_networks(migrated, language):
    """IISAN is the operator of a plugin: with it, or with how to get it."""
    bert, _, side = language
    data = changed(DATA, item__inputs=[{"title@bert": 30}])
    written = model("BertBaseIISAN", item_config={"layer_selection_step": 2, "global_proj_size": 8})
    try:
        import legorec_iisan
    except ImportError:
        with pytest.raises(DataError, match="pip install legorec-iisan"):
            migrated(data=data, model=written, side=side)
        return
    made = migrated(data=data, model=written, side=side)
    assert made.experiment.model.content == legorec_iisan.IISAN(
        str(bert), every=2, embeddings=False, norm=True
    )
    assert "from legorec_iisan" in made.script
    assert "global_proj_size: 8 left out" in said(made)


# --- the data file and the embed file -----------------------------------------------------------------------------------------


def test_columns_and_budgets(migrated):
    """A length where there is one, what the processor keeps where not, and a value that is words where all is words."""
    data = changed(
        DATA, item__inputs=["title@glove", {"abstract@glove": 50}, "category", "subcategory -> sub"]
    )
    made = migrated(data=data)
    assert made.experiment.model.reads == {"title": 50, "abstract": 50, "category": 1}
    assert "'subcategory -> sub': lego reads an attribute once" in said(made)
    tokens = {"embeddings": [{"path": "data/glove.6B.300d.npy", "vocab_name": "glove", "frozen": True}]}
    made = migrated(data=data, embed=tokens)
    assert made.experiment.model.reads == {"title": 50, "abstract": 50, "category": 4}
    assert "category: a value was one token" in said(made)


def test_histories(migrated):
    """A negative length kept the most recent ones, as lego does; a positive one the oldest, which is told."""
    assert migrated(data=changed(DATA, user__truncate=-20)).experiment.data.history == 20
    made = migrated(data=changed(DATA, user__truncate=30))
    assert made.experiment.data.history == 30
    assert "30 kept the oldest 30 items" in said(made)
    made = migrated(data=changed(DATA, user__truncate=0))
    assert made.experiment.data.history == 100


def test_filters(migrated):
    """The usual one is what the protocol does; others are code, which is quoted and not run."""
    code = "lambda x: __import__('os').abort()"
    made = migrated(data=changed(DATA, inter__filters={"history": ["lambda x: len(x) > 0"], "imp": [code]}))
    assert "users without history" in said(made)
    assert f"data.inter.filters.imp: {code!r} left out" in said(made)


def test_protocols(migrated):
    """Groups of users are Legommenders' own protocol, groups of impressions that of ONCE."""
    assert migrated().experiment.evaluation.protocol == "legommenders"
    assert migrated(data=changed(DATA, column_map__group_col="imp")).experiment.evaluation.protocol == "once"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mind", MIND("RAW")),
        ("oncemind", MIND("RAW")),
        ("mindrb", RecBench("RAW", negatives="list")),
        ("ebnerd", RecBench("RAW", negatives="list")),
        ("goodreads", RecBench("RAW", negatives="list")),
        ("xmind-cmn", XMIND("RAW", mind="data/mind", language="cmn")),
    ],
)
def test_sources(migrated, tmp_path, name, source):
    """The data sets of Legommenders by their names, from the folder that is given."""
    data = changed(DATA, name=name, base_dir=f"data/{name}")
    if name == "mindrb":
        data = changed(data, base_dir="data/recbench/mindrb")
    if name in ("ebnerd", "goodreads", "mindrb"):
        data = changed(data, item__inputs=[{"title@glove": 30}])
    made = migrated(data=data, raw=tmp_path / "RAW")
    found = made.experiment.data
    assert type(found) is type(source)
    assert getattr(found, "path", None) or found.folder == str(tmp_path / "RAW")
    assert getattr(found, "negatives", None) == getattr(source, "negatives", None)
    assert getattr(found, "language", None) == getattr(source, "language", None)


def test_the_side_file_says_where_raw_data_is(migrated):
    """`.data` names folders, as it did; a line that is none is a problem."""
    side = {".data": "MIND = /raw/mind\n"}
    assert migrated(side=side).experiment.data.path == "/raw/mind"
    with pytest.raises(DataError, match="no NAME = PATH"):
        migrated(side={".data": "mind\n"})


def test_the_language_of_xmind_must_be_said(migrated):
    """A name without a language is a problem, not a guess."""
    with pytest.raises(DataError, match="does not say the language"):
        migrated(data=changed(DATA, name="xmind"))


def test_data_of_ones_own(tmp_path, migrated):
    """Tables under the names of the file are read for real once they are written as Parquet: prepared, trained and tested."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "own"
    folder.mkdir()
    write = lambda name, **columns: pq.write_table(pa.table(columns), folder / f"{name}.parquet")  # noqa: E731
    write("items", iid=["a", "b", "c", "d"], title=["red fox", "blue cat", "green owl", "gray bat"])
    write("users", uid=["u", "v", "w"], past=[["a"], ["b"], ["c"]])
    for part in ("train", "valid", "test"):
        write(
            part,
            uid=["u", "u", "v", "v", "w", "w"],
            iid=["b", "c", "a", "d", "d", "a"],
            liked=[1, 0, 0, 1, 1, 0],
        )
    roles = {
        "item_col": "iid",
        "user_col": "uid",
        "history_col": "past",
        "label_col": "liked",
        "group_col": "uid",
    }
    data = changed(DATA, name="foxes", column_map=roles, item__inputs=[{"title": 4}])
    made = migrated(data=data, raw=folder, model=model("CNN"))
    assert isinstance(made.experiment.data, Tables)
    assert "data of your own" in said(made)
    run = made.experiment.set("training.epochs=1", "model.width=8").run(out=tmp_path / "runs")
    assert run.record["groups"] == 3
    assert run.scores.num_rows == 6


def test_vectors_of_words(migrated, language):
    """GloVe needs its text file, a language model its checkpoint; without vectors words begin at random."""
    made = migrated(embed=EMBED)
    found = made.experiment.model.tokens
    assert isinstance(found, GloVe)
    assert found.path.endswith("data/embeddings/glove.txt")
    assert not found.trainable
    assert "glove.txt" in said(made)
    assert migrated().experiment.model.tokens is None
    bert, _, _ = language
    data = changed(DATA, item__inputs=[{"title@bert": 30}])
    embed = {"embeddings": [{"path": "bert.npy", "vocab_name": "bert"}]}
    side = {".model": f"bert = {bert}\n"}
    assert migrated(data=data, embed=embed, side=side).experiment.model.tokens == PretrainedTokens(str(bert))
    assert migrated(data=data, side=side).experiment.model.tokens == PretrainedTokens(
        str(bert), trainable=True
    )


def test_vectors_of_items(migrated):
    """By their vocabulary, or by the column that was ignored; both beside learned ids where the file has both."""
    row = {"path": "llama.npy", "frozen": True}
    by_name = {"embeddings": [{**row, "vocab_name": "nid"}]}
    by_column = {"embeddings": [{**row, "col_name": "item_embeds"}]}
    ids = model(None, use_item_content=False)
    made = migrated(model=ids, embed=by_name)
    assert made.experiment.model.content.text().startswith("Embedding(")
    made = migrated(model=ids, embed=by_column)
    assert isinstance(made.experiment.model.content, Embedding)
    assert "by col_name it was ignored" in said(made)
    data = changed(DATA, item__inputs=["item_id", "item_id -> item_embeds"])
    content = migrated(data=data, model=model("Pooling"), embed=by_column).experiment.model.content
    assert isinstance(content, Sum)
    assert content.parts[0] == ItemID()
    assert isinstance(content.parts[1], Embedding)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"vocab_name": "glove"}, "names no file"),
        ({"path": "a.npy"}, "neither vocab_name nor col_name"),
        ({"path": "a.npy", "vocab_name": "<vocab_name>"}, "a place to be filled"),
    ],
)
def test_vectors_that_nobody_can_place(migrated, row, what):
    """A row of the embed file must say which vectors, and whose."""
    with pytest.raises(DataError, match=what):
        migrated(embed={"embeddings": [row]})


def test_vectors_that_nothing_reads_are_told(migrated):
    """A matrix of another vocabulary does not vanish."""
    embed = {"embeddings": [{"path": "a.npy", "vocab_name": "tags"}], "transformation": "linear"}
    text = said(migrated(embed=embed))
    assert "(tags) left out: no column reads it" in text
    assert "linear left out" in text


# --- the experiment file ------------------------------------------------------------------------------------------------------


def test_training(migrated):
    """Every number of the file, and of the command line that fills it."""
    made = migrated(
        lr=3e-4,
        metric="NDCG@5",
        patience=2,
        seed=7,
        exp=changed(EXP, policy__accumulate_batch=2, policy__epoch=3),
    )
    found = made.experiment.training
    assert (found.epochs, found.lr, found.monitor, found.patience) == (3, 3e-4, "ndcg@5", 2)
    assert (found.accumulate, found.schedule, found.seed, found.batch_size) == (2, "linear", 7, 64)
    assert made.experiment.evaluation == Evaluation(
        protocol="legommenders", metrics=("ndcg@5", "gauc", "mrr_all", "ndcg@1", "ndcg@10")
    )


def test_what_lego_trains_otherwise_is_told(migrated):
    """Steps of warm-up, parts of epochs, validation by loss, a rate for weights that are not there, weights to go on with."""
    text = said(migrated(warmup=10, epoch_batch=-4, simple_dev=True, item_lr=1e-5, load_sign="abc"))
    for each in (
        "n_warmup",
        "epoch_batch",
        "simple_dev",
        "item_lr",
        "load.sign",
        "freeze_emb",
        "device",
        "pin_memory",
        "check_interval",
    ):
        assert f"{each}: " in text


def test_without_an_experiment_file(migrated):
    """The defaults of Legommenders, by the same names on its command line; the size of a batch has none."""
    found = migrated(exp=None, lr=0.01).experiment.training
    assert (found.epochs, found.lr, found.patience, found.monitor) == (50, 0.01, 5, "gauc")
    with pytest.raises(DataError, match="batch_size"):
        migrated(exp=changed(EXP, policy__batch_size=None))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("GAUC", "gauc"),
        ("AUC", "auc"),
        ("MRR", "mrr_all"),
        ("MRR0", "mrr"),
        ("NDCG@3", "ndcg@3"),
        ("LRAP", "lrap"),
        ("HitRatio@5", "hit@5"),
        ("Recall@5", "recall@5"),
        ("LogLoss", "logloss"),
        ("F1@0.5", "f1@0.5"),
    ],
)
def test_metrics(migrated, theirs, ours):
    """Each metric by the name of the same formula."""
    made = migrated(exp=changed(EXP, metrics=[theirs]))
    assert ours in made.experiment.evaluation.metrics
    assert ("probabilities" in said(made)) == (theirs.startswith(("LogLoss", "F1")))


def test_a_metric_that_nobody_knows_is_told(migrated):
    """It is left out with its name."""
    assert "'Novelty' left out" in said(migrated(exp=changed(EXP, metrics=["GAUC", "Novelty"])))


# --- all shipped models -------------------------------------------------------------------------------------------------------

CTR = ("AutoInt", "DCN", "DCNv2", "DeepFM", "DNN", "FinalMLP", "GDCN", "MaskNet", "PNN")
SHIPPED = {
    **{f"{each.lower()}_id": (None, "Pooling", each) for each in CTR},
    **{f"{each.lower()}_text": ("Pooling", "Pooling", each) for each in CTR},
    "din_id": (None, "Null", "DIN"),
    "din_text": ("Pooling", "Null", "DIN"),
    "bst_text": ("Pooling", "Transformer", "DCN"),
    "naml": ("CNN", "Ada", "Dot"),
    "nrms": ("Attention", "Attention", "Dot"),
    "lstur": ("CNNCat", "GRU", "Dot"),
    "miner": ("Transformer", "PolyAttention", "MINER"),
    "fastformer": ("Fastformer", "Fastformer", "Dot"),
    "naml_id": (None, "Ada", "Dot"),
    "nrms_id": (None, "Attention", "Dot"),
    "miner_id": (None, "PolyAttention", "MINER"),
    "flatten_fastformer": ("Fastformer", "FlattenFastformer", "Dot"),
    "flatten_transformer": ("Transformer", "FlattenTransformer", "Dot"),
    **{
        f"{name.lower()}-{kind}": (operator, user, predictor)
        for name, operator in (
            ("bert", "BertBase"),
            ("llama", "Llama${llama:1}"),
            ("bert-iisan", "BertBaseIISAN"),
        )
        for kind, user, predictor in (
            ("dcn", "Pooling", "DCN"),
            ("fastformer", "Fastformer", "Dot"),
            ("lstur", "GRU", "Dot"),
            ("miner", "PolyAttention", "MINER"),
            ("naml", "Ada", "Dot"),
            ("nrms", "Attention", "Dot"),
        )
    },
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models(migrated, language, name):
    """Every kind of model that came with it makes a script that fits together."""
    item, user, predictor = SHIPPED[name]
    if "iisan" in name:
        pytest.importorskip("legorec_iisan")
    ranks = predictor in (*CTR, "DIN")
    written = model(item, user, predictor, use_neg_sampling=not ranks, use_item_content=item is not None)
    data = DATA if item is None or "ert" not in item else changed(DATA, item__inputs=[{"title@bert": 30}])
    options = {"tune_from": 1, "use_lora": False} if item and ("Llama" in item or item == "BertBase") else {}
    written["config"]["item_config"] = {**options, **PLAIN}
    made = migrated(data=data, model=written, side=language[2])
    assert made.experiment.task == (Ranking() if ranks else Matching(negatives=4, source="user"))


# --- the command --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(monkeypatch, capsys):
    """The command in this process: exit code, standard output, standard error."""
    from lego.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lego", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def files(tmp_path):
    """A checkout with MIND and NAML."""
    (tmp_path / "config").mkdir()
    for name, document in (("mind", DATA), ("naml", MODEL)):
        (tmp_path / f"config/{name}.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "config/mind.yaml", tmp_path / "config/naml.yaml"


def test_the_command_writes_a_script_that_passes_lego_check(call, files, tmp_path, monkeypatch):
    """Notes go to standard error and into the script; where the raw files are there, `lego check` finds nothing wrong."""
    raw = tmp_path / "raw"
    for part in ("MINDsmall_train", "MINDsmall_dev"):
        (raw / part).mkdir(parents=True)
        news = [f"N{n}\tsports\tgolf\tA title {n}\tAn abstract\t\t[]\t[]" for n in range(4)]
        (raw / part / "news.tsv").write_text("\n".join(news) + "\n")
        (raw / part / "behaviors.tsv").write_text("1\tU1\t11/11/2019 9:05:58 AM\tN0 N1\tN2-1 N3-0\n")
    script = tmp_path / "scripts" / "naml.py"
    monkeypatch.chdir(tmp_path)
    code, out, err = call("migrate", *files, "--with", "batch_size=64", "--raw", "raw", "--out", script)
    assert code == 0, err
    assert "note: data.inter.dev: a tenth" in err
    assert "data.inter.dev: a tenth" in script.read_text()
    assert "MIND('../raw'" in script.read_text()
    code, out, err = call("check", script)
    assert code == 0, err
    assert "fits together" in out
    code, _, err = call("migrate", *files, "--with", "batch_size=64", "--out", script)
    assert code == 2
    assert "is there already" in err
    assert call("migrate", *files, "--with", "batch_size=64", "--out", script, "--force")[0] == 0


def test_the_command_prints_and_refuses(call, files):
    """Without --out the script is printed, with --json a document; what cannot be done is exit code 2, and nothing is printed."""
    code, out, _ = call("migrate", *files, "--with", "batch_size=64")
    assert code == 0
    assert out.startswith('"""Made by `lego migrate` of mind.yaml, naml.yaml."""')
    compile(out, "script", "exec")
    code, out, _ = call("migrate", *files, "--with", "batch_size=64", "--json")
    document = yaml.safe_load(out)
    assert sorted(document) == ["notes", "out", "script"]
    code, out, err = call("migrate", *files)
    assert (code, out) == (2, "")
    assert "the variable batch_size has no value" in err
    assert call("migrate", *files, "--with", "batch_size")[0] == 2
