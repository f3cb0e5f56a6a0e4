// The report: reads the data, draws the overview, and lets the reader look through the questions.

const store = { head: null, rows: null, passageIds: [], passageNumbers: new Map() };

store.passage = async (id) => {
  const number = store.passageNumbers.get(id);
  return number === undefined ? null : itemOf("passages", number, store.head.passagesPerBlock);
};

const PRINTED = 400;
const isWide = () => matchMedia("(min-width: 60rem)").matches;

async function start() {
  const [head, rows, passageIds] = await Promise.all([block("head"), block("rows"), block("passage-ids")]);
  Object.assign(store, { head, rows, passageIds, passageNumbers: new Map(passageIds.map((id, n) => [id, n])) });
  byId("title").textContent = head.title;
  append(byId("facts"), facts(head));
  const pane = newPane();
  const filters = newFilters(head, rows, () => refresh(list, filters));
  const list = newList(byId("list"), head, rows, (number) => pane.open(number));
  pane.list = list;
  const redraw = overview(head, rows, filters, pane);
  linkSections();
  startFilters(filters);
  startTheme(redraw);
  startKeys(list, pane);
  byId("help-button").addEventListener("click", showHelp);
  startPrinting(list, redraw);
  addEventListener("hashchange", () => pane.follow());
  await pane.follow();
  document.documentElement.dataset.ready = "true";
}

function refresh(list, filters) {
  const numbers = filters.select();
  byId("shown").textContent = numbers.length === store.rows.id.length ? plural(numbers.length, "question") : `${count(numbers.length)} of ${plural(store.rows.id.length, "question")}`;
  setNumbers(list, numbers);
}

// Draws the sections that this run has data for; returns what draws the canvas again, in other colours.
function overview(head, rows, filters, pane) {
  const plot = quality(head, rows, pane);
  const filterLoss = (stage, loss) => {
    filters.reset({ loss: lossKey(stage, loss) });
    byId("questions").scrollIntoView();
    byId("list").focus({ preventScroll: true });
  };
  append(byId("overview"), [
    tiles(head, rows),
    Object.keys(head.overall.metrics).length > 0 && section("figures", "Figures",
      "Percentile bootstrap over questions. A question that failed counts as wrong in every metric of quality, and with what it had used in every metric of cost.",
      metricsTable(head), head.types.length > 1 && [el("h3", {}, "By type of question"), typesTable(head)],
      head.agreement.length > 0 && [el("h3", {}, "How far judges agree"), agreementTable(head)]),
    head.funnel?.questions > 0 && section("funnel", "Where evidence was lost",
      `${plural(head.funnel.questions, "question")} with gold evidence: how many still had all of it after each stage. Click a loss to see its questions.`,
      funnel(head, filterLoss)),
    head.times.length > 0 && section("times", "Where time went",
      "Computing time of a stage's calls, as their share of batches. The light part was saved: answers that came from the cache or from an equal call.",
      timesTable(head)),
    plot && section("cost", "Quality and cost", "Each point is a question; click one to read its story.", plot.node),
    ...Object.entries(head.curves).map(([name, curve]) => section(`curve-${name.replace(/\W+/g, "-")}`, CURVES[name] ?? name, CURVE_NOTES[name], curveChart(curve))),
    head.settings.length > 0 && section("settings", "Settings", "Everything that the results depend on, as the run's lock file has it.", settings(head)),
  ]);
  return () => plot?.draw();
}

const CURVES = { aurc: "Risk and coverage" };
const CURVE_NOTES = { aurc: "The mean risk of the answers that are given, when only the surest part of the questions is answered." };

// A curve is two columns of numbers, the first one across.
function curveChart(curve) {
  const [[xName, xs], [yName, ys]] = Object.entries(curve);
  return lineChart(xs.map((x, n) => [x, ys[n]]), xName, yName);
}

// Each question as a point; which metric against which cost is the reader's choice.
function quality(head, rows, pane) {
  const costs = Object.keys(rows.costs);
  if (!head.quality.length || !costs.length || rows.id.length < 2) return null;
  const state = { x: costs[0], y: head.quality.find((name) => name === "f1") ?? head.quality[0] };
  const holder = el("div");
  let plot;
  const build = () => {
    const numbers = rows.id.map((_, n) => n).filter((n) => valuesOf(rows, state.x)[n] !== null && valuesOf(rows, state.y)[n] !== null);
    const points = numbers.map((n) => ({ x: rows.costs[state.x][n], y: rows.scores[state.y][n], kind: rows.statuses[rows.status[n]],
      title: `${rows.question[n].slice(0, 120)} (${state.y} ${mark(rows.scores[state.y][n])}, ${state.x} ${mark(rows.costs[state.x][n])})` }));
    plot = scatter(points, state.x, state.y, (n) => pane.open(numbers[n]));
    show(holder, plot.node);
    plot.draw();
  };
  const choose = (key) => (value) => {
    state[key] = value;
    build();
  };
  build();
  const choices = el("div", { class: "choices" }, select("quality", head.quality.map((name) => [name, name]), choose("y"), state.y),
    select("cost", costs.map((name) => [name, name]), choose("x"), state.x), legend(rows));
  return { node: [choices, holder], draw: () => plot.draw() };
}

function legend(rows) {
  const used = rows.statuses.filter((_, code) => rows.status.includes(code));
  return el("ul", { class: "legend" }, used.map((name) => el("li", { class: name }, name)));
}

// The opened question, named in the address so that it can be linked to and left by the back button.
function newPane() {
  const node = byId("pane");
  let returnTo = null;
  const pane = {
    list: null,
    open(number, { focus = true } = {}) {
      pane.focus = focus;
      const hash = `#q=${encodeURIComponent(store.rows.id[number])}`;
      if (location.hash === hash) return pane.follow();
      if (pane.list.opened === null) location.hash = hash;
      else {
        history.replaceState(null, "", hash); // one step back leaves the questions, however many were opened
        return pane.follow();
      }
      return undefined;
    },
    close() {
      if (pane.list.opened === null) return;
      history.replaceState(null, "", location.href.split("#")[0]);
      pane.follow();
    },
    async follow() {
      const wanted = location.hash.startsWith("#q=") ? store.rows.id.indexOf(decodeURIComponent(location.hash.slice(3))) : -1;
      if (wanted < 0) return closePane(node, pane.list, returnTo);
      if (pane.list.opened === null) returnTo = document.activeElement;
      markOpened(pane.list, wanted);
      const story = await storyView(wanted, pane.close);
      if (pane.list.opened !== wanted) return undefined; // another question was opened meanwhile
      show(node, story);
      node.scrollTop = 0;
      document.body.classList.add("open");
      if (pane.focus !== false) node.querySelector("#story-title").focus({ preventScroll: isWide() && inSight(node) });
      return undefined;
    },
  };
  closed(node);
  return pane;
}

const inSight = (node) => node.getBoundingClientRect().top < innerHeight / 2;

function closePane(node, list, returnTo) {
  if (list.opened === null) return;
  markOpened(list, null);
  document.body.classList.remove("open");
  closed(node);
  (returnTo?.isConnected && returnTo !== document.body ? returnTo : list.node).focus({ preventScroll: true });
}

function closed(node) {
  show(node, el("p", { class: "empty" }, "Choose a question to read its story."));
}

// Paper is light, whatever the screen is.
function startPrinting(list, redraw) {
  let theme;
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    redraw();
    printList(list);
  });
  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = theme;
    redraw();
  });
}

// What is printed of the questions: the rows that are chosen now.
function printList(list) {
  const { rows, head } = store;
  const numbers = list.numbers.slice(0, PRINTED);
  const left = list.numbers.length - numbers.length;
  const lines = numbers.map((n) => [rows.id[n], rows.question[n], rows.answer[n] || "–", goldText(rows.gold[n]),
    rows.statuses[rows.status[n]], ...head.quality.slice(0, 2).map((name) => mark(rows.scores[name][n]))]);
  const columns = [["id", "name"], ["question", "name"], ["answer", "name"], ["gold", "name"], ["", "name"], ...head.quality.slice(0, 2).map((name) => [name, "number"])];
  show(byId("print-list"), table(columns, lines), left > 0 && el("p", {}, `and ${plural(left, "more question")}`));
}

start().catch(reportFailure);
