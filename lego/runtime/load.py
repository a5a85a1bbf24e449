"""A run that was made, opened again."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pyarrow as pa

from lego import catalog
from lego.compiler.assemble import Compiled, compile, history_of  # noqa: A004
from lego.compiler.check import reads_of
from lego.compiler.content import tokenizers
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.errors import CatalogError, DataError, RunError
from lego.experiment import Experiment
from lego.expression import from_json
from lego.home import home
from lego.recommender import Recommender
from lego.runtime.checkpoint import load_weights
from lego.runtime.device import choose_device
from lego.runtime.evaluation import CompiledScorer, evaluation_record, fresh
from lego.runtime.folder import Folder, read_json
from lego.runtime.progress import Screen
from lego.runtime.script import hash_of, load_module, names_of_record
from lego.scorer.base import Fitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lego.spec import Rerank


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Loaded:
    """A run opened again: its experiment, its data, and the model with the kept weights."""

    path: Path
    experiment: Experiment
    store: Store
    scorer: Fitted
    compiled: Compiled | None
    screen: Screen = attrs.field(factory=Screen)

    @property
    def history(self) -> int:
        """S, the most items of a history that are read."""
        return history_of(self.experiment)

    def __repr__(self) -> str:
        return f"Loaded({str(self.path)!r}: {self.experiment.model!r})"

    def evaluate(self, part: str = "test", *, cache: bool = True) -> dict[str, Any]:
        """The same numbers as the run's own, to the last digit."""
        if isinstance(self.scorer, CompiledScorer):
            self.scorer.cache = cache
        seconds: dict[str, float] = {}
        return evaluation_record(
            self.path, self.experiment, self.store, self.scorer, part, self.compiled, seconds, cache=cache
        )

    def score(self, part: str = "test", *, cache: bool = True) -> NDArray[np.float32]:
        """One score per candidate of a part, in flat order."""
        if isinstance(self.scorer, CompiledScorer):
            self.scorer.cache = cache
        return self.scorer.score(self.store.part(part).recent(self.history))

    def item_vectors(self, items: Any = None) -> pa.Table:
        """`item_id` and `vector` (D float32) of the items of the data, or of `items`, which may be new; see `recommend`."""
        from lego.runtime.vectors import item_vectors

        return pa.Table.from_batches(item_vectors(self, items))

    def user_vectors(self) -> pa.Table:
        """`user_id` and `vector` (D float32), or the list `vectors` of interests, of every user by the whole history.

        RunError where a user is not known without the candidates.
        """
        from lego.runtime.vectors import user_vectors

        return user_vectors(self)

    def merge(self, folder: str | Path) -> Mapping[str, Path]:
        """Writes the tuned language model as a checkpoint, adapters merged; see `lego.runtime.merged.write_merged`."""
        from lego.runtime.merged import write_merged

        return write_merged(self, folder)

    def recommend(
        self,
        *,
        user: object = None,
        users: Iterable[object] | None = None,
        history: Iterable[object] | None = None,
        items: Any = None,
        k: int = 10,
        exclude_seen: bool = True,
        rerank: Rerank | None = None,
        category: str | None = None,
    ) -> pa.Table:
        """The k best items for somebody, best first: an Arrow table of rank, item, score, new, and the texts of the items.

        For a `user` of the data, by id; for several `users` (then with a column `user`); or for anybody by a `history` of item
        ids, oldest first. Of all items of the data, or of `items`: a path (CSV, JSON lines, Parquet), an Arrow table, a data
        frame or a list of dicts, with an `item_id` and the attributes that the run reads. Items and users need not have been
        in the data; what their scores then mean is told as a warning, and under `notes` in the metadata of the schema.
        `exclude_seen` leaves out the items of the history. Equal scores are in the order of the items. `rerank` chooses the k
        from a pool of the best; `category` is the attribute that it calls an item's category, the first one unless given.

        SpecError where not exactly one of `user`, `users`, `history` is given; DataError for unknown ids and for a table that
        lacks something; RunError where the model knows items by row alone and all `items` are new.
        """
        from lego.runtime.recommend import notes_of, recommend

        found = recommend(
            self,
            user=user,
            users=users,
            history=history,
            items=items,
            k=k,
            exclude_seen=exclude_seen,
            rerank=rerank,
            category=category,
            screen=self.screen,
        )
        for note in notes_of(found):
            warnings.warn(note, stacklevel=2)
        return found


@attrs.frozen(eq=False, kw_only=True)
class Recorded:
    """A run folder, without its data."""

    folder: Folder
    experiment: Experiment
    kept: Mapping[str, Any]
    """What `experiment.json` holds."""


@attrs.frozen(eq=False, kw_only=True)
class Opened:
    """A run folder, without its model."""

    folder: Folder
    experiment: Experiment
    store: Store


def recorded(path: str | Path) -> Recorded:
    """The experiment of a run folder. RunError where it is no run, or where its script has changed."""
    folder = Folder(Path(path))
    if not folder.path.is_dir():
        raise RunError.absent(path)
    kept = read_json(folder.path / "experiment.json")
    if not isinstance(kept, dict) or not {"experiment", "data"} <= kept.keys():
        raise RunError(
            f"{folder.path / 'experiment.json'} is not the record of a run: it lacks the experiment."
        )
    try:
        experiment = from_json(
            kept["experiment"], names_of_record(_script_of(folder, kept), _script_folder(kept))
        )
    except (CatalogError, ImportError) as problem:
        absent = _absent(folder)
        if not absent:
            raise
        ways = " ".join(f'"{name}=={version}"' for name, version in absent)
        what = ", ".join(f"{name} {version}" for name, version in absent)
        raise RunError(
            f"{folder.path} was made with {what}, which cannot be had here: {problem} Get it with: pip install {ways}"
        ) from problem
    if not isinstance(experiment, Experiment):
        raise RunError(f"{folder.path / 'experiment.json'} holds no experiment.")
    return Recorded(folder=folder, experiment=experiment, kept=kept)


def _absent(folder: Folder) -> list[tuple[str, str]]:
    """The distributions with operators of a run that are not installed, or left out by LEGO_PLUGINS, with their versions."""
    try:
        operators = read_json(folder.path / "environment.json")["operators"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RunError):
        return []
    here = {catalog.normal(entry.distribution) for entry in catalog.entries()}
    used = {(name, version) for name, version in operators if version}
    return sorted((name.replace("_", "-"), v) for name, v in used if catalog.normal(name) not in here)


def opened(path: str | Path, screen: Screen | None = None) -> Opened:
    """The experiment of a run folder, and its data. RunError where it is no run, or where its script or its data has changed."""
    run = recorded(path)
    folder, experiment = run.folder, run.experiment
    store = _store(folder, experiment, run.kept["data"], screen or Screen())
    return Opened(folder=folder, experiment=experiment, store=store)


def load(path: str | Path, *, device: str = "auto", screen: Screen | None = None) -> Loaded:
    """Opens a run folder. RunError where it is not one, where its script has changed, or its data has."""
    device, screen = choose_device(device), screen or Screen()
    run = opened(path, screen)
    folder, experiment, store = run.folder, run.experiment, run.store
    if not isinstance(experiment.model, Recommender):
        scorer = fresh(experiment, device, screen)
        scorer.fit(store)
        return Loaded(
            path=folder.path, experiment=experiment, store=store, scorer=scorer, compiled=None, screen=screen
        )
    made = tokenizers(experiment.model, reads_of(experiment, experiment.model))
    encoders = {name: tokenizer.load(folder.path / "tokens" / name) for name, tokenizer in made.items()}
    compiled = compile(experiment, store=store, encoders=encoders, device=device, progress=screen.progress)
    load_weights(folder.checkpoint / "model.safetensors", compiled.pipeline)
    compiled.pipeline.eval()
    scorer = CompiledScorer(compiled, screen=screen)
    return Loaded(
        path=folder.path, experiment=experiment, store=store, scorer=scorer, compiled=compiled, screen=screen
    )


def _store(folder: Folder, experiment: Experiment, kept: Mapping[str, str], screen: Screen) -> Store:
    """The prepared data of the run, as it was; made again of the raw files only where it is gone."""
    try:
        store = Store.open(kept["path"])
        if store.fingerprint == kept["fingerprint"]:
            return store
    except DataError:  # moved, removed or damaged
        screen.say(f"{kept['path']} is no longer there: preparing the data again")
    store = prepare(experiment.data, home() / "data", progress=screen.progress)
    if store.fingerprint != kept["fingerprint"]:
        raise RunError(
            f"The data of {folder.path} has changed since: it was {kept['fingerprint'][:12]}, it is "
            f"{store.fingerprint[:12]} now. Put the same raw files back, or run the experiment again."
        )
    return store


def _script_of(folder: Folder, kept: Mapping[str, Any]) -> Any:
    """The script as it was, for classes that it defines; refused where the copy is not the one that ran."""
    if "script" not in kept:
        return None
    copy = folder.path / "script.py"
    if not copy.exists() or hash_of(copy) != kept["script"]["sha256"]:
        raise RunError(
            f"{copy} is not the script that made this run (its hash differs). Put the original back."
        )
    if '"lego_script_' not in str(kept["experiment"]).replace("'", '"'):
        return None
    return load_module(copy, Path(kept["script"]["path"]).parent)


def _script_folder(kept: Mapping[str, Any]) -> Path | None:
    return Path(kept["script"]["path"]).parent if "script" in kept else None
