"""Measures of questions and answers that ask no model."""

import math

import numpy as np
import pytest

from ragkit.tuning.builders.corpus_qa.measures import distances, overlap, repetitions, support


def test_overlap_is_the_divergence_of_the_question_s_words_from_the_source_s():
    # words wheat, is, dry; counts + 1/2: question (3/2, 1/2, 1/2) of 5/2, source (3/2, 3/2, 3/2) of 9/2
    wanted = 0.6 * math.log(0.6 * 3) + 2 * 0.2 * math.log(0.2 * 3)
    assert overlap("Wheat", "Wheat is dry.") == pytest.approx(wanted)
    assert overlap("wheat is dry", "Wheat is dry.") == pytest.approx(0)
    assert overlap("what", "wheat is dry") > overlap("wheat", "wheat is dry")
    assert overlap("", "") == 0


def test_support_is_the_share_of_the_answer_s_words():
    assert support("14 percent, aerated", ["At 14 percent.", "It is dry."]) == pytest.approx(2 / 3)
    assert support("the", ["It"]) == 0


def test_distances_are_means_over_the_others():
    vectors = [np.array(v, np.float32) for v in ([1, 0], [2, 0], [0, 3])]
    assert distances(vectors) == pytest.approx([0.5, 0.5, 1.0])
    assert distances(vectors[:1]) == [0.0]
    assert distances([]) == []


def test_a_repetition_is_near_to_one_that_was_kept():
    a, b, c = ([1, 0], [1, 0.5], [1, 1])  # cosines: a-b .894, b-c .949, a-c .707
    vectors = [np.array(v, np.float32) for v in (a, b, c)]
    assert repetitions(vectors, 0.85) == [False, True, False]
    assert repetitions(vectors, 0.6) == [False, True, True]
    assert repetitions(vectors, 0.99) == [False, False, False]
