// What keys do.

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
