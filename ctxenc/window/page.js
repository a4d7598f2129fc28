// The tabs, and those of masks and runs; texts of runs are only ever set as text.

import { choose } from "./paint.js";

const $ = (id) => document.getElementById(id);

/** What the server answers; an error with its one line where it refuses. */
export async function ask(address, options) {
  const answer = await fetch(address, options).catch(() => {
    throw new Error("the server does not answer: python -m ctxenc.app has ended");
  });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw new Error(error ?? `${answer.status} ${answer.statusText}`);
}

/** An element with properties and children. */
export function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// Tabs

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.ariaSelected = String(chosen);
    each.tabIndex = chosen ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
  if (tab.id === "tab-masks" && !$("strategy").length) masks();
}

for (const [number, tab] of tabs.entries()) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(number + step + tabs.length) % tabs.length];
    next.focus();
    show(next);
  });
}

// Masks

let asking = null; // the request for the options that were asked for last
let drawing = null; // that for the sheet
let waiting;

async function masks() {
  try {
    const { size, masks } = await (await ask("masks")).json();
    const names = Object.entries(masks).map(([name, meaning]) =>
      made("option", { value: name, textContent: name, title: meaning }),
    );
    $("strategy").replaceChildren(...names);
    $("image_size").value = size;
    $("strategy").value = "region" in masks ? "region" : names[0].value;
    await options();
  } catch (error) {
    $("masks-error").textContent = error.message;
  }
}

async function options() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const mask = encodeURIComponent($("strategy").value);
  const query = new URLSearchParams({ image_size: $("image_size").value });
  $("meaning").textContent = $("strategy").selectedOptions[0].title;
  try {
    const found = await (await ask(`masks/${mask}/options?${query}`, { signal })).json();
    if (signal.aborted) return;
    const kept = moved();
    $("options").replaceChildren(...Object.entries(found).map(option));
    for (const { name, value } of kept) {
      const input = $("options").elements.namedItem(name);
      input.value = value;
      input.dispatchEvent(new Event("input"));
    }
    draw();
  } catch (error) {
    if (!signal.aborted) $("masks-error").textContent = error.message;
  }
}

/** The options that are not as they were found. */
const moved = () => [...$("options").elements].filter((input) => input.value !== input.defaultValue);

function option([name, value]) {
  if (typeof value !== "number") {
    const text = made("input", { type: "text", name, value: value ?? "" });
    return made("label", {}, name, text);
  }
  const whole = Number.isInteger(value) && !name.startsWith("weights.");
  const most = whole ? Math.max(8, 4 * value) : value <= 1 ? 1 : 4 * value;
  const slider = made("input", { type: "range", name, min: 0, max: most, step: whole ? 1 : "any" });
  slider.defaultValue = value;
  const shown = made("output");
  const show = () => (shown.textContent = Number(slider.valueAsNumber.toPrecision(3)));
  slider.addEventListener("input", show);
  show();
  return made("label", {}, `${name} `, shown, slider);
}

async function draw() {
  drawing?.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  const columns = $("sheet").parentElement.clientWidth < 600 ? 4 : 8;
  const query = new URLSearchParams({ columns, image_size: $("image_size").value });
  for (const { name, value } of moved()) query.set(name, value);
  $("sheet").classList.add("busy");
  try {
    const mask = encodeURIComponent($("strategy").value);
    const picture = await (await ask(`masks/${mask}/sheet?${query}`, { signal })).blob();
    URL.revokeObjectURL($("sheet").src);
    $("sheet").src = URL.createObjectURL(picture);
    $("sheet").hidden = false;
    $("masks-error").textContent = "";
  } catch (error) {
    if (signal.aborted) return;
    $("masks-error").textContent = error.message;
    $("sheet").hidden = true;
  }
  $("sheet").classList.remove("busy");
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(draw, 300);
}

$("strategy").addEventListener("change", () => {
  $("options").replaceChildren(); // else those that were moved would be kept
  options();
});
$("image_size").addEventListener("change", options);
$("options").addEventListener("input", later);
$("options").addEventListener("submit", (event) => event.preventDefault());

// Runs

const rows = new Map(); // by run, its checkbox and its row
let opened = null;

async function look() {
  const began = performance.now();
  try {
    const { title, heads: titles, runs } = await (await ask("runs")).json();
    $("runs-title").textContent = title;
    $("runs-error").textContent = "";
    heads(titles);
    list(runs);
    choose(runs);
    const now = runs.find((run) => run.id === opened?.id);
    if (now && now.step + now.state !== opened.step + opened.state) open(now);
  } catch (error) {
    $("runs-error").textContent = error.message;
    choose([], error.message);
  }
  // A tenth of the time at most is spent on looking.
  setTimeout(look, Math.max(2000, 10 * (performance.now() - began)));
}

function heads(titles) {
  if ($("list").tHead.rows.length) return;
  const cells = titles.map((textContent) => made("th", { scope: "col", textContent }));
  $("list").tHead.append(made("tr", {}, made("th"), ...cells));
}

function list(runs) {
  const lines = runs.map((run) => {
    const box = rows.get(run.id)?.box ?? made("input", { type: "checkbox", name: run.id });
    box.ariaLabel = `choose ${run.run}`;
    const row = rows.get(run.id)?.row ?? made("tr");
    const now = JSON.stringify(run);
    if (row.dataset.now !== now) {
      row.dataset.now = now;
      const parts = run.run.match(/[^,]*,?/g).flatMap((part) => [part, made("wbr")]);
      const name = made("button", { onclick: () => open(run) }, ...parts);
      const why = made("span", { className: "error", textContent: run.error });
      const step = made("td", { textContent: run.step });
      if (run.state === "running" && run.share !== null) {
        step.append(made("progress", { value: run.share }));
      }
      const cells = [run.state, run.seconds, run.left, run.figure];
      const [state, ...others] = cells.map((textContent) => made("td", { textContent }));
      row.replaceChildren(made("td", {}, box), made("td", {}, name, why), state, step, ...others);
    }
    rows.set(run.id, { box, row });
    return row;
  });
  const body = $("list").tBodies[0];
  const same = lines.length === body.rows.length && lines.every((row, at) => row === body.rows[at]);
  if (!same) body.replaceChildren(...lines); // else what has the focus keeps it
  chosen();
}

const boxes = () => [...$("list").tBodies[0].querySelectorAll("input")];

function chosen() {
  const count = boxes().filter((box) => box.checked).length;
  $("compare").disabled = !count;
  $("compare").textContent = count ? `Compare the ${count} chosen` : "Compare the chosen";
  $("all").textContent = count && count === boxes().length ? "Choose none" : "Choose all";
}

async function open(run) {
  opened = run;
  try {
    const card = await (await ask(`runs/${run.id}/card`)).text();
    if (opened !== run) return; // closed meanwhile, or another is opened
    $("card").innerHTML = card; // escaped by the server, and no script in it would run
    $("curves").src = `runs/${run.id}/curves?${encodeURIComponent(run.step)}`;
    if (!$("one").open) $("one").showModal();
  } catch (error) {
    if (opened === run) $("runs-error").textContent = error.message;
  }
}

$("one").addEventListener("close", () => (opened = null));
$("list").addEventListener("change", chosen);
$("all").addEventListener("click", () => {
  const every = boxes().every((box) => box.checked);
  for (const box of boxes()) box.checked = !every;
  chosen();
});
$("compare").addEventListener("click", () => {
  const ids = boxes().filter((box) => box.checked).map((box) => ["run", box.name]);
  window.open(`compare?${new URLSearchParams(ids)}`);
});

function follow() {
  show(tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) ?? tabs[0]);
}

window.addEventListener("hashchange", follow);
follow();
look();
