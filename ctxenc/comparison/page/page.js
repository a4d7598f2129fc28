/* After DataTables and its kind, whose exports are in `tables`; Plotly is a global. */

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const [data, differing, escapes] = ["data", "differing", "latex"].map(read);
const all = (root, css) => [...root.querySelectorAll(css)];
const touch = matchMedia("(pointer: coarse)").matches;
const narrow = matchMedia("(max-width: 860px)").matches;
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark", dark.matches); // DataTables'
dark.addEventListener("change", follow);
follow();

// Tables

const DataTable = tables.jQuery.fn.dataTable;
const words = new Intl.Collator("en", { numeric: true });

// Blanks stay last, whichever way one sorts.
function compared(a, b, up) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  const order = Number.isNaN(difference) ? words.compare(a, b) : difference;
  return up ? order : -order;
}
DataTable.ext.type.order["cell-asc"] = (a, b) => compared(String(a), String(b), true);
DataTable.ext.type.order["cell-desc"] = (a, b) => compared(String(a), String(b), false);

function tex(cell) {
  const text = [...cell.textContent.trim()].map((character) => escapes[character] ?? character).join("");
  return cell.classList.contains("winner") ? `\\textbf{${text}}` : text;
}

// What is shown, or of it what is selected, for \usepackage{booktabs}.
function latex(table) {
  const rows = { search: "applied", selected: table.rows({ selected: true }).any() || null };
  const columns = table.columns(":visible").indexes().toArray();
  const heads = columns.map((i) => table.column(i).header());
  const texts = table.rows(rows).indexes().toArray().map((row) =>
    columns.map((i) => table.cell(row, i).node()).map(tex));
  const kinds = heads.map((head) => (head.classList.contains("number") ? "r" : "l")).join("");
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  return [
    `\\begin{tabular}{${kinds}}`, "\\toprule", line(heads.map(tex)),
    "\\midrule", ...texts.map(line), "\\bottomrule", "\\end{tabular}",
  ].join("\n");
}

function copy(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy"); // navigator.clipboard refuses pages that were opened as files
  area.remove();
}

function said(button, text = "Copied") {
  const before = button.textContent;
  button.textContent = text;
  setTimeout(() => (button.textContent = before), 1500);
}

// What differs between the first two of the selected rows.
function showChosen(place, table) {
  const rows = table.rows({ selected: true }).nodes().toArray();
  place.replaceChildren();
  if (rows.length < 2) return;
  const pair = rows.slice(0, 2);
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const lines = Object.entries(differing)
    .map(([key, values]) => [key, ...pair.map((row) => values[Number(row.dataset.row)])])
    .filter(([, one, other]) => one !== other);
  const body = document.createElement("table");
  const heads = ["key", ...pair.map((row) => row.cells[0].textContent)];
  [heads, ...lines].forEach((line, i) => {
    body.insertRow().append(...line.map((text, j) => element(i && j ? "td" : "th", text)));
  });
  const count = lines.length === 1 ? "1 key differs" : `${lines.length} keys differ`;
  place.append(element("p", rows.length > 2 ? `${count} between the first two` : count), body);
}

all(document, "main table").forEach((node) => {
  const title = node.ariaLabel;
  const keyed = node.classList.contains("keyed");
  const long = node.tBodies[0].rows.length > 50;
  const hidden = narrow && keyed ? [".hidden", ".setting"] : [".hidden"];
  const buttons = [
    { extend: "colvis", text: "Columns", columns: ":gt(0)" },
    { extend: "searchBuilder", text: "Filter" },
    { extend: "csv", text: "CSV", filename: title, exportOptions: { columns: ":visible" } },
    { text: "LaTeX", action: (_, found, [button]) => said(button, copy(latex(found))) },
  ];
  const language = { search: "", searchPlaceholder: "Search" };
  language.searchBuilder = { button: { 0: "Filter", _: "Filter (%d)" } };
  const layout = { topStart: "search", topEnd: { buttons } };
  Object.assign(layout, { bottomStart: long ? "info" : null, bottomEnd: long ? "paging" : null });
  const table = new DataTable(node, {
    autoWidth: false,
    columnDefs: [
      { targets: hidden, visible: false },
      { targets: ".number", orderSequence: ["desc", "asc"], className: "number" },
      { targets: "_all", type: "cell", orderSequence: ["asc", "desc"] },
    ],
    language,
    layout,
    order: [],
    pageLength: 50,
    paging: long,
    titleRow: node.tHead.rows.length - 1,
    select: keyed ? { style: "multi+shift", info: false, keys: true } : false,
  });
  const place = node.closest("section").querySelector(".chosen");
  if (place) table.on("select deselect", () => showChosen(place, table));
});

// Figures: their colours are named as in the style sheet, and looked up where they are drawn.

function themed(figure) {
  const style = getComputedStyle(document.documentElement);
  const text = JSON.stringify(figure).replace(/"--(\w+)"/g, (_, name) => JSON.stringify(style.getPropertyValue(`--${name}`)));
  const { data, layout } = JSON.parse(text);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  const axis = { color: colour("quiet"), gridcolor: colour("line"), linecolor: colour("line") };
  Object.assign(axis, { zeroline: false, fixedrange: touch, automargin: true });
  return [data, {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: style.fontFamily, size: 12, color: colour("text") },
    margin: { l: 48, r: 12, t: 12, b: 40 },
    showlegend: false,
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("text") }, namelength: 40 },
    dragmode: touch ? false : "zoom",
    ...layout,
    xaxis: { ...axis, showline: true, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  }];
}

function draw(place, figure) {
  const settings = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  return Plotly.react(place, ...themed(figure), settings);
}

function curves(root, found) {
  const chips = all(root, "[aria-pressed]");
  const redraw = () => all(root, "figure").forEach((figure) => {
    const name = figure.querySelector("select").value;
    if (!name) return;
    const { data, layout } = found[figure.dataset.kind][name];
    const shown = data.filter(({ meta }) => meta === undefined || chips[meta].ariaPressed === "true");
    const logarithmic = figure.querySelector("input").checked;
    const yaxis = { type: logarithmic ? "log" : "linear" };
    const whole = { data: shown, layout: { ...layout, yaxis, uirevision: `${name} ${logarithmic}` } };
    draw(figure.querySelector(".plot"), whole);
  });
  root.querySelector(".legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const every = button?.dataset.every;
    if (every) chips.forEach((chip) => (chip.ariaPressed = every));
    else if (button) button.ariaPressed = String(button.ariaPressed !== "true");
    redraw();
  });
  root.addEventListener("change", redraw);
  return redraw;
}

function scatter(root, found) {
  const [y, x] = all(root, "select");
  [x.value, y.value] = found.usual;
  const redraw = () => {
    const [front, points] = found.data;
    const [along, up] = [x, y].map((select) => found.dimensions[select.value]);
    const on = [...(found.fronts[`${x.value} ${y.value}`] ?? [])];
    on.sort((a, b) => along.values[a] - along.values[b]);
    const line = { x: on.map((i) => along.values[i]), y: on.map((i) => up.values[i]) };
    const errors = { error_x: { ...points.error_x, array: along.spread }, error_y: { ...points.error_y, array: up.spread } };
    const axis = ({ label, order }) => ({
      title: { text: label, standoff: 8 },
      type: order ? "category" : "linear",
      ...(order && { categoryorder: "array", categoryarray: order }),
    });
    const layout = { ...found.layout, xaxis: axis(along), yaxis: axis(up), uirevision: `${x.value} ${y.value}` };
    draw(root.querySelector(".plot"), {
      data: [{ ...front, ...line }, { ...points, ...errors, x: along.values, y: up.values }],
      layout,
    });
  };
  root.addEventListener("change", redraw);
  return redraw;
}

function parallel(root, found) {
  const place = root.querySelector(".plot");
  const inside = (value, ends) => Math.min(...ends) <= value && value <= Math.max(...ends);
  // A line is kept that passes, on each axis with boxes, through one of them.
  const brush = (event) => {
    const boxes = (event?.selections ?? []).map(({ x0, x1, y0, y1 }) => [[x0, x1], [y0, y1]]);
    const kept = found.data.map(({ x, y }) => x.every((axis, i) => {
      const here = boxes.filter(([across]) => inside(axis, across));
      return !here.length || here.some(([, along]) => y[i] !== null && inside(y[i], along));
    }));
    Plotly.restyle(place, { opacity: kept.map((on) => (on ? 1 : 0.08)) });
  };
  const layout = { ...found.layout, dragmode: touch ? false : "select" };
  Object.assign(layout, { margin: { l: 12, r: 12, t: 48, b: 12 }, uirevision: "brush" });
  let begun = false;
  return () => draw(place, { data: found.data, layout }).then(() => {
    if (!begun) place.on("plotly_selected", brush);
    if (!begun) place.on("plotly_deselect", () => brush());
    begun = true;
  });
}

// Each is drawn when it comes near the screen: a page of many tables opens at once.
const kinds = { ".scatter": [scatter, "scatter"], ".parallel": [parallel, "parallel"], ".curves": [curves, "curves"] };
const watch = new IntersectionObserver((entries) => {
  entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
    watch.unobserve(target);
    const [drawn, name] = Object.entries(kinds).find(([css]) => target.matches(css))[1];
    const redraw = drawn(target, data[target.closest("[data-section]").dataset.section][name]);
    dark.addEventListener("change", redraw);
    redraw();
  });
}, { rootMargin: "600px" });
all(document, Object.keys(kinds).join()).forEach((root) => watch.observe(root));

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
    copy(button.previousElementSibling.textContent);
    said(button);
  });
});
