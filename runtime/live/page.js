"use strict";

const PERIOD = 500;  // milliseconds between requests for the figures
const STALE = 3000;  // milliseconds without a new frame after which the page says so
const ASLEEP = 8000;  // milliseconds between requests after which the server has given up a page that slept
const WORDS = { live: "live", waiting: "waiting for pictures", over: "the run has ended" };

const at = (id) => document.getElementById(id);
const picture = at("picture");
let last = { frame: null, source: null }, changed = 0;
let asked = 0, connections = 0, isConnected = false;

function write(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

function tell(state) {
  at("state").className = state;
  write("state", WORDS[state]);
}

function clock(seconds) {
  const whole = Math.floor(seconds), pad = (number) => String(number).padStart(2, "0");
  const rest = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return whole < 3600 ? rest : `${Math.floor(whole / 3600)}:${rest}`;
}

function count([name, number]) {
  const item = document.createElement("li");
  const label = document.createElement("span"), amount = document.createElement("b");
  label.textContent = name;
  amount.textContent = number;
  item.append(label, amount);
  return item;
}

function show(figures) {
  write("viewers", String(figures.viewers));
  if (figures.frame === undefined) return tell("waiting");
  const now = performance.now();
  if (figures.frame !== last.frame || figures.source !== last.source) changed = now;
  last = figures;
  tell(now - changed < STALE ? "live" : "waiting");
  write("source", figures.source);
  write("fps", figures.fps.toFixed(1));
  for (const id of ["latency", "median", "percentile"]) write(id, `${figures[id].toFixed(0)} ms`);
  write("dropped", String(figures.dropped));
  write("frame", String(figures.frame));
  write("time", clock(figures.time));
  const counts = Object.entries(figures.counts);
  at("counts").replaceChildren(...counts.map(count));
  at("nothing").hidden = counts.length > 0;
}

function connect() {
  isConnected = true;
  picture.src = `pictures?${connections++}`;  // another address each time, or the browser keeps the old connection
}

async function ask() {
  const now = performance.now();
  if (now - asked > ASLEEP) isConnected = false;
  asked = now;
  try {
    const answer = await fetch("figures.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    if (!isConnected) connect();
  } catch {
    tell("over");  // the last picture stays; a run that begins at this address is seen
    isConnected = false;
  }
  setTimeout(ask, PERIOD);
}

picture.addEventListener("load", () => picture.setAttribute("data-there", ""));
picture.addEventListener("error", () => { isConnected = false; });
ask();
