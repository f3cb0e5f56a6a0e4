"""The report of a large run: how long it takes to write, how large it is, how soon a browser shows it.

A made-up run of realistic size: every question has ten passages of 200 words from a pool, found by a hybrid search,
reranked and packed, and an answer read from five of them. Words are drawn by their frequency in the field guide, so
the texts compress no better than real ones. The browser part needs selenium, chromium and chromedriver.
"""

import argparse
import itertools
import json
import re
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import Target, write_result
from texts import passages

from ragkit.engine.jsonl import dump_line
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.report import write_report
from ragkit.evaluation.summary import summarise

WORDS, FOUND, KEPT, READ = 200, 20, 10, 5
METRICS = ("em", "f1", "hit", "recall@5", "tokens", "model_calls")
PROMPT = "You answer questions from numbered passages. Reply with the answer alone, in as few words as possible.\n\n"


class Texts:
    """Draws texts of random words, as frequent as in the field guide."""

    def __init__(self, seed: int) -> None:
        words = Counter(re.findall(r"\S+", " ".join(passages(200, 400))))
        self.words = np.array(list(words))
        self.weights = np.array(list(words.values())) / words.total()
        self.random = np.random.default_rng(seed)

    def draw(self, count: int) -> str:
        return " ".join(self.random.choice(self.words, count, p=self.weights))


def made_up_run(count: int, pool: int, folder: Path) -> tuple[list[Question], list[PredictionRow]]:
    """Write a trace and dropped passages into a folder; return questions and predictions."""
    texts = Texts(0)
    known = [
        {"id": f"{book}#p{page}.c{n % 4}", "source": book, "document": book, "page": page, "text": texts.draw(WORDS)}
        for n in range(pool)
        for book, page in [(f"book{n // 40}.pdf", n % 40 // 4 + 1)]
    ]
    questions, rows = [], []
    with (folder / "trace.jsonl").open("wb") as trace:
        for n in range(count):
            ranked = [known[i] for i in texts.random.choice(pool, FOUND, replace=False)]
            question, row, line = _one(n, texts, ranked)
            questions.append(question)
            rows.append(row)
            trace.write(dump_line(line))
    kept = {passage["id"] for row in rows for passage in row["documents"]}
    dropped = (passage for passage in known if passage["id"] not in kept)
    (folder / "passages.jsonl").write_bytes(b"".join(dump_line(passage) for passage in dropped))
    return questions, rows


def _one(n: int, texts: Texts, ranked: list[dict[str, Any]]) -> tuple[Question, PredictionRow, dict[str, Any]]:
    asked, answer = texts.draw(14), texts.draw(4)
    documents = [passage | {"score": round(9.5 - rank / 3, 6)} for rank, passage in enumerate(ranked[:KEPT])]
    prompt = (
        PROMPT + "".join(f"[{k}] {p['text']}\n\n" for k, p in enumerate(documents[:READ], 1)) + f"Question: {asked}\n"
    )
    gold = answer if n % 3 else texts.draw(4)
    question = Question(f"question-{n:05}", asked, (gold,), (ranked[n % 5]["id"],), ("bridge", "table", "text")[n % 3])
    row = {
        "id": question.id, "question": asked, "answer": answer, "documents": documents,
        "context": [p["id"] for p in documents[:READ]],
        "citations": [{"passage": documents[0]["id"], "source": documents[0]["source"], "page": documents[0]["page"]}],
        "usage": {"searches": 1, "model_calls": 1, "prompt_tokens": 1500, "completion_tokens": 8 + n % 9},
        "flags": [], "error": None,
    }  # fmt: skip
    return (
        question,
        row,
        {
            "id": question.id,
            "seconds": 0.5,
            "calls": 35,
            "cached": 0,
            "stages": list(_stages(asked, answer, prompt, ranked)),
        },
    )


def _stages(asked: str, answer: str, prompt: str, ranked: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    def call(op: str, args: dict[str, Any], value: Any, tokens: tuple[int, int] = (0, 0)) -> dict[str, Any]:
        return {
            "resource": "Model",
            "op": op,
            "args": args,
            "value": value,
            "tokens": tokens,
            "seconds": 0.01,
            "source": "run",
        }

    def entries(count: int) -> list[dict[str, Any]]:
        return [
            {
                "id": p["id"],
                "score": 0.18 - k / 100,
                "hits": [["dense", asked, k + 1, 0.77 - k / 50], ["sparse", asked, k + 3, 17.4 - k / 7]],
            }
            for k, p in enumerate(ranked[:count])
        ]

    ranking = [[p["id"], 17.4] for p in itertools.islice(itertools.cycle(ranked), 50)]
    yield _stage("retrieve.hybrid", {"documents": entries(FOUND)}, [
        call("embed", {"text": asked, "kind": "query"}, None, (20, 0)),
        call("sparse", {"query": asked, "k": 50}, ranking),
        call("dense", {"query": asked, "k": 50}, ranking)])  # fmt: skip
    yield _stage("rerank.cross_encoder", {"documents": entries(KEPT)}, [
        call("score", {"query": asked, "text": p["text"]}, 9.5 - k / 3) for k, p in enumerate(ranked)])  # fmt: skip
    yield _stage("context.pack", {"vars.context": entries(READ)}, [
        call("count_tokens", {"text": p["text"]}, 260) for p in ranked[:KEPT]])  # fmt: skip
    reply = call("generate", {"prompt": prompt, "max_new_tokens": 32}, {"text": answer, "finish": "stop"}, (1500, 9))
    yield _stage("answer.read", {"answer": answer, "citations": []}, [reply])


def _stage(name: str, wrote: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {"stage": name, "start": 0.1, "seconds": 0.2, "wrote": wrote, "calls": calls}


def in_browser(path: Path) -> dict[str, float]:
    """Return the seconds until a browser shows the report, until it has searched, and until a question is open."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900"):
        options.add_argument(flag)
    for name, attribute in (("chromium", "binary_location"),):
        if found := shutil.which(name):
            setattr(options, attribute, found)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        start = time.perf_counter()
        browser.get(path.as_uri())
        _until(browser, "return document.documentElement.dataset.ready === 'true'")
        shown = time.perf_counter() - start
        figures = browser.execute_async_script(_IN_PAGE)
    return {"shown": shown} | figures


_IN_PAGE = """
const done = arguments[arguments.length - 1];
const later = (test) => new Promise((resolve) => {
  const look = () => (test() ? resolve() : setTimeout(look, 1));
  look();
});
(async () => {
  const figures = {};
  const search = document.getElementById("search");
  let start = performance.now();
  search.value = "question-009";
  search.dispatchEvent(new Event("input"));
  await later(() => document.getElementById("shown").textContent.includes(" of "));
  figures.searched = (performance.now() - start) / 1000;
  start = performance.now();
  document.querySelector(".row").click();
  await later(() => document.querySelector(".story"));
  figures.opened = (performance.now() - start) / 1000;
  search.value = "";
  search.dispatchEvent(new Event("input"));
  await later(() => !document.getElementById("shown").textContent.includes(" of "));
  const list = document.getElementById("list");
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 60; step++) {
    list.scrollTop = (list.scrollHeight * step) / 60;
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  figures.slowest_frame = Math.max(...frames.slice(1)) / 1000;
  figures.elements = document.querySelectorAll("*").length;
  done(figures);
})();
"""


def _until(browser: Any, script: str) -> None:
    while not browser.execute_script(script):
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--pool", type=int, default=20_000, help="different passages")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        questions, rows = made_up_run(args.questions, args.pool, folder)
        metrics = [parse_metric(metric) for metric in METRICS]
        summary = summarise(questions, rows, metrics, costs={"seconds": [0.5] * len(rows)})
        path = folder / "report.html"
        seconds = []
        for _ in range(args.rounds):
            start = time.perf_counter()
            write_report(path, "made up", summary, questions, rows, {"name": "made up"}, run=folder)
            seconds.append(time.perf_counter() - start)
        megabytes = path.stat().st_size / 1e6
        trace = (folder / "trace.jsonl").stat().st_size / 1e6
        print(f"written in {statistics.median(seconds):.1f} s, {megabytes:.1f} MB (trace {trace:.0f} MB)")
        browser = in_browser(path) if shutil.which("chromedriver") else {}
        print(json.dumps(browser, indent=2))
    targets = [
        Target("seconds to write", statistics.median(seconds), 20, "below"),
        Target("megabytes", megabytes, 30, "below"),
        Target("seconds until a browser shows it", browser.get("shown"), 5, "below"),
        Target("seconds to search", browser.get("searched"), 0.5, "below"),
        Target("seconds to open a question", browser.get("opened"), 0.5, "below"),
    ]
    full = (args.questions, args.pool, args.rounds) == (10_000, 20_000, 3)
    write_result(
        "report",
        {"questions": args.questions, "pool": args.pool, "words": WORDS, "passages": FOUND, "rounds": args.rounds},
        {"seconds": seconds, "megabytes": megabytes, "trace_megabytes": trace, "browser": browser},
        targets,
        full=full,
    )


if __name__ == "__main__":
    main()
