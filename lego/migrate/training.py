"""The experiment file: how a model is fitted, and what is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lego.data.source.mind import MIND
from lego.experiment import Evaluation, Training
from lego.migrate.data import Data
from lego.migrate.model import Model
from lego.migrate.notes import Options, Told

DEFAULT: Mapping[str, Any] = {
    "load": {"sign": "${load_sign:null}$"},
    "store": {"metric": "${metric:GAUC}", "patience": "${patience:5}$"},
    "policy": {
        "epoch": 50,
        "lr": "${lr:0.001}$",
        "item_lr": "${item_lr:null}$",
        "epoch_batch": "${epoch_batch:0}$",
        "batch_size": "${batch_size}$",
        "n_warmup": "${warmup:0}$",
        "simple_dev": "${simple_dev:false}$",
    },
    "metrics": ["GAUC", "MRR", "NDCG@1", "NDCG@5", "NDCG@10"],
}
"""What Legommenders takes where no experiment file is given."""

METRICS: Mapping[str, str] = {
    "gauc": "gauc",
    "auc": "auc",
    "mrr": "mrr_all",
    "mrr0": "mrr",
    "ndcg": "ndcg",
    "lrap": "lrap",
    "hitratio": "hit",
    "recall": "recall",
    "logloss": "logloss",
    "f1": "f1",
}
"""Their names → lego's, before @."""

_SCORES = ("logloss", "f1")


def training_of(
    document: Mapping[str, Any], data: Data, model: Model, seed: int, told: Told
) -> tuple[Training, Evaluation]:
    """What an experiment file says."""
    options = Options(document, "exp", told)
    options.take("name")
    load, store, policy = (options.part(each) for each in ("load", "store", "policy"))
    if load.take("sign") is not None:
        told.note("exp.load.sign", "left out: weights of Legommenders cannot be loaded")
    load.take("model_only")
    load.take("strict")
    monitor = _metric(str(store.take("metric", "GAUC")), "exp.store.metric", told) or "gauc"
    patience = store.number("patience", 5)
    if policy.flag("simple_dev", default=False):
        told.note("exp.policy.simple_dev", f"left out: the epoch is chosen by {monitor}, not by the loss")
    policy.unneeded("it was read and never used", "freeze_emb", "device")
    policy.unneeded("it changes no number", "pin_memory", "check_interval", "disable_tqdm")
    if policy.take("epoch_batch", 0):
        told.note("exp.policy.epoch_batch", "left out: an epoch is all of train, after which it is validated")
    if policy.take("n_warmup", 0):
        what = "left out: lego has a share of all steps, warmup=0.05, and the file a number of steps"
        told.note("exp.policy.n_warmup", what)
    accumulate = policy.number("accumulate_batch", 1)
    if accumulate > 1:
        told.note("exp.policy.accumulate_batch", "the loss was a sum of batches; in lego it is their mean")
    rate = policy.number("item_lr", None, float)
    if rate is not None and not model.pretrained:
        told.note("exp.policy.item_lr", f"{rate} left out: no weights of a language model learn")
    training = {
        "epochs": policy.number("epoch", 50),
        "batch_size": policy.number("batch_size", 0),
        "lr": policy.number("lr", 0.001, float),
        "pretrained_lr": rate if model.pretrained else None,
        "schedule": "linear",
        "accumulate": accumulate,
        "monitor": monitor,
        "patience": patience,
        "seed": seed,
    }
    if not training["batch_size"]:
        fix = "write a whole number above 0"
        told.problem("exp.policy.batch_size", "it has none, and Legommenders has no default for it", fix)
        del training["batch_size"]
    listed = options.take("metrics", DEFAULT["metrics"])
    if not isinstance(listed, (list, tuple)):
        told.problem("exp.metrics", f"{listed!r} is no list", "write it as [GAUC, MRR]")
        listed = ()
    names = [_metric(str(each), "exp.metrics", told) for each in listed]
    metrics = tuple(dict.fromkeys(each for each in (monitor, *names) if each))
    if any(each.partition("@")[0] in _SCORES for each in metrics):
        told.note("exp.metrics", "LogLoss and F1 were of raw scores; lego's are of probabilities")
    for each in (load, store, policy, options):
        each.close()
    if not isinstance(data.source, MIND) and data.protocol == "once":
        told.note("data.column_map.group_col", "read as an impression, whatever the column is called")
    evaluation = Evaluation(protocol=data.protocol, metrics=metrics)  # type: ignore[arg-type]  # one of two
    return Training(**training), evaluation


def _metric(name: str, where: str, told: Told) -> str | None:
    word, mark, count = name.partition("@")
    found = METRICS.get(word.strip().lower())
    if found is None or (mark and not re.fullmatch(r"\d+(\.\d+)?", count.strip())):
        told.note(where, f"{name!r} left out: no such metric is known")
        return None
    return f"{found}@{count.strip()}" if mark else found
