"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const dashes = ["solid", "dash", "dot", "dashdot"];
const finger = matchMedia("(pointer: coarse)").matches;

// Tables

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const numbers = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const up = before ? before !== "ascending" : !numbers;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compared(a.cells[column].dataset.value, b.cells[column].dataset.value, up));
      table.tBodies[0].append(...rows);
    });
  });
  const frame = table.parentElement;
  const shadow = () => frame.classList.toggle("scrolled", frame.scrollLeft > 0);
  frame.addEventListener("scroll", shadow, { passive: true });
}

const words = new Intl.Collator("en", { numeric: true });

function compared(a, b, up) {
  if (a === "" || b === "") return (a === "") - (b === ""); // blanks stay last
  const numbers = [Number(a), Number(b)];
  const order = numbers.some(Number.isNaN) ? words.compare(a, b) : numbers[0] - numbers[1];
  return up ? order : -order;
}

document.querySelectorAll("table").forEach(sortable);

// Curves

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

function curves(root) {
  const section = data.sections[Number(root.dataset.section)];
  const chips = [...root.querySelectorAll(".legend [data-run]")];
  const figures = [...root.querySelectorAll("figure")];
  const shown = () => chips.map((chip) => chip.getAttribute("aria-pressed") === "true");

  function draw(figure) {
    const split = figure.dataset.split;
    const metric = figure.querySelector("select").value;
    const logarithmic = figure.querySelector("input").checked;
    const colour = colours();
    const visible = shown();
    const traces = [];
    const annotations = [];
    section.runs.forEach((run, i) => {
      const y = run[split][metric];
      if (!y || !visible[i]) return;
      traces.push({
        x: run[split].step,
        y,
        name: run.name,
        mode: split === "test" && y.length < 40 ? "lines+markers" : "lines",
        line: { color: colour(`c${i % 7}`), dash: dashes[Math.floor(i / 7) % 4], width: 1.8 },
        marker: { size: 5 },
        hovertemplate: "%{y:.4~g}<extra>%{fullData.name}</extra>",
      });
    });
    if (split === "test") {
      const last = Math.max(1, ...traces.flatMap((trace) => trace.x.slice(-1)));
      section.baselines.filter((b) => metric in b.values).forEach((baseline, i) => {
        traces.push({
          x: [0, last],
          y: [baseline.values[metric], baseline.values[metric]],
          name: baseline.name,
          mode: "lines",
          line: { color: colour("quiet"), dash: i ? "dot" : "dash", width: 1 },
          hovertemplate: "%{y:.4~g}<extra>%{fullData.name} (no training)</extra>",
        });
        annotations.push({
          x: i ? 0 : 1, // at both ends, since they may be near each other
          xref: "paper",
          xanchor: i ? "left" : "right",
          y: logarithmic ? Math.log10(baseline.values[metric]) : baseline.values[metric],
          yanchor: "bottom",
          showarrow: false,
          text: baseline.name,
          font: { size: 11, color: colour("quiet") },
        });
      });
    }
    const axis = {
      color: colour("quiet"),
      gridcolor: colour("line"),
      linecolor: colour("line"),
      zeroline: false,
      fixedrange: finger,
      automargin: true,
    };
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("text") },
      margin: { l: 48, r: 8, t: 12, b: 40 },
      showlegend: false,
      hovermode: traces.length <= 10 ? "x unified" : "closest",
      hoverlabel: {
        bgcolor: colour("raised"),
        bordercolor: colour("line"),
        font: { color: colour("text"), size: 12 },
        namelength: 40,
      },
      xaxis: { ...axis, title: { text: "step", standoff: 8 }, showgrid: false, showline: true },
      yaxis: { ...axis, type: logarithmic ? "log" : "linear" },
      annotations,
      dragmode: finger ? false : "zoom",
      uirevision: `${metric} ${logarithmic}`,
    };
    const settings = { displayModeBar: false, responsive: true, doubleClick: "reset" };
    return Plotly.react(figure.querySelector(".plot"), traces, layout, settings);
  }

  const all = () => figures.forEach(draw);
  figures.forEach((figure) => figure.addEventListener("change", () => draw(figure)));
  root.querySelector(".legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const press = (chip, on) => chip.setAttribute("aria-pressed", String(on));
    if (button.dataset.several) chips.forEach((chip) => press(chip, button.dataset.several === "all"));
    else press(button, button.getAttribute("aria-pressed") !== "true");
    all();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  all();
}

// Each is drawn when it comes near the screen: a page of many tables opens at once.
const watch = new IntersectionObserver(
  (entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      watch.unobserve(entry.target);
      curves(entry.target);
    });
  },
  { rootMargin: "600px" },
);
document.querySelectorAll(".curves").forEach((root) => watch.observe(root));

// Samples

const dialog = document.getElementById("enlarged");
let place = [];
let at = 0;

function enlarge() {
  const strip = place[at];
  const block = strip.closest(".samples");
  const pick = (row) => block.querySelector(`.strip.${row} img`);
  document.getElementById("enlarged-title").textContent = strip.querySelector("img").alt;
  const rows = [["real", pick("real")], ["masked", pick("masked")], ["filled", strip.querySelector("img")]];
  document.getElementById("enlarged-rows").replaceChildren(
    ...rows.map(([name, image]) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = name;
      const copy = image.cloneNode();
      figure.append(copy, caption);
      return figure;
    }),
  );
}

function step(by) {
  at = (at + by + place.length) % place.length;
  enlarge();
}

document.querySelectorAll(".strip.filled button").forEach((button) => {
  button.addEventListener("click", () => {
    place = [...button.closest(".samples").querySelectorAll(".strip.filled")];
    at = place.indexOf(button.closest(".strip"));
    enlarge();
    dialog.showModal();
  });
});
document.getElementById("enlarged-previous").addEventListener("click", () => step(-1));
document.getElementById("enlarged-next").addEventListener("click", () => step(1));
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

// Commands

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea"); // pages opened as files, in some browsers
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

document.querySelectorAll(".command button").forEach((button) => {
  button.addEventListener("click", async () => {
    await copy(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
});
