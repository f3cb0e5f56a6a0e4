// What the keyboard does.

const KEYS = [
  ["/", "search"], ["j, ↓", "next question"], ["k, ↑", "previous question"], ["Enter", "open the question"],
  ["Esc", "close what is open"], ["t", "change the theme"], ["?", "this list"],
];

function startKeys(list, { open, close }) {
  const move = (by) => {
    moveCursor(list, list.cursor < 0 ? 0 : list.cursor + by);
    if (list.opened !== null && isWide()) open(list.numbers[list.cursor], { focus: false });
  };
  const page = () => Math.max(1, Math.floor(list.node.clientHeight / ROW) - 1);
  const everywhere = {
    "/": () => byId("search").focus(), j: () => move(1), k: () => move(-1), "?": showHelp, t: () => byId("theme").click(), Escape: close,
  };
  const inList = {
    ArrowDown: () => move(1), ArrowUp: () => move(-1), PageDown: () => move(page()), PageUp: () => move(-page()),
    Home: () => moveCursor(list, 0), End: () => moveCursor(list, list.numbers.length - 1),
    Enter: () => list.cursor >= 0 && open(list.numbers[list.cursor]), " ": () => list.cursor >= 0 && open(list.numbers[list.cursor]),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, select, textarea");
    if (typing) return leaveField(event, list, inList);
    const onButton = event.target.matches("button, summary, a");
    const action = everywhere[event.key] ?? (event.target === list.node || !onButton ? inListKey(event, list, inList) : undefined);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

// Arrows scroll the page unless the list has the focus; Enter opens the question under the cursor anyway.
function inListKey(event, list, inList) {
  if (event.target === list.node) return inList[event.key];
  return event.key === "Enter" && list.cursor >= 0 ? inList.Enter : undefined;
}

function leaveField(event, list, inList) {
  if (event.key === "Escape") return list.node.focus();
  if (event.target.id !== "search" || !["Enter", "ArrowDown"].includes(event.key)) return undefined;
  event.preventDefault();
  list.node.focus();
  if (list.cursor < 0) moveCursor(list, 0);
  return event.key === "Enter" ? inList.Enter() : undefined;
}

function showHelp() {
  const dialog = byId("help");
  show(dialog, el("header", {}, el("h3", { id: "help-title" }, "Keys"), button("Close", () => dialog.close(), { class: "quiet close" })),
    el("dl", { class: "keys" }, KEYS.map(([key, meaning]) => [el("dt", {}, key.split(", ").map((name) => el("kbd", {}, name))), el("dd", {}, meaning)])));
  dialog.showModal();
}
