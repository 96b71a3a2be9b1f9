import { connect } from "/perdure/live.js";

const windowLength = 5000; // of the windows that the server counts in, in milliseconds
const shownWindows = 24;

const byId = (id) => document.getElementById(id);

// svg makes an SVG element.
function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// sum adds the counts up by what of(row) says.
function sum(rows, of) {
  const sums = new Map();
  for (const row of rows) sums.set(of(row), (sums.get(of(row)) ?? 0) + row.count);
  return sums;
}

function draw(rows) {
  const all = [...rows.values()];
  const letters = all.filter((row) => row.of === "letter");
  const names = all.filter((row) => row.of === "name");
  const windows = sum(letters, (row) => Date.parse(row.start));
  const last = Math.max(...windows.keys());
  drawFlow(windows, last);
  drawLetters(letters.filter((row) => Date.parse(row.start) === last), last);
  drawTop(names);
}

function drawFlow(windows, last) {
  const chart = byId("flow");
  if (windows.size === 0) return chart.replaceChildren();
  const values = [];
  for (let i = shownWindows - 1; i >= 0; i--) values.push(windows.get(last - i * windowLength) ?? 0);
  const most = Math.max(...values, 1);
  const points = values.map((v, i) => `${(i * 600) / (shownWindows - 1)},${155 - (145 * v) / most}`).join(" ");
  chart.replaceChildren(svg("polygon", { points: `0,160 ${points} 600,160` }), svg("polyline", { points }));
  byId("flow-text").textContent = `${values.at(-1)} in the last window, at most ${most}`;
  chart.dataset.windows = windows.size;
}

function drawLetters(rows, last) {
  const chart = byId("letters");
  const sorted = rows.toSorted((a, b) => a.key.localeCompare(b.key));
  const most = Math.max(...sorted.map((row) => row.count), 1);
  const step = 600 / Math.max(sorted.length, 1);
  const bars = sorted.flatMap((row, i) => {
    const height = (130 * row.count) / most;
    const x = i * step + step / 2;
    const bar = svg("rect", { x: x - step * 0.35, y: 155 - height, width: step * 0.7, height, rx: 2 });
    bar.append(svg("title", {}, `${row.key.toUpperCase()}: ${row.count}`));
    return [bar, svg("text", { class: "count", x, y: 150 - height }, row.count), svg("text", { x, y: 173 }, row.key.toUpperCase())];
  });
  chart.replaceChildren(...bars);
  byId("letters-text").textContent = rows.length ? `from ${new Date(last).toLocaleTimeString()}` : "";
}

function drawTop(rows) {
  const top = [...sum(rows, (row) => row.key)].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, 12);
  byId("top").replaceChildren(...top.map(([name, count]) => {
    const item = document.createElement("li");
    item.textContent = `${name} ${count}`;
    return item;
  }));
}

let waiting = false;
const counts = connect("/live/counts", {
  change: () => {
    if (waiting) return;
    waiting = true; // many changes come at once: draw them once
    requestAnimationFrame(() => {
      waiting = false;
      draw(counts.rows);
    });
  },
  state: (name) => {
    byId("state").textContent = name;
    byId("state").className = name;
  },
});

byId("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = byId("names");
  const names = input.value.split(/[\s,]+/).filter(Boolean);
  const answer = await fetch("/api/names", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ names }),
  }).catch((error) => ({ ok: false, statusText: String(error) }));
  byId("added").textContent = answer.ok ? `${names.length} sent; they are counted within seconds` : `not sent: ${answer.statusText}`;
  if (answer.ok) input.value = "";
});
