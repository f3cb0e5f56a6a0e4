"""Language models, encoders and rerankers. Importing this registers the providers and loads no model library."""

from ragkit.models import transformers_lm as transformers_lm
