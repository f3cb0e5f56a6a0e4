import string
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_helpers import opened

from ragkit.index.sparse import Analyser, SparseSettings
from ragkit.index.sparse import analyser as module
from ragkit.index.sparse.settings import Stemmer, Stopwords

PLAIN = Analyser(SparseSettings(stemmer=None, stopwords=None))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The roots of 2 plants", ["the", "roots", "of", "2", "plants"]),
        ("vitamin C, 5 mg (3.5 %), 1,200 kg; pH7", ["vitamin", "c", "5", "mg", "3.5", "1,200", "kg", "ph7"]),
        ("don't stop. U.S. farms' end.", ["don't", "stop", "u.s", "farms", "end"]),
        ("the farmer’s e-mail snake_case", ["the", "farmer's", "e", "mail", "snake", "case"]),
        ("exam\u00adple ｆｕｌｌ ｗｉｄｔｈ E\ufb03cient", ["example", "full", "width", "efficient"]),
        ("Beyoncé Ackerböden naïve", ["beyonce", "ackerboden", "naive"]),
        ("हिन्दी में पानी", ["हिन्दी", "में", "पानी"]),
        ("القَمْح والماء", ["القَمْح", "والماء"]),
        ("土壤", ["土壤", "土", "壤"]),
        ("水", ["水"]),
        ("ﾊﾟﾝ", ["パン"]),
        ("BM25モデル3.5水", ["bm25", "モデ", "デル", "3.5", "水"]),
        ("밥을", ["밥을", "밥", "을"]),
        ("?! … 🌱", []),
    ],
)
def test_words(text, terms):
    assert PLAIN(text) == terms


@settings(max_examples=300)
@given(st.text(alphabet=string.ascii_letters + string.digits + " .,'_-\n"))
def test_plain_ascii_is_cut_like_all_other_text(text):
    assert PLAIN.words(text) == module._pattern(module._UNICODE_WORD).findall(text.lower())


@settings(max_examples=300)
@given(st.text())
def test_any_text_can_be_analysed_and_no_term_is_empty(text):
    terms = Analyser(SparseSettings())(text)
    assert all(term and not any(character.isspace() for character in term) for term in terms)


@pytest.mark.parametrize(
    ("passage", "words"),
    [
        ("小麦在秋天播种，夏天收获。土壤保持水分。", ["小麦", "播种", "土壤", "水", "秋天收获"]),
        ("小麦は秋に蒔かれ、コンバインで収穫される。水を飲む。", ["小麦", "コンバイン", "収穫", "水", "ｺﾝﾊﾞｲﾝ"]),
        ("밀은 가을에 심고 여름에 수확한다. 밥을 먹는다.", ["가을", "수확", "밀", "밥"]),
        ("ข้าวสาลีปลูกในฤดูใบไม้ร่วง", ["ข้าวสาลี", "ฤดู"]),
        ("يزرع القمح في الخريف", ["القمح", "الخريف"]),
        ("गेहूँ शरद ऋतु में बोया जाता है", ["गेहूँ", "शरद"]),
        ("Die Böden im Café", ["böden", "cafe", "CAFÉ"]),
    ],
)
def test_a_word_of_any_language_finds_its_passage(tmp_path, passage, words):
    others = ["Maize needs warm soil.", "玉米需要温暖的地方", "とうもろこし", "옥수수", "ข้อมูล", "ذرة", "मक्का"]
    index, _ = opened(tmp_path, [*others, passage], stemmer=None, stopwords=None)
    for word in words:
        assert index.search([word], 1)[0][0][0] == len(others), word


def test_accents_are_folded_before_an_english_stemmer_and_after_others():
    assert Analyser(SparseSettings())("Beyoncé cafés") == Analyser(SparseSettings())("beyonce cafes")
    french = Analyser(SparseSettings(stemmer="french", stopwords=None))
    assert french("mangée mangé") == ["mang", "mang"]
    kept = Analyser(SparseSettings(stemmer=None, stopwords=None, fold_accents=False))
    assert kept("Café") == ["café"] != kept("Cafe")


@pytest.mark.parametrize("text", ["が", "й", "हिन्दी", "ά", "قَ"])
def test_only_latin_letters_lose_their_marks(text):
    assert PLAIN(text) == [text]


def test_typographic_and_full_width_forms_are_the_same_word():
    analyse = Analyser(SparseSettings())
    assert analyse("The harvested, efficient maize, farmer's") == analyse("harvesting e\ufb03cient ＭＡＩＺＥ farmer’s")


@pytest.mark.parametrize("language", typing.get_args(Stemmer))
def test_every_stemmer_exists(language):
    assert Analyser(SparseSettings(stemmer=language, stopwords=None))("plants")


@pytest.mark.parametrize("language", typing.get_args(Stopwords))
def test_every_list_of_stopwords_exists(language):
    assert Analyser(SparseSettings(stemmer=None, stopwords=language))("plants the") in (["plants"], ["plants", "the"])


@pytest.mark.parametrize(
    ("settings", "stopwords"),
    [
        ({}, "english"),
        ({"stemmer": None}, "english"),
        ({"stemmer": "porter"}, "english"),
        ({"stemmer": "german"}, "german"),
        ({"stemmer": "tamil"}, None),
        ({"stemmer": "german", "stopwords": "english"}, "english"),
        ({"stemmer": "german", "stopwords": None}, None),
    ],
)
def test_stop_words_are_of_the_stemmers_language_unless_they_are_named(settings, stopwords):
    assert SparseSettings(**settings).stopwords == stopwords
