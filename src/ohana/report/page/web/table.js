// The list of events: filters, order, and a table that only draws the rows in view.

const ROW = 25; // Height of a row [pixel]; page.css has the same.
const COLUMNS = [
  { key: "verdict", head: "", title: "verdict", value: (e) => verdictOf(e) ?? "" },
  { key: "index", head: "#", title: "place in detections.json", value: (e) => e.index },
  { key: "type", head: "class", title: "class", value: (e) => e.type },
  { key: "read", head: "read", title: "first read that contains the event", value: (e) => e.read },
  { key: "amplitude", head: "DN", title: "step of the strongest pixel", value: (e) => e.amplitude },
  { key: "significance", head: "σ", title: "significance", value: (e) => e.significance },
  { key: "confidence", head: "conf.", title: "confidence", value: (e) => e.confidence },
  { key: "extent", head: "px", title: "pixels", value: (e) => e.extent, wide: true },
  { key: "row", head: "row", title: "row of the strongest pixel", value: (e) => e.row, wide: true },
  { key: "col", head: "col", title: "its column", value: (e) => e.col, wide: true },
];
const SOURCES = { rules: "rules", unet: "network", both: "both" };

function checked(id) {
  return [...$(id).querySelectorAll("input:checked")].map((input) => input.value);
}

/** Bounds of one quantity; an empty field does not bound. */
function bounds(name) {
  const [low, high] = ["low", "high"].map((end) => $(`${name}-${end}`).value);
  return { low: low === "" ? null : Number(low), high: high === "" ? null : Number(high) };
}
function within(value, { low, high }) {
  if (low === null && high === null) return true;
  return value !== null && (low === null || value >= low) && (high === null || value <= high);
}

/** List the events that pass every filter, in the order of the chosen column. */
function filter() {
  const [classes, sources] = [checked("classes"), checked("sources")];
  const [confidence, amplitude, read] = ["confidence", "amplitude", "read"].map(bounds);
  const [integration, judged] = [$("integration").value, $("judged").value];
  const passes = (e) => classes.includes(e.type) && sources.includes(e.source)
    && within(e.confidence, confidence) && within(e.amplitude, amplitude) && within(e.read, read)
    && (integration === "" || e.integration === Number(integration))
    && passesVerdict(verdictOf(e), judged);
  state.listed = state.events.filter(passes);
  sort();
  $("count").textContent = `${state.listed.length} of ${state.events.length} events`;
  $("none").hidden = state.listed.length > 0;
  drawMarks();
  drawTimes();
}

function passesVerdict(verdict, judged) {
  if (judged === "no") return !verdict;
  if (judged === "yes") return Boolean(verdict);
  return judged !== "wrong" || Boolean(verdict && verdict !== "right");
}

function sort() {
  const { key, down } = state.order;
  const { value } = COLUMNS.find((c) => c.key === key);
  const sign = down ? -1 : 1;
  state.listed.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return a.index - b.index;
    if (x === null || y === null) return x === null ? 1 : -1; // Unknown ones come last.
    return x < y ? -sign : sign;
  });
  $("scroll").scrollTop = 0;
  drawHeads();
  drawRows();
}

function drawHeads() {
  const { key, down } = state.order;
  $("heads").replaceChildren(...COLUMNS.map((column) => {
    const head = element("th", "", column.wide ? "wide" : "");
    head.scope = "col";
    const button = element("button", column.head);
    button.title = `${column.title}: sort`;
    button.dataset.key = column.key;
    if (column.key === key) head.ariaSort = down ? "descending" : "ascending";
    head.append(button);
    return head;
  }));
}

function drawRows() {
  const box = $("scroll");
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 5);
  const some = state.listed.slice(first, first + Math.ceil(box.clientHeight / ROW) + 12);
  const gap = (rows) => {
    const row = document.createElement("tr");
    row.style.height = `${rows * ROW}px`;
    row.className = "space";
    row.hidden = rows === 0;
    return row;
  };
  $("rows").replaceChildren(
    gap(first), ...some.map(drawRow), gap(state.listed.length - first - some.length));
}

function drawRow(event) {
  const row = document.createElement("tr");
  row.dataset.index = event.index;
  row.ariaSelected = event === state.chosen;
  const verdict = verdictOf(event);
  const look = classOf(event.type);
  const cells = {
    verdict: verdict ? VERDICTS[verdict].sign : "",
    index: event.index,
    type: [symbol(look), look.short],
    read: tell(event.read),
    amplitude: tell(event.amplitude, 3),
    significance: tell(event.significance, 3),
    confidence: event.confidence.toFixed(2),
    extent: event.extent,
    row: event.row,
    col: event.col,
  };
  for (const { key, wide } of COLUMNS) {
    const cell = element("td", "", `${key}${wide ? " wide" : ""}`);
    cell.append(...[cells[key]].flat());
    if (key === "verdict" && verdict) cell.title = VERDICTS[verdict].name;
    row.append(cell);
  }
  return row;
}

/** Bring the row of an event into view. */
function showRow(event) {
  const at = state.listed.indexOf(event);
  const box = $("scroll");
  if (at >= 0) {
    const [top, room] = [at * ROW, box.clientHeight - 2 * ROW];
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top > box.scrollTop + room) box.scrollTop = Math.ceil((top - room) / ROW) * ROW;
  }
  drawRows();
}

/** Choose the event so many rows further down in the list. */
function go(by) {
  if (!state.listed.length) return;
  const at = state.listed.indexOf(state.chosen);
  const next = at < 0 ? 0 : Math.min(state.listed.length - 1, Math.max(0, at + by));
  choose(state.listed[next]);
}

/** Build the filters that depend on what was found. */
function setFilters() {
  const chip = (box, value, parts) => {
    const input = document.createElement("input");
    Object.assign(input, { type: "checkbox", value, checked: true, defaultChecked: true });
    const label = document.createElement("label");
    label.append(input, ...parts);
    $(box).append(label);
  };
  for (const look of facts.classes) {
    const count = state.events.filter((e) => e.type === look.key).length;
    chip("classes", look.key, [symbol(look), element("span", look.name), element("b", count)]);
  }
  // Who has found an event matters only where there were two to look.
  $("sources").hidden = new Set(state.events.map((e) => e.source)).size < 2;
  for (const [value, name] of Object.entries(SOURCES)) {
    const count = state.events.filter((e) => e.source === value).length;
    chip("sources", value, [element("span", name), element("b", count)]);
  }
  // Empty fields show how far the events reach.
  for (const name of ["amplitude", "read"]) {
    const values = state.events.map((e) => e[name]).filter((value) => value !== null);
    if (!values.length) continue;
    const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    $(`${name}-low`).placeholder = tell(low, 3);
    $(`${name}-high`).placeholder = tell(high, 3);
  }
  if (facts.integrations > 1) {
    $("integration").hidden = $("integration").previousElementSibling.hidden = false;
    const all = Object.assign(element("option", "all"), { value: "" });
    const each = Array.from({ length: facts.integrations }, (_, i) =>
      Object.assign(element("option", i), { value: i }));
    $("integration").replaceChildren(all, ...each);
  }
}
