import re
from html.parser import HTMLParser

import pytest
from evaluation_builders import FAILURE, passage, prediction, question

from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.report import write_report
from ragkit.evaluation.summary import summarise

HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)> {{ 7 * 7 }} {% raw %} </style>"


class Page(HTMLParser):
    """The tags, attributes and visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.code = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        (self.code if self.cdata_elem else self.text).append(data)


def report(tmp_path, questions, predictions, metrics=("em", "recall@5", "tokens"), title="run", **settings):
    summary = summarise(questions, predictions, [parse_metric(name) for name in metrics])
    path = tmp_path / "report.html"
    write_report(path, title, summary, questions, predictions, settings)
    return path.read_text(encoding="utf-8")


def test_shows_figures_and_every_question(tmp_path):
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
    html = report(tmp_path, questions, predictions, title="quickstart", seed=13, models={"small": {"device": "cpu"}})
    assert re.findall(r'<article class="(\w+)">', html) == ["right", "wrong", "failed", "unscored", "right"]
    text = re.sub(r"\s+", " ", " ".join(Page(html).text))
    for expected in (
        "quickstart",
        "0.500",  # em: two of four
        "Rome · Roma",
        "answer.read: ValueError: no JSON in the reply",
        "soil.pdf, page 3",
        "unanswerable",
        "1 cited, 2 passages",
        '"device": "cpu"',
        "34.0",
    ):
        assert expected in text
    assert html.count('<li class="gold">') == 1


def test_hostile_text_stays_text(tmp_path):
    harmless = Page(report(tmp_path, [question("1", ("x",), ("x",), type="t")], [made("1", "x")], title="x", x="x"))
    asked = [question(HOSTILE, (HOSTILE,), (HOSTILE,), type=HOSTILE)]
    html = report(tmp_path, asked, [made(HOSTILE, HOSTILE)], title=HOSTILE, **{HOSTILE: HOSTILE})
    page = Page(html)
    assert page.tags == harmless.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in harmless.attributes]
    assert page.code == harmless.code
    assert "".join(page.text).count(HOSTILE) >= 13


def made(identifier, text):
    return prediction(
        identifier,
        text,
        ({"id": text, "source": text, "document": text, "score": None, "text": text},),
        citations=[{"passage": text, "source": text, "page": None}],
        flags=[text],
        error={"stage": text, "type": text, "message": text},
    )


def test_needs_nothing_from_elsewhere(tmp_path):
    html = report(tmp_path, [question("1", ("x",))], [prediction("1", "x")])
    page = Page(html)
    assert not {"link", "img", "iframe", "object", "base", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href", "action"} or name.startswith("on")]
    assert not re.search(r"https?:|@import|url\(", html)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


@pytest.mark.parametrize("answer", ["a\ud800b", "a\x00b", "\u202egnp.exe", "🌾" * 5_000, "line\nline"])
def test_odd_characters_are_written(tmp_path, answer):
    assert "<article" in report(tmp_path, [question("1", ("x",))], [prediction("1", answer)])


def test_no_metrics_no_questions_no_settings(tmp_path):
    assert "unscored" in report(tmp_path, [question("1", ("x",))], [prediction("1", "x")], metrics=())
    assert "<article" not in report(tmp_path, [], [])


def test_long_passages_are_cut_and_unused_ones_are_marked(tmp_path):
    documents = (passage("a"), {"id": "b", "score": None, "text": "x" * 5_000})
    html = report(tmp_path, [question("1", ("x",))], [prediction("1", "x", documents, context=["a"])])
    assert "x" * 300 + " …" in html
    assert "x" * 301 not in html
    assert html.count("not in the prompt") == 1
