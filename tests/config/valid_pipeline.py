"""A valid pipeline file with every construct."""

VALID = """\
name: everything
models:
  reader: &base {provider: scripted, default: ready, seconds: 0.5}
  strict: {<<: *base, rules: [{contains: wheat, reply: "14 percent"}]}
  minilm: {provider: hash, dimension: 64}
  judge: {provider: overlap}
index:
  documents: ["docs/**/*.pdf", notes.txt]   # a comment
  chunking: {size: 120, overlap: 20}
  dense: {encoder: minilm, factory: Flat}
  sparse: {method: lucene, stemmer: null, k1: 1.2}
  fusion: {k: 60}
pipeline:
  - test.rewrite: {model: reader, variants: 3}
  - each:
      over: queries
      do:
        - retrieve.hybrid: {k: 5, depth: 20}
  - branch:
      on: {any_of: [{field: documents, less_than: 3}, {negate: {field: question, contains: "a, b"}}]}
      then:
        - retrieve.sparse: {id: more, k: 50}
      else:
        - rerank.cross_encoder: {reranker: judge, k: 4}
  - loop:
      max: 3
      until: {field: vars.note, equals: true}
      do:
        - test.note:
  - parallel:
      branches:
        near: [{retrieve.dense: {k: 5}}]
        far: [{retrieve.dense: {k: 50}}]
      merge: {documents: union}
  - context.pack: {model: reader, tokens: 800}
  - answer.read:
      model: strict
      prompt: answer.read.few_shot
      abstain: >-
        not
        answerable
run:
  questions: questions.jsonl
  metrics: [em, f1, recall@5]
  budget: {searches: 4, seconds: 2.5}
  cache: false
"""
