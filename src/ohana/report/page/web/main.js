// Puts the page together.

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
function symbol({ id, name, open_sign }) {
  const mark = element("i", open_sign, `mark class-${id}`);
  mark.title = name;
  return mark;
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

function tellWhatIsWrong() {
  const left = facts.left_out ?? [], more = facts.warnings.length - 1;
  const number = left.reduce((sum, { number }) => sum + number, 0);
  const told = [];
  if (more >= 0) told.push(`Warning: ${facts.warnings[0]}` + (more ? ` (and ${more} more)` : ""));
  if (left.length) told.push(`${number} of ${facts.total} events are not in this page`);
  notice(told.join(" · "));
  if (left.length) tellLeftOut(left, number);
}

function tellLeftOut(left, number) {
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

// What packing.py and events.py guarantee.
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
  if (facts.health) {
    const picture = Object.assign(document.createElement("img"), {
      id: "health", src: facts.health, alt: "What was measured of the reads, and how many pixels step at each",
    });
    boxes.find((box) => box.firstChild.textContent === "Health").append(picture);
  }
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
  tellWhatIsWrong();
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
  colourPlots();
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
