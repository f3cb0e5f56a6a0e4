// Runs beside one another: differences to the first run, won and lost questions, quality against cost.

async function startComparison() {
  const comparison = await block("comparison");
  const [baseline, ...others] = comparison.runs;
  byId("title").textContent = plural(comparison.runs.length, "run");
  const plots = comparison.pareto.length > 0 ? pareto(comparison.pareto) : null;
  append(byId("overview"), [
    section("runs", "Runs", runsNote(comparison), runsTable(comparison.runs)),
    ...others.map((run, n) => section(`difference-${n + 1}`, runName(run.run), `Difference to ${runName(baseline.run)}: paired randomisation test, p-values corrected by Holm over the compared runs.`,
      differences(baseline, run), wonAndLost(run))),
    plots && section("pareto", "Quality and cost", "A run on the front, in colour, has no other that is at least as good for at most the cost.", plots.node),
  ]);
  linkSections();
  startTheme(() => plots?.draw());
  document.documentElement.dataset.ready = "true";
}

// The last parts of a path, which tell runs apart.
const runName = (path) => path.split(/[\\/]/).filter(Boolean).slice(-2).join("/");

function runsNote({ questions, left_out: leftOut }) {
  const missing = Object.entries(leftOut).filter(([, number]) => number > 0).map(([run, number]) => `${count(number)} of ${runName(run)}`);
  return `On the ${plural(questions, "question")} that all runs have${missing.length ? `; left out: ${missing.join(", ")}` : ""}.`;
}

function runsTable(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  const rows = runs.map((run) => [quote("span", runName(run.run)), count(run.failures), ...names.map((name) => runCell(run.metrics[name]))]);
  return table([["run", "name"], ["failed", "number"], ...names.map((name) => [name, "number"])], rows, { "aria-label": "Figures of the runs" });
}

const runCell = (estimate) => (estimate ? [el("b", {}, figure(estimate.value)), el("small", {}, interval(estimate))] : "–");

function differences(baseline, run) {
  const rows = Object.entries(run.differences).map(([name, { paired, p_holm: p }]) => [
    name, figure(baseline.metrics[name].value), figure(run.metrics[name].value), el("b", {}, signed(paired.difference)),
    paired.low === null ? "–" : `${signed(paired.low)} to ${signed(paired.high)}`, probability(p),
    name in run.won ? `${count(paired.wins)} / ${count(paired.losses)}` : ""]);
  const columns = [["metric", "name"], ["first run", "number"], ["this run", "number"], ["difference", "number"],
    ["95 % interval", "number"], ["p (Holm)", "number"], ["won / lost", "number"]];
  return table(columns, rows, { "aria-label": `Differences of ${run.run}` });
}

const signed = (value) => (value === null ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : ""}${figure(Math.abs(value))}`);

const probability = (value) => (value === null ? "–" : value < 0.001 ? "< .001" : value.toFixed(3));

function wonAndLost(run) {
  return Object.keys(run.won).map((name) => disclosure(
    `${name}: ${plural(run.won[name].length, "question")} won, ${plural(run.lost[name].length, "question")} lost`,
    () => el("div", { class: "verdict" }, idList("Won", run.won[name]), idList("Lost", run.lost[name]))));
}

const idList = (title, ids) => el("section", {}, el("h4", {}, title), el("ul", { class: "ids" }, ids.map((id) => el("li", {}, el("code", {}, id)))));

// One plot at a time; which quality against which cost is the reader's choice.
function pareto(pairs) {
  const state = { quality: pairs[0].quality, cost: pairs[0].cost };
  const holder = el("div");
  let plot;
  const build = () => {
    const { points } = pairs.find((pair) => pair.quality === state.quality && pair.cost === state.cost);
    plot = scatter(points.map((point) => ({ x: point.cost, y: point.quality, low: point.quality_low, high: point.quality_high,
      kind: point.on_front ? "accent" : "soft", label: runName(point.run),
      title: `${point.run}: ${state.quality} ${figure(point.quality)}, ${state.cost} ${figure(point.cost)}` })), state.cost, state.quality, () => {});
    show(holder, plot.node);
    plot.draw();
  };
  const choose = (key) => (value) => {
    state[key] = value;
    build();
  };
  const options = (key) => [...new Set(pairs.map((pair) => pair[key]))].map((name) => [name, name]);
  build();
  const choices = el("div", { class: "choices" }, select("quality", options("quality"), choose("quality"), state.quality), select("cost", options("cost"), choose("cost"), state.cost));
  return { node: [choices, holder], draw: () => plot.draw() };
}

startComparison().catch(reportFailure);
