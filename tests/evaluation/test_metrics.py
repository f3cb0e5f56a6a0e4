"""Answer and cost metrics. Expected values are worked out by hand from the published scripts."""

import pytest
from evaluation_builders import FAILURE, prediction, question
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.engine.registry import metrics
from ragkit.errors import InputError
from ragkit.evaluation.metrics import Metric, parse_metric
from ragkit.evaluation.metrics.answers import normalise


def score(metric, answer, *golds, **fields):
    (value,) = parse_metric(metric).compute([question(answers=golds)], [prediction(answer=answer, **fields)])
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("a well-known, U.S. author", "wellknown us author"),  # punctuation goes without leaving a space
        ("another theory", "another theory"),  # articles are whole words
        ("A.", ""),
        ("“Paris”", "“paris”"),  # only ASCII punctuation goes
        ("$1,000.50", "100050"),
    ],
)
def test_normalise_follows_the_squad_script(text, expected):
    assert normalise(text) == expected


# answer, gold answers, em, f1, hotpot_f1, hit
CASES = [
    ("The Chief of Protocol.", ["chief of protocol"], 1, 1, 1, 1),
    ("cat sat", ["cat on mat"], 0, 0.4, 0.4, 0),  # precision 1/2, recall 1/3
    ("new new york", ["New York"], 0, 0.8, 0.8, 1),  # precision 2/3 (one 'new' too many), recall 1
    ("Paris", ["London", "Paris, France", "paris"], 1, 1, 1, 1),  # the best gold answer counts
    ("yes", ["Yes"], 1, 1, 1, 1),
    ("yes it is", ["yes"], 0, 0.5, 0, 1),  # precision 1/3, recall 1; HotpotQA: 'yes' agrees only with itself
    ("no", ["no idea"], 0, 2 / 3, 0, 0),
    ("noanswer here", ["noanswer"], 0, 2 / 3, 0, 1),
    ("yes", ["no"], 0, 0, 0, 0),
    ("he has long been known", ["no"], 0, 0, 0, 0),  # whole words only
    ("it was built in 1889 in Paris", ["1889"], 0, 0.25, 0.25, 1),  # precision 1/7, recall 1
    ("the", ["A"], 1, 1, 0, 1),  # SQuAD 2.0: nothing equals nothing; HotpotQA: no common word
    ("the", ["A", "letter A"], 0, 0, 0, 0),  # SQuAD 2.0: an empty gold answer counts only when alone
    ("nothing in common", ["at all"], 0, 0, 0, 0),
]


@pytest.mark.parametrize(("answer", "golds", "em", "f1", "hotpot_f1", "hit"), CASES)
def test_answer_metrics(answer, golds, em, f1, hotpot_f1, hit):
    values = [score(name, answer, *golds) for name in ("em", "f1", "hotpot_f1", "hit")]
    assert values == pytest.approx([em, f1, hotpot_f1, hit])


@pytest.mark.parametrize("name", ["em", "f1", "hotpot_f1", "hit"])
class TestSpecialCases:
    def test_failures_and_missing_answers_count_as_wrong(self, name):
        assert score(name, "Paris", "Paris", error=FAILURE) == 0
        assert score(name, None, "Paris") == 0
        assert score(name, "  ", "Paris") == 0

    def test_nothing_to_compare_with_gives_no_value(self, name):
        assert score(name, "Paris") is None
        assert score(name, None, error=FAILURE) is None

    @pytest.mark.parametrize(
        ("answer", "error", "expected"),
        [(None, None, 1), ("", None, 1), (" \n", None, 1), ("Not answerable", None, 0), (None, FAILURE, 0)],
    )
    def test_unanswerable_questions_want_an_abstention(self, name, answer, error, expected):
        asked = question(answers=("Not answerable",), answerable=False)
        assert parse_metric(name).compute([asked], [prediction(answer=answer, error=error)]) == [expected]


def test_abstained_counts_answers_that_were_not_given():
    assert score("abstained", None) == 1
    assert score("abstained", "x") == 0
    assert score("abstained", None, error=FAILURE) == 0


def test_costs_come_from_the_meter_also_when_the_question_failed():
    assert score("searches", "x", "y") == 1
    assert score("model_calls", "x", "y") == 2
    assert score("tokens", "x", "y") == 34
    assert score("tokens", None, "y", error=FAILURE) == 34


def test_questions_and_predictions_must_be_pairs():
    with pytest.raises(ValueError, match="shorter"):
        parse_metric("em").compute([question(), question("2")], [prediction()])


@settings(deadline=None)
@given(st.text(), st.lists(st.text(), min_size=1))
def test_any_text_gives_a_value_between_0_and_1(answer, golds):
    em, f1, hotpot, hit = (score(name, answer, *golds) for name in ("em", "f1", "hotpot_f1", "hit"))
    assert 0 <= em <= f1 <= 1
    assert em <= hit <= 1
    assert 0 <= hotpot <= f1


@settings(deadline=None)
@given(st.sampled_from(sorted(metrics)), st.integers(1, 999_999))
def test_metrics_are_written_and_read_without_loss(name, cutoff):
    text = f"{name}@{cutoff}" if metrics[name].takes_cutoff else name
    assert str(parse_metric(text)) == text
    assert parse_metric(text) == parse_metric(text)


@pytest.mark.parametrize("name", sorted(metrics))
def test_every_metric_says_what_it_is(name):
    kind = metrics[name]
    assert issubclass(kind, Metric)
    assert kind.name == name
    assert kind.source
    assert kind.__doc__
    assert kind.needs in {"answers", "supporting_ids", "answerable", None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EM", "unknown metric 'EM', did you mean 'em'?"),
        ("recal@5", "unknown metric 'recal@5', did you mean 'recall'?"),
        ("zzz", "unknown metric 'zzz'. The metrics are: abstained, abstention, abstention_f1, aurc,"),
        ("", "unknown metric ''"),
        ("seconds", "metric 'seconds': is measured in every run; leave it out"),
        ("P(rel=2)", "metric 'P(rel=2)': P needs a cutoff, e.g. 'P(rel=2)@5'"),
        ("em@5", "metric 'em@5': em takes no cutoff, write 'em'"),
        ("recall", "recall needs a cutoff, a whole number from 1, e.g. 'recall@5'"),
        ("recall@", "recall needs a cutoff"),
        ("recall@0", "recall needs a cutoff"),
        ("recall@-1", "recall needs a cutoff"),
        ("recall@05", "recall needs a cutoff"),
        ("recall@5.0", "recall needs a cutoff"),
        ("recall@٥", "recall needs a cutoff"),
        ("recall@5@5", "recall needs a cutoff"),
    ],
)
def test_wrong_names_and_cutoffs(text, message):
    with pytest.raises(InputError) as caught:
        parse_metric(text)
    assert message in str(caught.value)
