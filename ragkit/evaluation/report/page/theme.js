// Light, dark, or as the system has it.

const THEMES = { auto: "system", light: "light", dark: "dark" };

function storedTheme() {
  try {
    return localStorage.getItem("ragkit-theme") ?? "auto";
  } catch {
    return "auto"; // some browsers give files opened from disk no storage
  }
}

function setTheme(name, onChange) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = `◐ ${THEMES[name]}`;
  byId("theme").setAttribute("aria-label", `Theme: ${THEMES[name]}`);
  try {
    localStorage.setItem("ragkit-theme", name);
  } catch {
    // not remembered, but shown
  }
  onChange();
}

function startTheme(onChange) {
  const names = Object.keys(THEMES);
  const stored = storedTheme();
  setTheme(stored in THEMES ? stored : "auto", onChange);
  byId("theme").addEventListener("click", () => {
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    setTheme(next, onChange);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}
