// The language of the page: the browser's at first, then the one chosen and
// remembered. Nodes written by say, label and name follow a later switch.

import { texts } from "./texts.js";
import { local } from "./storage.js";

const tags = { zh: "zh-CN", en: "en" };
const listeners = new Set();
let current = choose();

function choose() {
  const kept = local.get("lang");
  if (kept in texts) return kept;
  for (const tag of navigator.languages ?? [navigator.language]) {
    const lang = String(tag).toLowerCase().split("-")[0];
    if (lang in texts) return lang;
  }
  return "en";
}

/** language returns "zh" or "en". */
export function language() {
  return current;
}

/** t returns the text of a key; an unknown key is returned as it is. */
export function t(key, args) {
  const text = texts[current][key];
  return typeof text === "function" ? text(args ?? {}) : text ?? key;
}

/** known reports whether a key has a text. */
export function known(key) {
  return key in texts[current];
}

/** say makes a key's text the node's content. */
export function say(node, key, args) {
  node.dataset.t = key;
  if (args) node.dataset.tArgs = JSON.stringify(args);
  else delete node.dataset.tArgs;
  node.textContent = t(key, args);
  return node;
}

/** label makes a key's text the node's accessible name and its tooltip. */
export function label(node, key, args) {
  node.dataset.tLabel = key;
  if (args) node.dataset.tArgs = JSON.stringify(args);
  node.setAttribute("aria-label", t(key, args));
  node.title = t(key, args);
  return node;
}

/** onLanguage calls fn after each switch. */
export function onLanguage(fn) {
  listeners.add(fn);
}

/** setLanguage switches, remembers and rewrites the page. */
export function setLanguage(lang) {
  if (!(lang in texts)) return;
  current = lang;
  local.set("lang", lang);
  translate();
}

/** translate writes every marked node of the page in the current language. */
export function translate() {
  document.documentElement.lang = tags[current];
  for (const node of document.querySelectorAll("[data-t]")) {
    node.textContent = t(node.dataset.t, argsOf(node));
  }
  for (const node of document.querySelectorAll("[data-t-label]")) {
    label(node, node.dataset.tLabel, argsOf(node));
  }
  for (const node of document.querySelectorAll("[data-t-name]")) {
    node.setAttribute("aria-label", t(node.dataset.tName));
  }
  for (const node of document.querySelectorAll("[data-t-placeholder]")) {
    node.placeholder = t(node.dataset.tPlaceholder);
  }
  for (const fn of listeners) fn(current);
}

function argsOf(node) {
  return node.dataset.tArgs ? JSON.parse(node.dataset.tArgs) : undefined;
}
