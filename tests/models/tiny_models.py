"""Tiny models with random weights, saved as sentence-transformers saves trained ones."""

from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertModel, set_seed

from ragkit.models.embedded import locate

MINILM = "embedded:all-minilm-l6-v2"
SIZE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def bert(folder, head):
    """Save a tiny BERT (`head` is its class) with the tokenizer of MiniLM; return the folder."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(locate(MINILM)[0])
    head(BertConfig(vocab_size=len(tokenizer), initializer_range=0.5, **SIZE)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def sparse_encoder(folder):
    from sentence_transformers import SparseEncoder

    SparseEncoder(bert(folder / "bert", BertForMaskedLM), device="cpu").save_pretrained(str(folder / "sparse"))
    return str(folder / "sparse")


def multi_vector_encoder(folder):
    from sentence_transformers import MultiVectorEncoder

    set_seed(0)
    MultiVectorEncoder(bert(folder / "bert", BertModel), device="cpu").save_pretrained(str(folder / "multi"))
    return str(folder / "multi")


def encoder(folder):
    """Save a tiny encoder with mean pooling; return its folder."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(bert(folder / "bert", BertModel), device="cpu").save_pretrained(str(folder / "encoder"))
    return str(folder / "encoder")
