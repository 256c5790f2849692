// The whole frame: picture, stretch, marks, and what lies under the mouse.

const NEAR = 9; // Distance at which a click takes a mark [screen pixel].
const OPAQUE = 0xff000000;
const SHADE = 0.55; // How much of a footprint's colour covers the picture.

const frame = {
  picture: null, kept: {}, limits: null, mask: null, plot: null, pinned: null,
};

/** What page_plots.py has given this name: a plot, a source of data, a line. */
function named(name) {
  return Bokeh.documents.map((each) => each.get_model_by_name(name)).find(Boolean);
}

/** Brightness 0 to 255 of a value; soft is where asinh bends. */
function brightness(value, [low, high, soft], linear) {
  if (Number.isNaN(value)) return 0;
  const part = linear
    ? (value - low) / (high - low)
    : Math.asinh((value - low) / soft) / Math.asinh((high - low) / soft);
  return Math.max(0, Math.min(255, Math.round(255 * part)));
}

/** Paint the picture anew: all values are looked up in one table of the codes. */
function paintFrame() {
  const { picture, limits, mask } = frame;
  const linear = $("stretch").value === "linear";
  const table = new Uint32Array(65536);
  for (let i = 0; i < 65536; i++) {
    const grey = brightness(picture.value((i << 16) >> 16), limits, linear);
    table[i] = OPAQUE | (grey << 16) | (grey << 8) | grey;
  }
  const codes = new Uint16Array(picture.codes.buffer);
  const pixels = new Uint32Array(codes.length);
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[codes[i]];
  if ($("footprints").checked) shadeFootprints(pixels, picture, mask);
  const { data } = named("picture");
  // Bokeh's own kind of array, of which the first, empty picture is one.
  const Image = data.image[0].constructor;
  named("picture").data = { image: [new Image(pixels, [...picture.shape])] };
}

function shadeFootprints(pixels, { bin, shape: [rows, cols] }, mask) {
  const colours = [0, ...facts.classes.map((c) => parseInt(c.dark.slice(1), 16))];
  const width = facts.shape[2];
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const at = Math.floor(Math.floor(i / width) / bin) * cols + Math.floor((i % width) / bin);
    const colour = colours[mask[i]];
    const mixed = [16, 8, 0].map((shift, k) => {
      const grey = (pixels[at] >> (8 * k)) & 255;
      return Math.round(SHADE * ((colour >> shift) & 255) + (1 - SHADE) * grey);
    });
    pixels[at] = (OPAQUE | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0]) >>> 0;
  }
}

async function showPicture(name) {
  const fact = facts.pictures.find((p) => p.name === name);
  frame.picture = frame.kept[name] ??= await readPicture(fact);
  frame.limits = [...fact.stretch];
  setLimits();
  paintFrame();
}

// The sliders run over twice the range of the first limits, on the bent scale.
function sliderRange() {
  const [low, high, soft] = frame.picture.stretch;
  return { low: low - 2 * soft, span: Math.asinh((2 * (high - low) + 2 * soft) / soft), soft };
}
function valueOfSlider(place) {
  const { low, span, soft } = sliderRange();
  return low + soft * Math.sinh((span * place) / 1000);
}
function sliderOfValue(value) {
  const { low, span, soft } = sliderRange();
  return (1000 * Math.asinh((value - low) / soft)) / span;
}
function setLimits() {
  ["black", "white"].forEach((id, i) => {
    $(id).value = sliderOfValue(frame.limits[i]);
    $(`${id}-value`).value = Number(frame.limits[i].toPrecision(3));
    $(`${id}-value`).title = frame.picture.unit;
  });
}
function changeLimit(i, value) {
  if (!Number.isFinite(value)) return;
  const { soft } = sliderRange();
  frame.limits[i] = value;
  // The one that is not being moved gives way.
  if (frame.limits[0] >= frame.limits[1]) frame.limits[1 - i] = value + (i ? -0.01 : 0.01) * soft;
  setLimits();
  paintFrame();
}

/** Give the plot the largest size at which pixels are square. */
function fitFrame() {
  const room = $("frame-room").getBoundingClientRect();
  const [, rows, cols] = facts.shape;
  const scale = Math.min((room.width - 78) / cols, (room.height - 66) / rows);
  const { plot } = frame;
  plot.frame_width = Math.max(60, Math.floor(cols * scale));
  plot.frame_height = Math.max(60, Math.floor(rows * scale));
}

function setRange(range, start, end) {
  range.setv({ start, end });
}
function wholeFrame() {
  const [, rows, cols] = facts.shape;
  setRange(frame.plot.x_range, -0.5, cols - 0.5);
  setRange(frame.plot.y_range, -0.5, rows - 0.5);
}
function zoomTo(row, col, half) {
  const [, rows, cols] = facts.shape;
  const unit = Math.max(rows, cols);
  setRange(frame.plot.x_range, col - (half * cols) / unit, col + (half * cols) / unit);
  setRange(frame.plot.y_range, row - (half * rows) / unit, row + (half * rows) / unit);
}
function zoomToEvent() {
  if (!state.chosen) return;
  const [top, left, bottom, right] = state.chosen.entry.bbox;
  const [row, col] = state.chosen.entry.centroid;
  zoomTo(row, col, Math.max(16, 1.5 * Math.max(bottom - top, right - left)));
}

/** Marks of the listed events, and of the chosen one. */
function drawMarks() {
  const shown = $("marks").checked ? state.listed : [];
  for (const { key } of facts.classes) {
    const some = shown.filter((e) => e.type === key);
    named(`marks-${key}`).data = {
      x: some.map((e) => e.entry.centroid[1]), y: some.map((e) => e.entry.centroid[0]),
    };
  }
  sizeMarks();
}
/** Marks are smaller where many of them are in view. */
function sizeMarks() {
  const { x_range: x, y_range: y } = frame.plot;
  const part = ((x.end - x.start) * (y.end - y.start)) / (facts.shape[1] * facts.shape[2]);
  const crowd = state.listed.length * Math.min(1, Math.max(part, 0));
  const size = Math.max(4, Math.min(10, 180 / Math.sqrt(crowd + 1)));
  for (const { key } of facts.classes) {
    for (const name of [`rims of ${key}`, `marks of ${key}`]) {
      const { glyph } = named(name);
      if (glyph.size.value !== size) glyph.size = { value: size };
    }
  }
}
function drawChosen() {
  const entry = state.chosen?.entry;
  const lines = entry ? outlineOf(entry) : [];
  const [x0, y0, x1, y1] = [0, 1, 2, 3].map((i) => lines.map((line) => line[i]));
  named("footprint").data = { x0, y0, x1, y1 };
  named("chosen").data = entry
    ? { x: [entry.centroid[1]], y: [entry.centroid[0]] } : { x: [], y: [] };
  if (!entry) return;
  const [row, col] = entry.centroid;
  const { x_range: x, y_range: y } = frame.plot;
  if (col < x.start || col > x.end || row < y.start || row > y.end) {
    zoomTo(row, col, Math.max(x.end - x.start, y.end - y.start) / 2);
  }
}

/** What a click on the frame means: a mark, a pixel of an event, or just a pixel. */
function clickFrame(x, y) {
  const [row, col] = [Math.round(y), Math.round(x)];
  const [, rows, cols] = facts.shape;
  if (row < 0 || col < 0 || row >= rows || col >= cols) return;
  const scale = frame.plot.frame_width / (frame.plot.x_range.end - frame.plot.x_range.start);
  const close = { event: null, distance: NEAR / scale };
  for (const event of $("marks").checked ? state.listed : []) {
    const distance = Math.hypot(event.entry.centroid[0] - y, event.entry.centroid[1] - x);
    if (distance < close.distance) Object.assign(close, { event, distance });
  }
  const event = close.event ?? state.listed
    .filter((e) => holds(e.entry, row, col)).sort((a, b) => a.extent - b.extent)[0];
  pin(event ? null : [row, col]);
  // Of an event that was hit from far out, the strongest pixel is of interest.
  if (event) choose(event, scale >= 4 && holds(event.entry, row, col) ? [row, col] : null);
  else if (state.chosen && inWindow(row, col)) pickPixel(row, col);
}

function pin(place) {
  frame.pinned = place;
  named("pinned").data = place ? { x: [place[1]], y: [place[0]] } : { x: [], y: [] };
  tellPixel(place);
}

/** Numbers of a pixel from the maps of the frame. */
function tellPixel(place) {
  const where = place ?? frame.pinned;
  const line = $("pixel");
  if (!where) {
    line.textContent = "Click a mark or a pixel; drag to move, turn the wheel to zoom.";
    return;
  }
  const [row, col] = where;
  const id = frame.mask[row * facts.shape[2] + col];
  const title = document.createElement("p");
  title.append(element("b", `row ${row}, column ${col}`), ` · ${id ? facts.classes[id - 1].name : "no event"}`);
  if (where === frame.pinned && !(state.chosen && inWindow(row, col))) {
    title.append(" · its ramp is not in this file");
  }
  const values = facts.pictures.filter((fact) => frame.kept[fact.name]).map((fact) => {
    const value = tell(frame.kept[fact.name].at(row, col), 3);
    return pair(fact.title, `${value} ${unitOf(fact.unit)}`);
  });
  const list = document.createElement("dl");
  list.append(...values);
  line.replaceChildren(title, list);
}
