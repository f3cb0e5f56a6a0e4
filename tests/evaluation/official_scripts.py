"""The functions of the published evaluation scripts, as oracles: what ragkit's metrics have to agree with.

SQuAD 2.0: `evaluate-v2.0.py` (Rajpurkar et al. 2018). HotpotQA: `hotpot_evaluate_v1.py` (Yang et al. 2018). ALCE:
`compute_autoais` of `eval.py` (Gao et al. 2023). Only their printing and file reading is left out.
"""

import collections
import copy
import re
import string


def normalize_answer(s):
    def remove_articles(text):
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text):
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def get_tokens(s):
    if not s:
        return []
    return normalize_answer(s).split()


def compute_exact(a_gold, a_pred):
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold, a_pred):
    gold_toks = get_tokens(a_gold)
    pred_toks = get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def squad_raw_scores(answers, a_pred):
    """`get_raw_scores` for one question; an unanswerable one has no answers."""
    gold_answers = [a for a in answers if normalize_answer(a)]
    if not gold_answers:
        # For unanswerable questions, only correct answer is empty string
        gold_answers = [""]
    return max(compute_exact(a, a_pred) for a in gold_answers), max(compute_f1(a, a_pred) for a in gold_answers)


def hotpot_f1_score(prediction, ground_truth):
    normalized_prediction = normalize_answer(prediction)
    normalized_ground_truth = normalize_answer(ground_truth)
    zero_metric = (0, 0, 0)
    if normalized_prediction in ["yes", "no", "noanswer"] and normalized_prediction != normalized_ground_truth:
        return zero_metric
    if normalized_ground_truth in ["yes", "no", "noanswer"] and normalized_prediction != normalized_ground_truth:
        return zero_metric
    prediction_tokens = normalized_prediction.split()
    ground_truth_tokens = normalized_ground_truth.split()
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return zero_metric
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    f1 = (2 * precision * recall) / (precision + recall)
    return f1, precision, recall


def hotpot_update_sp(prediction, gold):
    """`update_sp` for one question: em, f1, precision, recall of the supporting facts."""
    cur_sp_pred = {tuple(x) for x in prediction}
    gold_sp_pred = {tuple(x) for x in gold}
    tp, fp, fn = 0, 0, 0
    for e in cur_sp_pred:
        if e in gold_sp_pred:
            tp += 1
        else:
            fp += 1
    for e in gold_sp_pred:
        if e not in cur_sp_pred:
            fn += 1
    prec = 1.0 * tp / (tp + fp) if tp + fp > 0 else 0.0
    recall = 1.0 * tp / (tp + fn) if tp + fn > 0 else 0.0
    f1 = 2 * prec * recall / (prec + recall) if prec + recall > 0 else 0.0
    em = 1.0 if fp + fn == 0 else 0.0
    return em, f1, prec, recall


def hotpot_joint(answer, gold_answer, prediction, gold):
    """The joint part of `eval` for one question: em and f1."""
    em = float(normalize_answer(answer) == normalize_answer(gold_answer))
    _, prec, recall = hotpot_f1_score(answer, gold_answer)
    sp_em, _, sp_prec, sp_recall = hotpot_update_sp(prediction, gold)
    joint_prec = prec * sp_prec
    joint_recall = recall * sp_recall
    joint_f1 = 2 * joint_prec * joint_recall / (joint_prec + joint_recall) if joint_prec + joint_recall > 0 else 0.0
    return em * sp_em, joint_f1


def alce_citations(sentences, cited, entails):
    """The loop of `compute_autoais` for one answer: recall and precision.

    `cited` are the passages of each sentence, `entails(passages, sentence)` is the NLI model on the joined passages.
    """
    entail = 0
    entail_prec = 0
    total_citations = 0
    for sent, ref in zip(sentences, cited, strict=True):
        joint_entail = -1
        if len(ref) == 0:
            joint_entail = 0
        else:
            total_citations += len(ref)
        if joint_entail == -1:
            joint_entail = int(entails(ref, sent))
        entail += joint_entail
        if joint_entail and len(ref) > 1:
            for psgs_id in ref:
                nli_result = entails([psgs_id], sent)
                if not nli_result:
                    subset_exclude = copy.deepcopy(ref)
                    subset_exclude.remove(psgs_id)
                    nli_result = entails(subset_exclude, sent)
                    if not nli_result:
                        entail_prec += 1
                else:
                    entail_prec += 1
        else:
            entail_prec += joint_entail
    return entail / len(sentences), entail_prec / total_citations if total_citations > 0 else 0
