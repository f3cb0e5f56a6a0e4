import base64
import gzip
import json
import math
import re
from html.parser import HTMLParser

import pytest
from evaluation_builders import FAILURE, passage, prediction, question

from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.report import write_comparison, write_report
from ragkit.evaluation.report.pack import dump
from ragkit.evaluation.summary import summarise

HOSTILE = "</script><script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)> {{ 7 * 7 }} <!-- -->"


class Page(HTMLParser):
    """The tags, attributes and texts of a page, and the data packed into it."""

    def __init__(self, html):
        super().__init__()
        self.html, self.tags, self.attributes, self.text, self.code = html, [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        (self.code if self.cdata_elem else self.text).append(data)

    def block(self, name):
        packed = re.search(f'<script type="text/plain" id="{name}">([A-Za-z0-9+/=]*)</script>', self.html)[1]
        return json.loads(gzip.decompress(base64.b64decode(packed)))

    @property
    def statuses(self):
        rows = self.block("rows")
        return [rows["statuses"][code] for code in rows["status"]]


def report(tmp_path, questions, predictions, metrics=("em", "recall@5", "tokens"), title="run", **settings):
    summary = summarise(questions, predictions, [parse_metric(name) for name in metrics])
    path = tmp_path / "report.html"
    write_report(path, title, summary, questions, predictions, settings)
    return Page(path.read_text(encoding="utf-8"))


def test_holds_figures_and_every_question(tmp_path):
    questions = [
        question("right-1", ("Paris",), ("soil.pdf#p3",), type="bridge"),
        question("wrong-2", ("Rome", "Roma"), type="table"),
        question("failed-3", ("Oslo",), type="table"),
        question("silent-4", type="table"),
        question("none-5", answerable=False),
    ]
    predictions = [
        prediction(
            "right-1",
            "paris",
            (passage("soil.pdf#p3.c0", "soil.pdf", 3), passage("pest.pdf#p1.c0", "pest.pdf", 1)),
            citations=[{"passage": "soil.pdf#p3.c0", "source": "soil.pdf", "page": 3}],
        ),
        prediction("wrong-2", "London", flags=["budget"]),
        prediction("failed-3", error=FAILURE),
        prediction("silent-4", "something"),
        prediction("none-5"),
    ]
    page = report(tmp_path, questions, predictions, title="quickstart", seed=13, models={"small": {"device": "cpu"}})
    assert page.statuses == ["right", "wrong", "failed", "unscored", "right"]
    head, rows, stories = page.block("head"), page.block("rows"), page.block("stories-0")
    assert head["title"] == "quickstart"
    assert head["overall"]["metrics"]["em"]["value"] == 0.5
    assert ["models", "small:\n  device: cpu"] in head["settings"]
    assert rows["gold"] == [["Paris"], ["Rome", "Roma"], ["Oslo"], [], None]
    assert rows["abstained"] == [0, 0, 0, 0, 1]
    assert [[rows["flagNames"][flag] for flag in flags] for flags in rows["flags"]] == [[], ["budget"], [], [], []]
    assert rows["costs"]["tokens"] == [34] * 5
    assert page.block("passage-ids") == ["soil.pdf#p3.c0", "pest.pdf#p1.c0"]
    assert stories[0]["gold"] == [[0, ["soil.pdf#p3"]]]
    assert stories[0]["citations"] == [{"passage": 0, "source": "soil.pdf", "page": 3}]
    assert stories[2]["error"] == FAILURE
    assert page.block("passages-0")[1] == {
        "id": "pest.pdf#p1.c0", "source": "pest.pdf", "document": "pest.pdf", "page": 1,
        "text": "text of pest.pdf#p1.c0",
    }  # fmt: skip


def test_hostile_text_reaches_the_html_as_base64_only(tmp_path):
    harmless = report(tmp_path, [question("1", ("x",), ("x",), type="t")], [made("1", "x")], title="x", x="x")
    asked = [question(HOSTILE, (HOSTILE,), (HOSTILE,), type=HOSTILE)]
    page = report(tmp_path, asked, [made(HOSTILE, HOSTILE)], title=HOSTILE, **{HOSTILE: HOSTILE})
    assert page.tags == harmless.tags
    assert page.attributes == harmless.attributes
    assert "".join(page.text).count(HOSTILE) == 1  # the title
    assert page.html.count("evil.example") == 1
    assert page.block("rows")["answer"] == [HOSTILE]


def made(identifier, text):
    return prediction(
        identifier,
        text,
        ({"id": text, "source": text, "document": text, "score": None, "text": text},),
        citations=[{"passage": text, "source": text, "page": None}],
        flags=[text],
        error={"stage": text, "type": text, "message": text},
    )


def test_may_load_and_run_nothing_but_itself(tmp_path):
    page = report(tmp_path, [question("1", ("x",))], [prediction("1", "x")])
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "action", "style"} or name.startswith("on")]
    assert not re.search(
        r"@import|url\(|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", page.html
    )
    assert re.findall(r"https?://[^\"]*", page.html) == ["http://www.w3.org/2000/svg"]  # a name, never fetched
    _, policy = page.attributes[page.attributes.index(("http-equiv", "Content-Security-Policy")) + 1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


@pytest.mark.parametrize("answer", ["a\ud800b", "a\x00b", "\u202egnp.exe", "🌾" * 5_000, "line\nline", "NaN \ud800"])
def test_odd_characters_arrive(tmp_path, answer):
    page = report(tmp_path, [question("1", ("x",))], [prediction("1", answer)])
    assert page.block("rows")["answer"] == [answer]


def test_a_number_that_json_lacks_becomes_null(tmp_path):
    documents = ({"id": "a", "score": float("nan"), "text": "x\ud800"},)
    page = report(tmp_path, [question("1", ("x",))], [prediction("1", "x", documents)])
    assert page.block("stories-0")[0]["documents"] == [[0, None]]


def test_no_metrics_no_questions_no_settings(tmp_path):
    page = report(tmp_path, [question("1", ("x",))], [prediction("1", "x")], metrics=())
    assert page.statuses == ["unscored"]
    assert report(tmp_path, [], []).block("rows")["id"] == []


def test_the_same_run_gives_the_same_bytes(tmp_path):
    first = report(tmp_path, [question("1", ("x",))], [prediction("1", "x")]).html
    assert report(tmp_path, [question("1", ("x",))], [prediction("1", "x")]).html == first


def test_numbers_that_json_does_not_have_are_null_whatever_stands_beside_them():
    assert json.loads(dump({"large": 2**70, "score": math.nan}), parse_constant=pytest.fail) == {
        "large": 2**70,
        "score": None,
    }


def test_a_comparison_is_packed_too(tmp_path):
    comparison = {"questions": 3, "left_out": {}, "runs": [{"run": f"runs/{HOSTILE}"}], "pareto": []}
    write_comparison(tmp_path / "compare.html", comparison)
    page = Page((tmp_path / "compare.html").read_text(encoding="utf-8"))
    assert page.block("comparison") == comparison
    assert page.tags.count("script") == 2
