"""PA-RAG: data for its four stages of training, one supervised and three of preferences."""

from ragkit.tuning.builders.pa_rag.answers import PaRagAnswers
from ragkit.tuning.builders.pa_rag.preferences import PaRagPreferences

__all__ = ["PaRagAnswers", "PaRagPreferences"]
