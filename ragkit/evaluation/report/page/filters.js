// Which questions are shown, and in which order.

const NO_FILTER = { words: "", status: "all", type: "", flag: "", loss: "", metric: "", low: "", high: "", sort: "order" };

function newFilters(head, rows, onChange) {
  const state = { ...NO_FILTER };
  const haystack = rows.id.map((id, n) =>
    [id, rows.question[n], rows.answer[n] ?? "", ...(rows.gold[n] ?? [])].join("\n").toLowerCase());
  const losses = lossSets(head.funnel);
  const change = (changes) => {
    Object.assign(state, changes);
    onChange();
  };
  // Starts anew from what is given; the form shows it.
  const reset = (changes = {}) => {
    clearTimeout(filters.waiting);
    Object.assign(state, NO_FILTER, changes);
    drawFilters(byId("filters"), head, rows, filters);
    onChange();
  };
  const filters = { state, change, reset, losses, waiting: 0, select: () => sorted(rows, chosen(rows, haystack, losses, state), state.sort) };
  return filters;
}

// The losses of the funnel, each with the questions that are known to have had it.
function lossSets(funnel) {
  const sets = new Map();
  for (const stage of funnel?.stages ?? [])
    for (const loss of stage.losses) sets.set(lossKey(stage, loss), { stage, loss, ids: new Set(loss.examples) });
  return sets;
}

const lossKey = (stage, loss) => `${stage.stage}\n${loss.reason}`;

function chosen(rows, haystack, losses, state) {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const ids = losses.get(state.loss)?.ids;
  const type = rows.types.indexOf(state.type.slice(1));
  const flag = rows.flagNames.indexOf(state.flag);
  const values = state.metric ? valuesOf(rows, state.metric) : null;
  const low = bound(state.low, -Infinity), high = bound(state.high, Infinity);
  const found = [];
  for (let n = 0; n < haystack.length; n++) {
    if (state.status !== "all" && !hasStatus(rows, n, state.status)) continue;
    if (state.type && rows.type[n] !== type) continue;
    if (state.flag && !rows.flags[n].includes(flag)) continue;
    if (ids && !ids.has(rows.id[n])) continue;
    if (values && (values[n] === null || values[n] < low || values[n] > high)) continue;
    if (words.every((word) => haystack[n].includes(word))) found.push(n);
  }
  return found;
}

const bound = (text, otherwise) => (text === "" || Number.isNaN(Number(text)) ? otherwise : Number(text));

const hasStatus = (rows, n, name) =>
  name === "abstained" ? Boolean(rows.abstained[n]) : rows.statuses[rows.status[n]] === name;

const valuesOf = (rows, name) => rows.scores[name] ?? rows.costs[name];

const valueNames = (rows) => [...new Set([...Object.keys(rows.scores), ...Object.keys(rows.costs)])];

function sorted(rows, numbers, sort) {
  if (sort === "order") return numbers;
  const [direction, name] = [sort[0], sort.slice(1)];
  const sign = direction === "+" ? 1 : -1;
  const values = valuesOf(rows, name);
  return numbers.sort((a, b) => {
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
    return sign * (values[a] - values[b]) || a - b;
  });
}

function startFilters(filters) {
  const form = byId("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    filters.reset();
  });
  filters.reset();
}

// The form; `filters.change` is told of everything that the reader sets.
function drawFilters(form, head, rows, filters) {
  const { state, change } = filters;
  const search = el("input", { type: "search", id: "search", placeholder: "Search questions, answers, gold", value: state.words,
    "aria-label": "Search questions, answers and gold answers", autocomplete: "off", spellcheck: "false",
    oninput: () => { clearTimeout(filters.waiting); filters.waiting = setTimeout(() => change({ words: search.value }), 80); } });
  show(form, el("div", { class: "search-row" }, search), statusButtons(rows, filters),
    disclosure("More filters and order", moreFilters(head, rows, filters), { class: "more", open: isNarrowed(state) }),
    el("div", { class: "found" }, el("span", { id: "shown", role: "status" }), el("button", { type: "reset", class: "link" }, "Clear")));
}

const isNarrowed = ({ type, flag, loss, metric, sort }) => Boolean(type || flag || loss || metric || sort !== "order");

function statusButtons(rows, { state, change }) {
  const names = ["all", ...rows.statuses.filter((name) => rows.id.some((_, n) => hasStatus(rows, n, name))), "abstained"];
  const buttons = names.map((name) => {
    const number = name === "all" ? rows.id.length : rows.id.filter((_, n) => hasStatus(rows, n, name)).length;
    return button([name, el("small", {}, count(number))], () => {
      change({ status: name });
      buttons.forEach((other, n) => other.setAttribute("aria-pressed", names[n] === name));
    }, { class: `chip ${name}`, "aria-pressed": String(state.status === name) });
  });
  return el("div", { class: "chips", role: "group", "aria-label": "What became of the question" }, buttons);
}

function moreFilters(head, rows, { state, change, losses }) {
  const names = valueNames(rows);
  const number = (key, label) => el("input", { type: "number", step: "any", placeholder: label === "least" ? "≥" : "≤", "aria-label": `${label} of the metric`,
    value: state[key], oninput: (event) => change({ [key]: event.target.value }) });
  const fields = [
    rows.types.length > 1 && select("type", [["", "any"], ...rows.types.map((type) => [`=${type}`, type || "no type"])], (type) => change({ type }), state.type),
    rows.flagNames.length > 0 && select("flag", [["", "any"], ...rows.flagNames.map((flag) => [flag, flag])], (flag) => change({ flag }), state.flag),
    losses.size > 0 && select("evidence lost", [["", "anywhere or nowhere"], ...[...losses].map(([key, { stage, loss }]) => [key, lossName(stage, loss)])],
      (loss) => change({ loss }), state.loss),
    el("div", { class: "between" },
      select("metric", [["", "any"], ...names.map((name) => [name, name])], (metric) => change({ metric }), state.metric),
      number("low", "least"), number("high", "most")),
    select("order", [["order", "as asked"], ...names.flatMap((name) => [[`-${name}`, `${name}, high first`], [`+${name}`, `${name}, low first`]])],
      (sort) => change({ sort }), state.sort),
  ];
  return el("div", { class: "fields" }, fields);
}

function lossName(stage, loss) {
  const known = loss.examples.length < loss.questions ? ` (${loss.examples.length} of ${count(loss.questions)})` : "";
  return `${stage.stage}: ${loss.reason}${known}`;
}
