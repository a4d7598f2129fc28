// The tab that paints: the hole, in the photo's own pixels, and what fills it.

import { ask, made } from "./page.js";

const $ = (id) => document.getElementById(id);
const canvas = $("hole");
const COLOUR = "#ff2d78"; // what is painted, as it is shown
const CLASSICAL = { telea: "Telea", harmonic: "harmonic" };

let photo = null; // id, width, height and name of what is open
let tool = "brush";
let operations = []; // what was painted, so that the last can be undone
let current = null;
let working = null; // aborts the fills that are under way

function say(line) {
  $("paint-error").textContent = line;
}

// A photo

async function open(file, name) {
  working?.abort();
  say("");
  try {
    const found = await (await ask("photos", { method: "POST", body: file })).json();
    photo = { ...found, name: name.replace(/\.[^.]*$/, "") || "photo" };
    $("photo").src = $("before").src = `photos/${photo.id}/shown.png`;
    await $("photo").decode();
    canvas.width = photo.width;
    canvas.height = photo.height;
    document.body.classList.add("open");
    document.body.style.setProperty("--ratio", photo.width / photo.height);
    const side = Math.max(photo.width, photo.height);
    $("brush").max = Math.max(2, Math.round(side / 4));
    $("brush").value = Math.max(1, Math.round(side / 18));
    const { width, height } = photo;
    for (const [name, most] of Object.entries({ left: width - 1, top: height - 1, width, height })) {
      Object.assign($("box").elements.namedItem(name), { max: most, value: Math.ceil(most / 3) });
    }
    $("size").textContent = `${photo.width} × ${photo.height} pixels`;
    operations = [];
    document.querySelector("#paint .work").hidden = false;
    $("filled").hidden = true;
    redraw();
  } catch (error) {
    say(error.message);
  }
}

$("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0], target.files[0].name);
  target.value = "";
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", async () => {
    const name = button.dataset.example;
    try {
      open(await (await ask(`examples/${name}`)).blob(), name);
    } catch (error) {
      say(error.message);
    }
  });
}
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // the browser would leave the page for the file
    document.body.classList.toggle("over", kind === "dragover");
    const [file] = kind === "drop" ? event.dataTransfer.files : [];
    if (file) open(file, file.name);
  });
}

// The hole

function redraw() {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const operation of operations) paint(context, operation);
  if (current) paint(context, current);
  $("undo").disabled = $("clear").disabled = !operations.length;
  $("fill").disabled = !operations.length;
}

function paint(context, { tool, size, points }) {
  context.globalCompositeOperation = tool === "erase" ? "destination-out" : "source-over";
  context.fillStyle = context.strokeStyle = COLOUR;
  if (tool === "clear") return context.clearRect(0, 0, canvas.width, canvas.height);
  const [first, last] = [points[0], points.at(-1)];
  if (tool === "box") {
    const [left, right] = [first[0], last[0]].sort((a, b) => a - b).map(Math.round);
    const [top, bottom] = [first[1], last[1]].sort((a, b) => a - b).map(Math.round);
    return context.fillRect(left, top, right - left, bottom - top);
  }
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = size;
  context.beginPath();
  context.moveTo(...first);
  for (const point of points) context.lineTo(...point); // a point alone is a dot
  context.stroke();
}

function place(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height];
  return [x * canvas.width, y * canvas.height];
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  current = { tool, size: Number($("brush").value), points: [place(event)] };
  redraw();
});
canvas.addEventListener("pointermove", (event) => {
  const { left, width, top } = canvas.getBoundingClientRect();
  const across = `${(Number($("brush").value) * width) / canvas.width}px`;
  const [x, y] = [event.clientX - left, event.clientY - top].map((at) => `${at}px`);
  const display = tool === "box" ? "none" : "block";
  Object.assign($("ring").style, { display, left: x, top: y, width: across, height: across });
  if (!current) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) current.points.push(place(each));
  current.points.push(place(event));
  redraw();
});
canvas.addEventListener("pointerleave", () => ($("ring").style.display = "none"));
for (const kind of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(kind, () => {
    if (current && kind === "pointerup") operations.push(current);
    current = null;
    redraw();
  });
}

function undo() {
  operations.pop();
  redraw();
}

$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", () => {
  operations.push({ tool: "clear" });
  redraw();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range], [type=checkbox])");
  if (!(event.ctrlKey || event.metaKey) || event.key !== "z" || typing || $("paint").hidden) return;
  event.preventDefault();
  if (operations.length) undo();
});
$("box").addEventListener("submit", (event) => {
  event.preventDefault();
  const names = ["left", "top", "width", "height"];
  const numbers = names.map((name) => $("box").elements.namedItem(name).valueAsNumber);
  const [left, top, width, height] = numbers;
  operations.push({ tool: "box", points: [[left, top], [left + width, top + height]] });
  redraw();
});
for (const button of document.querySelectorAll("[data-tool]")) {
  button.addEventListener("click", () => {
    tool = button.dataset.tool;
    for (const each of document.querySelectorAll("[data-tool]")) {
      each.ariaPressed = String(each === button);
    }
  });
}

/** The hole as a picture, white where a pixel is missing: where half of it or more is painted. */
function mask() {
  const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const { data } = picture;
  for (let at = 0; at < data.length; at += 4) {
    data.fill(data[at + 3] >= 128 ? 255 : 0, at, at + 3);
    data[at + 3] = 255;
  }
  const copy = made("canvas", { width: canvas.width, height: canvas.height });
  copy.getContext("2d").putImageData(picture, 0, 0);
  return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
}

// Runs

const boxes = new Map(); // by run, its label in the list

/** Offer these runs; where there are none, say why. */
export function choose(runs, why) {
  if (!runs.length && why) {  // or the list is not known just now, and stays
    if (!boxes.size) $("choose").textContent = `${why} (to train one: python -m ctxenc.train)`;
    return;
  }
  const first = !boxes.size;
  const found = runs.map((run) => {
    const label = boxes.get(run.id) ?? offer(run);
    label.children[1].textContent = run.run; // another run may make it longer, or shorter
    label.lastChild.textContent = run.figure ? ` ${run.figure}` : ` ${run.state}`;
    boxes.set(run.id, label);
    return label;
  });
  const same = found.every((label, at) => label === $("choose").children[at]);
  if (!same || found.length !== $("choose").children.length) $("choose").replaceChildren(...found);
  if (first && found.length) {
    const likely = runs.findIndex((run) => run.figure);
    found[Math.max(0, likely)].firstChild.checked = true;
  }
  $("find").hidden = runs.length < 9;
}

function offer(run) {
  const box = made("input", { type: "checkbox", name: run.id });
  const figure = made("small", { className: "quiet", title: "its last validation" });
  return made("label", {}, box, made("span"), figure);
}

$("find").addEventListener("input", () => {
  for (const label of boxes.values()) {
    label.hidden = !label.textContent.toLowerCase().includes($("find").value.toLowerCase());
  }
});

// Fills

async function fill() {
  working?.abort();
  working = new AbortController();
  const { signal } = working;
  const { id, name } = photo;
  say("");
  $("fill").disabled = true;
  $("fill").textContent = "Filling …";
  try {
    const chosen = [...$("choose").querySelectorAll("input:checked")];
    const by = new Map(chosen.map((box) => [box.name, box.nextSibling.textContent]));
    for (const [key, title] of Object.entries(CLASSICAL)) by.set(key, title);
    const grow = `grow=${encodeURIComponent($("grow").value)}`;
    const body = await mask();
    const kept = await ask(`photos/${id}/masks?${grow}`, { method: "POST", body, signal });
    const hole = `photos/${id}/${(await kept.json()).id}`;
    $("mask").href = `${hole}/mask.png`;
    $("mask").download = `${name}-mask.png`;
    const figures = new Map([...by].map(([key, title]) => [key, figure(title)]));
    $("fills").replaceChildren(...figures.values());
    $("filled").hidden = false;
    let shown = false;
    for (const [key, into] of figures) {
      try {
        const address = `${hole}/fill?by=${key}`;
        const found = await (await ask(address, { method: "POST", signal })).json();
        finish(into, `photos/${found.file}`, found.said, `${name}-${key}.png`);
        if (!shown) into.querySelector("button").click();
        shown = true;
      } catch (error) {
        if (signal.aborted) return;
        into.lastChild.textContent = error.message;
        into.lastChild.className = "error";
      }
    }
  } catch (error) {
    if (!signal.aborted) say(error.message);
  } finally {
    if (working.signal === signal) {
      $("fill").disabled = !operations.length;
      $("fill").textContent = "Fill";
    }
  }
}

function figure(title) {
  const waiting = made("p", { className: "quiet", textContent: "waiting …" });
  return made("figure", {}, made("figcaption", { textContent: title }), waiting);
}

function finish(figure, src, said, download) {
  const title = figure.firstChild.textContent;
  const look = made("button", { textContent: "Before and after", ariaPressed: "false" });
  look.addEventListener("click", () => {
    $("after").src = src;
    $("against").textContent = `Before, and filled by ${title}`;
    for (const each of $("fills").querySelectorAll("button")) each.ariaPressed = "false";
    look.ariaPressed = "true";
  });
  const save = made("a", { href: src, download, textContent: "Download" });
  figure.firstChild.before(made("img", { src, alt: `filled by ${title}` }));
  figure.lastChild.textContent = said;
  figure.append(made("p", { className: "tools" }, look, save));
}

$("fill").addEventListener("click", fill);
$("slide").addEventListener("input", ({ target }) => {
  target.parentElement.style.setProperty("--at", `${target.value}%`);
});
