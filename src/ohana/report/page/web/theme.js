// Light and dark; page.html has chosen one before anything is drawn.

/** Give the plots the colours that page.css has for the theme. */
function colourPlots() {
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
  const page = document.documentElement;
  page.dataset.theme = page.dataset.theme === "dark" ? "light" : "dark";
  colourPlots();
  try {
    localStorage.setItem("ohana-theme", page.dataset.theme);
  } catch { /* Then it is forgotten. */ }
}
