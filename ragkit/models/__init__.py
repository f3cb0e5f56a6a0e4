"""Language models, encoders and rerankers. Importing this registers the providers and loads no model library."""

from ragkit.models import langchain_embeddings as langchain_embeddings
from ragkit.models import langchain_models as langchain_models
from ragkit.models import scripted as scripted
from ragkit.models import sentence_transformers_models as sentence_transformers_models
from ragkit.models import transformers_lm as transformers_lm
