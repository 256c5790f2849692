// How many of the listed events came with each read.

const LEAST_BAR = 4; // Narrowest bar [screen pixel]; reads are put together to keep it.
const AXIS = 16; // Height of the line of numbers below.
const times = { left: 30, bar: 1, reads: 1 };

function drawTimes() {
  const canvas = $("times");
  const { width, height } = $("times-room").getBoundingClientRect();
  if (!facts || width < 80 || height < 50) return;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  const total = facts.shape[0];
  times.reads = Math.ceil((total * LEAST_BAR) / (width - times.left));
  const bins = Math.ceil(total / times.reads);
  times.bar = (width - times.left) / bins;
  const counts = facts.classes.map(({ key }) => {
    const count = new Array(bins).fill(0);
    for (const e of state.listed) {
      if (e.type === key && e.read !== null) count[Math.floor(e.read / times.reads)] += 1;
    }
    return count;
  });
  const highest = Math.max(1, ...counts[0].map((_, i) => counts.reduce((sum, c) => sum + c[i], 0)));
  const unit = (height - AXIS - 14) / highest;
  const look = getComputedStyle(document.documentElement);
  const colour = (name) => look.getPropertyValue(`--${name}`).trim();
  for (let i = 0; i < bins; i++) {
    let y = height - AXIS;
    facts.classes.forEach(({ id }, k) => {
      context.fillStyle = colour(`mark-${id}`);
      y -= counts[k][i] * unit;
      context.fillRect(times.left + i * times.bar, y, Math.max(1, times.bar - 1), counts[k][i] * unit);
    });
  }
  context.fillStyle = colour("faint");
  context.font = "11px system-ui";
  context.textBaseline = "top";
  context.fillText(`events by read${times.reads > 1 ? `, ${times.reads} together` : ""}`, times.left, 0);
  context.fillText("0", times.left, height - AXIS + 3);
  context.textAlign = "right";
  context.fillText(String(total - 1), width, height - AXIS + 3);
  context.fillText(String(highest), times.left - 5, 12);
  context.fillStyle = colour("line");
  context.fillRect(times.left, height - AXIS, width - times.left, 1);
}

/** List only the events of the bar that was clicked; those of all reads on a second click. */
function pickTime({ offsetX }) {
  const first = Math.floor((offsetX - times.left) / times.bar) * times.reads;
  if (first < 0) return;
  const [low, high] = [String(first), String(first + times.reads - 1)];
  const again = $("read-low").value === low && $("read-high").value === high;
  $("read-low").value = again ? "" : low;
  $("read-high").value = again ? "" : high;
  filter();
}
