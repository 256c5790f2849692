// Verdicts on events, kept in the browser and saved as files; and the list as a file.

const VERDICTS = {
  right: { key: "r", sign: "✓", name: "right", label: "Right" },
  wrong: { key: "w", sign: "✗", name: "nothing real", label: "Wrong" },
  ...CLASS_VERDICTS,
};

const verdictOf = (event) => state.verdicts.get(event.index) ?? null;

// One exposure's verdicts must not show up on another's, nor on a later run's.
const shelf = () => `ohana-verdicts ${facts.name} ${facts.detections}`;

/** Keep verdicts where the browser allows it; some do not for pages opened from a disk. */
function keepVerdicts() {
  try {
    localStorage.setItem(shelf(), JSON.stringify([...state.verdicts]));
  } catch { /* They last as long as the page is open. */ }
}
function recallVerdicts() {
  try {
    const kept = JSON.parse(localStorage.getItem(shelf()) ?? "[]");
    state.verdicts = new Map(kept.filter(([, verdict]) => verdict in VERDICTS));
  } catch {
    state.verdicts = new Map();
  }
}

/** Judge the chosen event and go on to the next one. */
function judge(verdict) {
  const event = state.chosen;
  if (!event) return;
  state.history.push([event, verdictOf(event)]);
  // That it is what it was found to be has one spelling.
  state.verdicts.set(event.index, verdict === event.type ? "right" : verdict);
  judged();
  go(1);
  if (state.chosen === event) drawTitle();
}

/** Take the last verdict back and return to its event. */
function undo() {
  const last = state.history.pop();
  if (!last) return;
  const [event, before] = last;
  if (before) state.verdicts.set(event.index, before);
  else state.verdicts.delete(event.index);
  judged();
  choose(event);
}

function judged() {
  keepVerdicts();
  drawProgress();
  drawRows();
}

function drawProgress() {
  const counts = new Map();
  for (const verdict of state.verdicts.values()) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const { size } = state.verdicts;
  const right = counts.get("right") ?? 0;
  const wrong = counts.get("wrong") ?? 0;
  $("progress").textContent = size
    ? `${size} judged: ${right} right, ${wrong} wrong, ${size - right - wrong} of another class`
    : "";
  $("export-verdicts").disabled = size === 0;
}

/** As ohana.report.verdicts reads it. */
function verdictFile() {
  const judged = state.events.filter(verdictOf);
  return {
    format: "ohana-verdicts-1",
    exposure: facts.name,
    detections: facts.detections,
    verdicts: judged.map((e) => ({
      event: e.index, type: e.type, position: e.entry.position, first_frame: e.read,
      integration: e.integration, verdict: verdictOf(e),
    })),
  };
}

function listAsJson() {
  const lines = state.listed.map((e) => JSON.stringify(e.entry));
  return lines.length ? `[\n${lines.join(",\n")}\n]\n` : "[]\n";
}

/** One line for each event; pixels, of which there are many, are left out. */
function listAsCsv() {
  const pairs = ["position", "centroid", "bbox"];
  const flat = state.listed.map((e) => {
    const out = { index: e.index };
    for (const [name, value] of Object.entries(e.entry)) {
      if (name === "pixels" || name === "runs") continue;
      const ends = name === "bbox" ? ["row", "col", "row_stop", "col_stop"] : ["row", "col"];
      if (pairs.includes(name)) ends.forEach((end, i) => (out[`${name}_${end}`] = value[i]));
      else out[name] = value;
    }
    return { ...out, verdict: verdictOf(e) };
  });
  const names = [...new Set(flat.flatMap(Object.keys))];
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...flat.map((row) => names.map((name) => row[name]))]
    .map((row) => row.map(cell).join(",") + "\n").join("");
}

function save(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `${facts.name}_${name}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
