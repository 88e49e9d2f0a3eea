// The chat page: makes its parts and introduces them to each other.

import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { byId, h, icon } from "./dom.js";
import { language, onLanguage, setLanguage, t, translate } from "./i18n.js";
import { Reader } from "./reader.js";
import { Settings } from "./settings.js";
import { samples } from "./texts.js";

const reader = new Reader();
const settings = new Settings(() => startOver());
const composer = new Composer({
  send: (text) => chat.ask(text),
  stop: () => chat.stop(),
});
const chat = new Chat({
  open: (sources, n, chip) => reader.open(sources, n, chip),
  key: () => settings.open(),
  edit: (query) => composer.take(query),
  busy: (is) => composer.busy(is),
});

async function startOver() {
  reader.close();
  await chat.restart();
  composer.focus();
}

byId("new-chat").addEventListener("click", startOver);
byId("human").addEventListener("click", () => chat.human());
byId("cancel-human").addEventListener("click", () => {
  chat.cancel();
  composer.focus();
});
byId("language").addEventListener("click", () => setLanguage(language() === "zh" ? "en" : "zh"));

// Escape stops the answer, unless an open dialog or an input method wants it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || !chat.busy) return;
  if (document.querySelector("dialog:modal")) return;
  chat.stop();
});

onLanguage((lang) => {
  const other = lang === "zh" ? "en" : "zh-CN";
  const name = byId("language-name");
  name.textContent = t("otherLanguageShort");
  name.lang = other;
  byId("language").setAttribute("aria-label", t("otherLanguage"));
  byId("language").lang = other;
  byId("samples").replaceChildren(...samples[lang].map((text) => {
    const button = h("button", { type: "button", class: "sample" }, h("span", null, text), icon("right"));
    button.addEventListener("click", () => {
      chat.ask(text);
      composer.focus();
    });
    return h("li", null, button);
  }));
});

translate();
composer.focus();
