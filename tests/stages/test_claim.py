"""Posts become claims."""

import asyncio

import pytest

from ragkit import Pipeline
from ragkit.engine.run import Asked
from ragkit.stages import RewriteClaim
from ragkit.stages.claim import FALLBACK, claim_of, words_of
from ragkit.testing import check_stage


def test_it_behaves_as_a_stage():
    check_stage(RewriteClaim())


@pytest.mark.parametrize(
    ("post", "claim"),
    [
        ("#VaccinesCauseAutism 😡😡 read https://t.co/Ab1", "Vaccines Cause Autism read"),
        ("RT @drx: masks do nothing &amp; never did!!! @cdc", "masks do nothing & never did!"),
        ("𝗠𝗮𝘀𝗸𝘀 are useless 👨‍👩‍👧 1️⃣", "Masks are useless 1"),
        ("[a study](https://x.org/y) says so. via u/some_one", "a study says so. via"),
        ("www.example.org/a?b=c garlic cures it , they say .", "garlic cures it, they say."),
        ("write to me@example.org about C# and 4/5 of us", "write to me@example.org about C# and 4/5 of us"),
        ("Vitamin C costs 5 € &lt; 6 $", "Vitamin C costs 5 € < 6 $"),
    ],
)
def test_what_only_readers_of_a_network_need_goes(post, claim):
    assert claim_of(post) == claim


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("COVIDVaccineSafety", "COVID Vaccine Safety"),
        ("5GCausesCovid19", "5G Causes Covid19"),
        ("covid_is_over", "covid is over"),
        ("VitaminD", "Vitamin D"),
        ("SARSCoV2", "SARS CoV2"),
        ("mRNA", "mRNA"),
        ("COVID19", "COVID19"),
        ("ÉtudeÀLire", "Étude À Lire"),
    ],
)
def test_a_hashtag_becomes_its_words(tag, words):
    assert words_of(tag) == words


def test_the_claim_is_searched_for():
    written = asyncio.run(RewriteClaim().run("@who #MasksKill 😷"))
    assert written == {"queries": ("Masks Kill",), "vars.claim": "Masks Kill"}


def test_a_post_without_words_is_searched_for_as_it_is_and_flagged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (plain, empty) = Pipeline([RewriteClaim()]).predict([Asked("a", "Masks kill"), Asked("b", "😷 https://t.co/x")])
    assert not plain.flags
    assert (plain.vars["claim"], empty.vars["claim"]) == ("Masks kill", "😷 https://t.co/x")
    assert FALLBACK in empty.flags
