// Unpacks what the page holds; see page_data.py for how it was packed.

const BLANK = -32768;
const LIFT = 128;

/** Inflate a block of the page. */
async function inflate(id) {
  const element = document.getElementById(id);
  const text = atob(element.textContent);
  element.remove(); // It is not needed twice, and is large.
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readJson(id) {
  return JSON.parse(new TextDecoder().decode(await inflate(id)));
}

/** Read int16 codes: all lower bytes come before all upper ones. */
async function readCodes(id) {
  const bytes = await inflate(id);
  const n = bytes.length / 2;
  const codes = new Int16Array(n);
  for (let i = 0; i < n; i++) codes[i] = (bytes[i] | (bytes[n + i] << 8)) - LIFT;
  return codes;
}

/** Values of `reads` codes that hold changes from read to read, each of `size` pixels. */
function valuesOf(codes, first, reads, size, [zero, step]) {
  const values = new Float64Array(reads * size);
  const sum = new Int16Array(size); // Wraps as the changes do.
  for (let t = 0, i = 0; t < reads; t++) {
    for (let p = 0; p < size; p++, i++) {
      sum[p] += codes[first + i];
      values[i] = sum[p] === BLANK ? NaN : zero + step * sum[p];
    }
  }
  return values;
}

/** Whole frame of one map, values by code. */
async function readPicture(fact) {
  const codes = await readCodes(`map-${fact.name}`);
  const value = (code) =>
    code === BLANK ? NaN : fact.zero + fact.soft * Math.sinh(code / fact.codes_per_soft);
  const at = (row, col) =>
    value(codes[Math.floor(row / fact.bin) * fact.shape[1] + Math.floor(col / fact.bin)]);
  return { ...fact, codes, value, at };
}

/** Events with their place in the arrays of codes. */
async function readEvents(reads) {
  const [heads, ramps, models, windows] = await Promise.all([
    readJson("entries"), readCodes("ramps"), readCodes("models"), readCodes("windows"),
  ]);
  let place = 0;
  return heads.map((head, i) => {
    const { entry, window } = head;
    const [shown, height, width] = window.shape;
    const first = place;
    place += shown * height * width;
    return {
      ...head,
      type: entry.type,
      source: entry.source,
      integration: entry.integration,
      read: entry.first_frame,
      amplitude: entry.max_intensity,
      significance: entry.significance,
      confidence: entry.confidence,
      extent: entry.spatial_extent,
      row: entry.position[0],
      col: entry.position[1],
      ramp: () => valuesOf(ramps, i * reads, reads, 1, head.ramp),
      model: () => valuesOf(models, i * reads, reads, 1, head.ramp),
      cube: () => ({
        row: window.corner[0], col: window.corner[1], height, width,
        reads: window.reads ?? Array.from({ length: reads }, (_, t) => t),
        values: valuesOf(windows, first, shown, height * width, window.scale),
      }),
    };
  });
}

/** Runs [row, first column, length] of the pixels of an entry. */
function runsOf(entry) {
  return entry.runs ?? entry.pixels.map(([row, col]) => [row, col, 1]);
}

function holds(entry, row, col) {
  const [top, left, bottom, right] = entry.bbox;
  if (row < top || row >= bottom || col < left || col >= right) return false;
  return runsOf(entry).some(([r, c, n]) => r === row && col >= c && col < c + n);
}

/** Lines between pixels of an entry and others: [x0, y0, x1, y1], pixel centres at integers. */
function outlineOf(entry) {
  const runs = runsOf(entry);
  const members = new Set(runs.flatMap(([r, c, n]) => Array.from({ length: n }, (_, k) => `${r},${c + k}`)));
  const is = (r, c) => members.has(`${r},${c}`);
  const lines = [];
  for (const [r, first, n] of runs) {
    for (let c = first; c < first + n; c++) {
      const [x0, x1, y0, y1] = [c - 0.5, c + 0.5, r - 0.5, r + 0.5];
      if (!is(r + 1, c)) lines.push([x0, y1, x1, y1]);
      if (!is(r - 1, c)) lines.push([x0, y0, x1, y0]);
      if (!is(r, c - 1)) lines.push([x0, y0, x0, y1]);
      if (!is(r, c + 1)) lines.push([x1, y0, x1, y1]);
    }
  }
  return lines;
}

/** A number with about `digits` digits, for people. */
function tell(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2);
  return value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
}
