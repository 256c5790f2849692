// Puts the page together: theme, keys, links, start.

const $ = (id) => document.getElementById(id);
const state = {
  events: [], listed: [], chosen: null, cube: null, pixel: null, stretch: null, mode: "ramp",
  order: { key: "significance", down: true }, verdicts: new Map(), history: [],
};
let facts;
// For the console, and for tests.
globalThis.ohana = { state, frame };

function element(tag, text, kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** A name and its value, for a list of such. */
function pair(name, text) {
  const made = document.createElement("div");
  made.append(element("dt", name), element("dd", text));
  return made;
}

/** Mark of a class, as on the frame. */
function symbol({ id, name }) {
  const mark = element("i", ["", "○", "□", "△"][id], `mark class-${id}`);
  mark.title = name;
  return mark;
}

// ---- theme --------------------------------------------------------------------------------

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  const look = getComputedStyle(document.documentElement);
  const colour = (name) => look.getPropertyValue(`--${name}`).trim();
  for (const plot of [frame.plot, named("ramp")]) {
    plot.background_fill_color = plot.border_fill_color = colour("panel");
    plot.outline_line_color = colour("line");
    for (const axis of [...plot.left, ...plot.below]) {
      axis.setv({
        axis_label_text_color: colour("faint"), major_label_text_color: colour("faint"),
        axis_line_color: colour("line"), major_tick_line_color: colour("line"),
        minor_tick_line_color: null, axis_label_text_font_style: "normal",
        axis_label_text_font_size: "12px", major_label_text_font_size: "11px",
        axis_label_text_font: "system-ui", major_label_text_font: "system-ui",
      });
    }
    for (const grid of plot.center) {
      if (grid.type.endsWith("Grid")) grid.grid_line_color = colour("grid");
    }
  }
  named("points").glyph.fill_color = colour("ink");
  named("line").glyph.line_color = colour("ink");
  named("fit").glyph.line_color = colour("model");
  named("at-event").line_color = colour("faint");
  named("at-read").line_color = colour("accent");
  drawTimes();
}

function toggleTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  const theme = dark ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem("ohana-theme", theme);
  } catch { /* Then it is forgotten. */ }
}
function recallTheme() {
  try {
    return localStorage.getItem("ohana-theme");
  } catch {
    return null;
  }
}

// ---- keys ---------------------------------------------------------------------------------

const KEYS = [
  { keys: ["j", "ArrowDown"], tell: "j or ↓", what: "next event in the list", run: () => go(1) },
  { keys: ["k", "ArrowUp"], tell: "k or ↑", what: "previous event", run: () => go(-1) },
  { keys: [","], tell: ",", what: "one read back", run: () => slide(-1) },
  { keys: ["."], tell: ".", what: "one read on", run: () => slide(1) },
  ...Object.entries(VERDICTS).map(([verdict, { key, name }]) => ({
    keys: [key], tell: key, run: () => judge(verdict),
    what: verdict === "right" ? "the event is right"
      : verdict === "wrong" ? "wrong: nothing real" : `it is really: ${name}`,
  })),
  { keys: ["u"], tell: "u", what: "take the last verdict back", run: undo },
  { keys: ["d"], tell: "d", what: "ramp, flattened, differences", run: () => nextMode() },
  { keys: ["z"], tell: "z", what: "zoom the frame to the event", run: zoomToEvent },
  { keys: ["f"], tell: "f", what: "whole frame", run: wholeFrame },
  { keys: ["?"], tell: "?", what: "this help", run: () => $("help").showModal() },
];
const MOUSE = [
  ["click a mark or row", "choose the event"],
  ["click a pixel of the frame", "its numbers, and the event it belongs to"],
  ["click a pixel of a cut-out", "its ramp"],
  ["drag, wheel", "move and zoom the frame"],
];

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select");
  const sliding = event.target.matches("input[type=range]") && event.key.startsWith("Arrow");
  const key = typing || sliding ? null : KEYS.find(({ keys }) => keys.includes(event.key));
  if (!key) return;
  event.preventDefault();
  key.run();
}

function slide(by) {
  if (!state.chosen) return;
  $("read").value = Number($("read").value) + by;
  drawAtRead();
}

function setMode(mode) {
  state.mode = mode;
  for (const button of $("modes").children) button.ariaChecked = button.dataset.mode === mode;
  if (state.chosen) drawRamp();
}
function nextMode() {
  const modes = Object.keys(MODES);
  setMode(modes[(modes.indexOf(state.mode) + 1) % modes.length]);
}

// ---- links --------------------------------------------------------------------------------

/** Choose the event of the address, if it has one and the event is here. */
function followLink() {
  const wanted = /^#event=(\d+)$/.exec(location.hash)?.[1];
  if (wanted === undefined) return false;
  const event = state.events.find((e) => e.index === Number(wanted));
  if (event) {
    choose(event);
    return true;
  }
  notice(Number(wanted) < facts.total
    ? `Event ${wanted} is one of those left out of this page.`
    : `There is no event ${wanted}: the catalogue has ${facts.total}.`);
  return false;
}

// ---- start --------------------------------------------------------------------------------

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function tellLeftOut() {
  const left = facts.left_out ?? [];
  if (!left.length) return;
  const number = left.reduce((sum, { number }) => sum + number, 0);
  notice(`${number} of ${facts.total} events are not in this page`);
  const list = document.createElement("ul");
  for (const { type, number, below } of left) {
    list.append(element("li", `${number} ${classOf(type).name} events of at most ${tell(below, 3)} σ`));
  }
  $("left-out").replaceChildren(
    element("p", `To keep this file small, ${number} of the ${facts.total} events in `
      + "detections.json are left out. Each class has an equal share of the room, what one does "
      + "not need goes to the others, and within a class the most significant are kept. Left out:"),
    list);
}

// What page_data.py and page_events.py guarantee.
const PRECISION = "In this file ramps of strongest pixels are exact to 0.05 % of their range, "
  + "cut-outs to an eighth of the noise, and maps of the frame to a fraction of their scatter.";

function tellRun() {
  const boxes = facts.sections.map(({ title, rows, folded }) => {
    const box = document.createElement("details");
    box.open = !folded;
    const list = document.createElement("dl");
    for (const [name, value] of rows) list.append(element("dt", name), element("dd", value));
    box.append(element("summary", title), list);
    return box;
  });
  $("sections").replaceChildren(...boxes, element("p", PRECISION, "faint"));
}

function setPage() {
  const [reads, rows, cols] = facts.shape;
  $("name").textContent = facts.name;
  document.documentElement.style.setProperty("--ratio", `${cols} / ${rows}`);
  $("size").textContent = `${reads} reads · ${rows} × ${cols}`
    + (facts.integrations > 1 ? ` · ${facts.integrations} integrations` : "");
  for (const { name, title, unit } of facts.pictures) {
    $("picture").append(Object.assign(element("option", `${title} [${unitOf(unit)}]`), { value: name }));
  }
  const short = { cosmic_ray: "ray", telegraph_noise: "RTN", snowball: "snowball" };
  for (const look of facts.classes) {
    look.short = short[look.key];
    document.documentElement.style.setProperty(`--light-${look.id}`, look.light);
    document.documentElement.style.setProperty(`--dark-${look.id}`, look.dark);
  }
  for (const [verdict, { label, name, key }] of Object.entries(VERDICTS)) {
    const button = element("button", label ?? classOf(verdict).short);
    button.append(element("kbd", key));
    button.dataset.verdict = verdict;
    button.title = `${name} (${key})`;
    $("verdicts").append(button);
  }
  $("verdicts").append(element("span", "", "gap"), Object.assign(element("button", "↶"), { id: "undo", title: "take the last verdict back (u)" }));
  $("undo").append(element("kbd", "u"));
  for (const [mode, name] of Object.entries(MODES)) {
    const button = element("button", name);
    button.dataset.mode = mode;
    button.role = "radio";
    $("modes").append(button);
  }
  for (const [keys, what] of [...KEYS.map((k) => [k.tell, k.what]), ...MOUSE]) {
    $("keys").append(element("dt", keys), element("dd", what));
  }
  const nothing = facts.total === 0;
  $("empty").textContent = nothing
    ? "Nothing was found in this exposure." : "Choose an event: a mark on the frame or a row of the list.";
  $("none").textContent = nothing ? "No events: nothing was found in this exposure." : "No event passes the filters.";
  tellLeftOut();
  tellRun();
}

function listen() {
  document.addEventListener("keydown", pressed);
  $("filters").addEventListener("input", filter);
  $("filters").addEventListener("reset", () => setTimeout(filter));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("scroll").addEventListener("scroll", drawRows);
  $("rows").addEventListener("click", ({ target }) => {
    const index = Number(target.closest("tr")?.dataset.index ?? NaN);
    const event = state.listed.find((e) => e.index === index);
    if (event) choose(event);
  });
  $("heads").addEventListener("click", ({ target }) => {
    const key = target.closest("button")?.dataset.key;
    if (!key) return;
    // Numbers are first wanted from the largest on.
    const down = key === state.order.key ? !state.order.down : !["index", "type", "row", "col"].includes(key);
    state.order = { key, down };
    sort();
  });
  const buttons = {
    next: () => go(1), previous: () => go(-1), undo, theme: toggleTheme,
    "zoom-event": zoomToEvent, "zoom-all": wholeFrame,
    notice: () => $("run").showModal(),
    "show-run": () => $("run").showModal(), "show-help": () => $("help").showModal(),
    auto: () => { frame.limits = [...frame.picture.stretch]; setLimits(); paintFrame(); },
    "export-json": () => save("events.json", listAsJson(), "application/json"),
    "export-csv": () => save("events.csv", listAsCsv(), "text/csv"),
    "export-verdicts": () => save("verdicts.json", JSON.stringify(verdictFile(), null, 1), "application/json"),
  };
  for (const [id, run] of Object.entries(buttons)) $(id).addEventListener("click", run);
  $("verdicts").addEventListener("click", ({ target }) => {
    const verdict = target.closest("button")?.dataset.verdict;
    if (verdict) judge(verdict);
  });
  $("modes").addEventListener("click", ({ target }) => target.dataset.mode && setMode(target.dataset.mode));
  $("read").addEventListener("input", drawAtRead);
  $("cuts").addEventListener("click", (event) => {
    if (event.target.matches("canvas")) pickPixel(...pixelOfCut(event.target, event));
  });
  $("picture").addEventListener("change", () => showPicture($("picture").value));
  $("stretch").addEventListener("change", paintFrame);
  $("footprints").addEventListener("change", paintFrame);
  $("marks").addEventListener("change", drawMarks);
  ["black", "white"].forEach((id, i) => {
    $(id).addEventListener("input", () => changeLimit(i, valueOfSlider(Number($(id).value))));
    $(`${id}-value`).addEventListener("change", () => changeLimit(i, Number($(`${id}-value`).value)));
  });
  frame.plot.on_event("tap", ({ x, y }) => clickFrame(x, y));
  frame.plot.on_event("mousemove", ({ x, y }) => {
    const [row, col] = [Math.round(y), Math.round(x)];
    const inside = row >= 0 && col >= 0 && row < facts.shape[1] && col < facts.shape[2];
    tellPixel(inside ? [row, col] : null);
  });
  frame.plot.on_event("mouseleave", () => tellPixel(null));
  $("times").addEventListener("click", pickTime);
  new ResizeObserver(drawTimes).observe($("times-room"));
  for (const range of [frame.plot.x_range, frame.plot.y_range]) range.change.connect(sizeMarks);
  new ResizeObserver(fitFrame).observe($("frame-room"));
  new ResizeObserver(() => { drawRows(); if (state.chosen) drawCuts(); }).observe($("scroll"));
  addEventListener("hashchange", followLink);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
}

async function start() {
  facts = await readJson("facts");
  recallVerdicts();
  setPage();
  const data = Promise.all([
    inflate("mask"), readEvents(facts.shape[0]), ...Object.entries(PLOTS).map(([id, plot]) => Bokeh.embed.embed_item(plot, id)),
  ]);
  [frame.mask, state.events] = await data;
  frame.plot = named("frame");
  setTheme(recallTheme());
  fitFrame();
  await showPicture(facts.pictures[0].name);
  setFilters();
  listen();
  setMode("ramp");
  drawProgress();
  filter();
  tellPixel(null);
  if (!followLink() && state.listed.length && !location.hash) choose(state.listed[0]);
  document.documentElement.dataset.ready = Math.round(performance.now());
  // The other maps are small work, but not for the start.
  for (const fact of facts.pictures.slice(1)) frame.kept[fact.name] ??= await readPicture(fact);
}

start().catch((error) => {
  notice(`This page could not be opened: ${error.message}. It needs a browser of 2023 or later.`);
  throw error;
});
