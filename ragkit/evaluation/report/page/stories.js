// Stories as `compact.py` folds them, unfolded: passages by their ids again, hits as objects.

async function storyOf(number) {
  const folded = await itemOf("stories", number, store.head.storiesPerBlock);
  const id = (passage) => store.passageIds[passage];
  return {
    ...folded,
    gold: Object.fromEntries(folded.gold.map(([passage, units]) => [id(passage), units])),
    documents: folded.documents.map(([passage, value]) => [id(passage), value]),
    context: folded.context.map(id),
    citations: folded.citations.map((citation) => ({ ...citation, passage: id(citation.passage) })),
    turns: folded.turns.map(([place, thought, action, observation]) => ({ place, thought, action, observation })),
    steps: folded.steps.map((step) => unfoldedStep(step, id)),
    prompt: unfoldedTurns(folded.prompt, id),
  };
}

function unfoldedStep(step, id) {
  return {
    queries: null, ranking: "", asked: [], wrote: [], error: null, ...step,
    found: (step.found ?? []).map(([passage, value, ...hits]) => ({ id: id(passage), score: value, hits: unfoldedHits(hits) })),
    dropped: (step.dropped ?? []).map(([passage, value, why]) => ({ id: id(passage), score: value, why })),
    calls: (step.calls ?? []).map(([resource, op, number, prompt, completion, time, source, sent, reply]) =>
      ({ resource, op, count: number, tokens: [prompt, completion], seconds: time, source, sent: unfoldedTurns(sent, id), reply })),
  };
}

function unfoldedHits(values) {
  const hits = [];
  for (let n = 0; n < values.length; n += 4) hits.push({ by: values[n], query: values[n + 1], rank: values[n + 2], score: values[n + 3] });
  return hits;
}

// Pieces are texts, or { passage, flat }.
const unfoldedTurns = (turns, id) => turns.map(([role, pieces]) => ({ role, pieces: pieces.map((piece) =>
  typeof piece === "string" ? piece : Array.isArray(piece) ? { passage: id(piece[0]), flat: true } : { passage: id(piece), flat: false }) }));
