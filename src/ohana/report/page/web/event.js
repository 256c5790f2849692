// The chosen event: its ramp, its surroundings, its numbers.

const MODES = { ramp: "Ramp", flat: "Flattened", steps: "Differences" };
const UNITS = {
  mean_intensity: "DN", max_intensity: "DN", spatial_extent: "px", significance: "sigma",
  step_amplitude: "DN", step_error: "DN", low: "DN", high: "DN", amplitude: "DN",
  dwell_low: "reads", dwell_high: "reads", frequency: "cycles/read", core_radius: "px",
  halo_radius: "px", halo_level: "DN", halo_significance: "sigma",
};
const UNUSABLE = "#7a4a5a"; // Pixels of cut-outs without a value.
const GEOMETRY = ["type", "pixels", "runs", "position", "first_frame", "integration"];

const unitOf = (unit) => (unit === "sigma" ? "σ" : unit);
const classOf = (key) => facts.classes.find((c) => c.key === key);

/** Select an event; pixel is [row, col], the strongest one by default. */
function choose(event, pixel = null) {
  const same = state.chosen === event;
  state.chosen = event;
  $("empty").hidden = true;
  $("detail").hidden = false;
  if (!same) {
    state.cube = event.cube();
    setSlider();
    drawChosen();
    drawNumbers();
    history.replaceState(null, "", `#event=${event.index}`);
  }
  drawTitle();
  pickPixel(...(pixel ?? [event.row, event.col]));
  showRow(event);
}

function unchoose() {
  state.chosen = null;
  $("detail").hidden = true;
  $("empty").hidden = false;
  drawChosen();
}

function inWindow(row, col) {
  const { row: top, col: left, height, width } = state.cube;
  return row >= top && row < top + height && col >= left && col < left + width;
}

function pickPixel(row, col) {
  state.pixel = [row, col];
  drawRamp();
  drawCuts();
}

/** Reads and values of the picked pixel: all of the strongest one, of others what is there. */
function pickedRamp() {
  const { chosen, cube, pixel: [row, col] } = state;
  if (row === chosen.row && col === chosen.col) {
    const y = chosen.ramp();
    return { x: Array.from(y, (_, t) => t), y: Array.from(y), model: Array.from(chosen.model()) };
  }
  const { height, width, values, reads } = cube;
  const at = (row - cube.row) * width + (col - cube.col);
  return { x: reads, y: reads.map((_, t) => values[t * height * width + at]), model: null };
}

function differences(x, y) {
  return y.slice(1).map((v, i) => (v - y[i]) / (x[i + 1] - x[i]));
}
function median(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  return known.length ? known[known.length >> 1] : 0;
}

function drawRamp() {
  const { chosen } = state;
  let { x, y, model } = pickedRamp();
  let label = "signal [DN]";
  if (state.mode === "flat") {
    // The slope of the model, which steps do not spoil; else that of the ramp.
    const slope = median(differences(x, model?.some(Number.isFinite) ? model : y));
    y = y.map((v, i) => v - slope * x[i]);
    model = model?.map((v, i) => v - slope * x[i]);
    label = "signal less slope [DN]";
  } else if (state.mode === "steps") {
    y = differences(x, y);
    model = model && differences(x, model);
    x = x.slice(1);
    label = "rise per read [DN]";
  }
  const plot = named("ramp");
  plot.left[0].axis_label = label;
  named("reads").data = { x, y };
  named("model").data = model ? { x, y: model } : { x: [], y: [] };
  named("at-event").location = chosen.moment - 0.5;
  plot.x_range.have_updated_interactively = false;
  plot.y_range.have_updated_interactively = false;
  const [row, col] = state.pixel;
  const all = x.length >= facts.shape[0] - 1;
  $("ramp-of").textContent = `pixel ${row}, ${col} · `
    + (all ? `${facts.shape[0]} reads` : `${state.cube.reads.length} of ${facts.shape[0]} reads`);
}

// ---- surroundings -------------------------------------------------------------------------

/** Image at the read of index t, or its difference from the one before. */
function imageAt(t, before = null) {
  const { height, width, values } = state.cube;
  const size = height * width;
  const image = values.slice(t * size, (t + 1) * size);
  return before === null ? image : image.map((v, i) => v - values[before * size + i]);
}

function quantile(values, part) {
  const known = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  return known.length ? known[Math.round(part * (known.length - 1))] : 0;
}

/** How far images reach below and above their background, and their scatter. */
function extremes(...images) {
  const each = images.map((image) => {
    const [low, middle, high] = [0, 0.5, 1].map((part) => quantile(image, part));
    return { low: low - middle, high: high - middle, soft: 3 * (middle - quantile(image, 0.16)) };
  });
  const low = Math.min(...each.map((e) => e.low));
  const high = Math.max(...each.map((e) => e.high));
  return { low, high, soft: Math.max((high - low) / 1000, ...each.map((e) => e.soft)) || 1 };
}

function drawCuts() {
  const { chosen, cube } = state;
  const after = Math.max(cube.reads.indexOf(chosen.moment), 1);
  const [one, two] = [imageAt(after - 1), imageAt(after)];
  const step = imageAt(after, after - 1);
  // One stretch for all pictures of reads, each from its own background.
  state.stretch = extremes(one, two);
  paint("before", one, state.stretch, `before · ${cube.reads[after - 1]}`);
  paint("after", two, state.stretch, `after · ${cube.reads[after]}`);
  paint("difference", step, extremes(step), "difference");
  drawAtRead();
}

function setSlider() {
  const { cube, chosen } = state;
  $("read").max = cube.reads.length - 1;
  $("read").value = Math.max(cube.reads.indexOf(chosen.moment), 0);
}

function drawAtRead() {
  const { cube } = state;
  const t = Number($("read").value);
  const image = imageAt(t);
  paint("at-read", image, state.stretch, `read ${cube.reads[t]}`);
  named("at-read").location = cube.reads[t];
  const all = cube.reads.length === facts.shape[0];
  $("read-value").textContent = all
    ? `${cube.reads[t]} of 0–${facts.shape[0] - 1}`
    : `${cube.reads[t]} · ${cube.reads.length} of ${facts.shape[0]} reads are in this file`;
}

/** Draw a cut-out, row 0 at the bottom, with the outline of the event and the picked pixel. */
function paint(id, image, { low, high, soft }, caption) {
  const canvas = $(id);
  const { height, width, row, col } = state.cube;
  const room = canvas.parentElement.clientWidth * devicePixelRatio;
  const unit = room / Math.max(height, width);
  canvas.width = Math.round(unit * width);
  canvas.height = Math.round(unit * height);
  canvas.style.width = `${canvas.width / devicePixelRatio}px`;
  const context = canvas.getContext("2d");
  const [x, y] = [(c) => Math.round((c - col) * unit), (r) => Math.round((row + height - r) * unit)];
  const background = quantile(image, 0.5);
  const bend = (value) => Math.asinh(value / soft);
  const [black, white] = [bend(low), bend(high)];
  for (let i = 0; i < image.length; i++) {
    const [r, c] = [row + Math.floor(i / width), col + (i % width)];
    const grey = Math.round((255 * (bend(image[i] - background) - black)) / (white - black));
    context.fillStyle = Number.isNaN(image[i]) ? UNUSABLE : `rgb(${grey},${grey},${grey})`;
    context.fillRect(x(c), y(r + 1), x(c + 1) - x(c), y(r) - y(r + 1));
  }
  context.strokeStyle = classOf(state.chosen.type).dark;
  context.lineWidth = devicePixelRatio;
  context.beginPath();
  for (const [x0, y0, x1, y1] of outlineOf(state.chosen.entry)) {
    context.moveTo(x(x0 + 0.5), y(y0 + 0.5));
    context.lineTo(x(x1 + 0.5), y(y1 + 0.5));
  }
  context.stroke();
  // Around the picked pixel, white within black: seen on any grey.
  const [r, c] = state.pixel;
  [["#000", 3], ["#fff", 1.5]].forEach(([colour, line]) => {
    context.strokeStyle = colour;
    context.lineWidth = line * devicePixelRatio;
    context.strokeRect(x(c) - 1, y(r + 1) - 1, x(c + 1) - x(c) + 2, y(r) - y(r + 1) + 2);
  });
  canvas.nextElementSibling.replaceChildren(
    element("b", caption),
    element("span", `${tell(quantile(image, 0), 2)} to ${tell(quantile(image, 1), 2)} DN`));
}

/** Pixel of a cut-out under the mouse. */
function pixelOfCut(canvas, { clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  const { height, width, row, col } = state.cube;
  const part = (v, size) => Math.min(size - 1, Math.max(0, Math.floor(v * size)));
  return [
    row + height - 1 - part((clientY - box.top) / box.height, height),
    col + part((clientX - box.left) / box.width, width),
  ];
}

// ---- numbers ------------------------------------------------------------------------------

function drawTitle() {
  const { chosen } = state;
  const look = classOf(chosen.type);
  const verdict = verdictOf(chosen);
  const parts = [element("span", `#${chosen.index}`, "faint"), symbol(look), element("span", look.name)];
  if (chosen.read !== null) parts.push(element("span", `read ${chosen.read}`, "faint"));
  if (verdict) parts.push(element("span", `judged: ${VERDICTS[verdict].name}`, "judged"));
  $("title").replaceChildren(...parts);
  for (const button of $("verdicts").children) {
    button.setAttribute("aria-pressed", button.dataset.verdict === verdict);
  }
}

function drawNumbers() {
  const { entry } = state.chosen;
  const pairs = [pair("strongest pixel", entry.position.join(", "))];
  if (facts.integrations > 1) pairs.push(pair("integration", String(entry.integration)));
  for (const [name, value] of Object.entries(entry)) {
    if (GEOMETRY.includes(name)) continue;
    const text = Array.isArray(value) ? value.map((v) => tell(v)).join(", ")
      : typeof value === "boolean" ? (value ? "yes" : "no")
      : typeof value === "string" ? value : tell(value);
    const unit = value !== null && UNITS[name] ? ` ${unitOf(UNITS[name])}` : "";
    pairs.push(pair(name.replaceAll("_", " "), text + unit));
  }
  $("numbers").replaceChildren(...pairs);
}
