"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const all = (root, css) => [...root.querySelectorAll(css)];
const touch = matchMedia("(pointer: coarse)").matches;

// Tables

const words = new Intl.Collator("en", { numeric: true });

function compared(a, b, up) {
  if (a === "" || b === "") return (a === "") - (b === ""); // blanks stay last
  const difference = Number(a) - Number(b);
  const order = Number.isNaN(difference) ? words.compare(a, b) : difference;
  return up ? order : -order;
}

all(document, "thead button").forEach((button) => {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const before = head.getAttribute("aria-sort");
    const up = before ? before !== "ascending" : !head.classList.contains("number");
    all(head.parentElement, "th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[head.cellIndex].dataset.value;
    body.append(...[...body.rows].sort((a, b) => compared(value(a), value(b), up)));
  });
});

// Curves

const hover = "%{y:.4~g}<extra>%{fullData.name}</extra>";
const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(`--${name}`); // of the light or the dark page

// One standard deviation to both sides of a mean; a gap where there is one run alone.
function band(name, step, y, spread, line) {
  const known = step.map((_, i) => i).filter((i) => y[i] !== null && spread[i] !== null);
  const back = [...known].reverse();
  return {
    name,
    x: [...known, ...back].map((i) => step[i]),
    y: [...known.map((i) => y[i] + spread[i]), ...back.map((i) => y[i] - spread[i])],
    fill: "toself",
    fillcolor: line.color,
    opacity: 0.2,
    line: { width: 0 },
    mode: "lines",
    hoverinfo: "skip",
  };
}

function draw(figure, section, chips) {
  const metric = figure.querySelector("select").value;
  const logarithmic = figure.querySelector("input").checked;
  const quiet = colour("quiet");
  const traces = [];
  const bands = []; // below the lines
  section.runs.forEach((run, i) => {
    const { mean, spread } = run[figure.dataset.kind];
    const { step, [metric]: y } = mean;
    if (!Array.isArray(y) || chips[i].ariaPressed !== "true") return;
    const dash = ["solid", "dash", "dot", "dashdot"][Math.floor(run.place / 7) % 4];
    const line = { color: colour(`c${run.place % 7}`), dash, width: 1.8 };
    if (Object.hasOwn(spread, metric)) bands.push(band(run.name, step, y, spread[metric], line));
    const marks = { mode: y.length < 40 ? "lines+markers" : "lines", marker: { size: 5 } };
    traces.push({ name: run.name, x: step, y, line, ...marks, hovertemplate: hover });
  });
  const last = Math.max(1, ...traces.flatMap((found) => found.x.slice(-1)));
  const fills = figure.dataset.kind === "tests" ? section.baselines : [];
  const annotations = [];
  fills.filter((fill) => Object.hasOwn(fill.values, metric)).forEach((fill, i) => {
    const y = fill.values[metric];
    const line = { color: quiet, dash: i ? "dot" : "dash", width: 1 };
    const hovertemplate = hover.replace("</", " (no training)</");
    traces.push({ name: fill.name, x: [0, last], y: [y, y], line, mode: "lines", hovertemplate });
    annotations.push({
      x: i ? 0 : 1, // at both ends, since they may be near each other
      xref: "paper",
      xanchor: i ? "left" : "right",
      y: logarithmic ? Math.log10(y) : y,
      yanchor: "bottom",
      showarrow: false,
      text: fill.name,
      font: { size: 11, color: quiet },
    });
  });
  const [text, line] = [colour("text"), colour("line")];
  const axis = { color: quiet, gridcolor: line, linecolor: line, zeroline: false };
  Object.assign(axis, { fixedrange: touch, automargin: true });
  const layout = {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: style.fontFamily, size: 12, color: text },
    margin: { l: 48, r: 8, t: 12, b: 40 },
    showlegend: false,
    hovermode: traces.length <= 10 ? "x unified" : "closest",
    hoverlabel: { bgcolor: colour("raised"), bordercolor: line, font: { color: text }, namelength: 40 },
    xaxis: { ...axis, title: { text: "step", standoff: 8 }, showgrid: false, showline: true },
    yaxis: { ...axis, type: logarithmic ? "log" : "linear" },
    annotations,
    dragmode: touch ? false : "zoom",
    uirevision: `${metric} ${logarithmic}`,
  };
  const settings = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  Plotly.react(figure.querySelector(".plot"), [...bands, ...traces], layout, settings);
}

function curves(root) {
  const chips = all(root, "[aria-pressed]");
  const figures = all(root, "figure");
  const redraw = () => figures.forEach((each) => draw(each, data[root.dataset.section], chips));
  root.addEventListener("change", redraw);
  root.querySelector(".legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const every = button?.dataset.every;
    if (every) chips.forEach((chip) => (chip.ariaPressed = every));
    else if (button) button.ariaPressed = String(button.ariaPressed !== "true");
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
}

// Each is drawn when it comes near the screen: a page of many tables opens at once.
const watch = new IntersectionObserver((entries) => {
  entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
    watch.unobserve(target);
    curves(target);
  });
}, { rootMargin: "600px" });
all(document, ".curves").forEach((root) => watch.observe(root));

// Samples

const dialog = document.querySelector("dialog");
let shown; // the strip that is enlarged

function enlarge(strip) {
  shown = strip;
  const image = strip.querySelector("img");
  const shared = all(strip.parentElement, ".real img, .masked img");
  const figures = [...shared, image].map((each) => {
    const figure = document.createElement("figure");
    figure.append(each.alt, each.cloneNode());
    return figure;
  });
  dialog.querySelector("div").replaceChildren(...figures);
}

function turn(by) {
  const strips = all(shown.parentElement, ".filled");
  enlarge(strips.at((strips.indexOf(shown) + by) % strips.length));
}

all(document, ".filled button").forEach((button) => {
  button.addEventListener("click", () => {
    enlarge(button.parentElement);
    dialog.showModal();
  });
});
all(dialog, "[data-by]").forEach((button) => {
  button.addEventListener("click", () => turn(Number(button.dataset.by)));
});
dialog.addEventListener("keydown", ({ key }) => {
  if (key === "ArrowLeft") turn(-1);
  if (key === "ArrowRight") turn(1);
});
dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());

// Commands

all(document, ".command button").forEach((button) => {
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(button.previousElementSibling);
    document.execCommand("copy"); // navigator.clipboard refuses pages that were opened as files
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
});
