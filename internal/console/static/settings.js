// The settings drawer: an API key and a tenant, kept in this tab only.

import { byId } from "./dom.js";
import { onLanguage, say } from "./i18n.js";
import { tab } from "./storage.js";

// The rule of tenant ids; the same as the server's.
const tenantRule = /^[a-z0-9][a-z0-9-]{0,62}$/;

export class Settings {
  #dialog = byId("settings");
  #key = byId("api-key");
  #tenant = byId("tenant-id");
  #changed;

  /** changed() is called after a key or tenant became another one. */
  constructor(changed) {
    this.#changed = changed;
    byId("open-settings").addEventListener("click", () => this.open());
    byId("settings-close").addEventListener("click", () => this.#dialog.close());
    byId("settings-clear").addEventListener("click", () => {
      this.#key.value = this.#tenant.value = "";
      this.#save();
    });
    byId("settings-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.#dialog.addEventListener("click", (event) => { // on the backdrop
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#tenant.addEventListener("input", () => this.#wrong(false));
    onLanguage(() => this.#badge());
    this.#badge();
  }

  open() {
    this.#key.value = tab.get("key");
    this.#tenant.value = tab.get("tenant");
    this.#wrong(false);
    this.#dialog.showModal();
    this.#key.focus();
  }

  #save() {
    const key = this.#key.value.trim();
    const tenant = this.#tenant.value.trim();
    if (tenant && !tenantRule.test(tenant)) {
      this.#wrong(true);
      this.#tenant.focus();
      return;
    }
    const same = key === tab.get("key") && tenant === tab.get("tenant");
    tab.set("key", key);
    tab.set("tenant", tenant);
    this.#dialog.close();
    this.#badge();
    if (!same) this.#changed();
  }

  #wrong(is) {
    const node = byId("tenant-error");
    if (is) say(node, "settings.tenantWrong");
    else {
      delete node.dataset.t;
      node.textContent = "";
    }
    this.#tenant.setAttribute("aria-invalid", String(is));
  }

  #badge() {
    const node = byId("tenant");
    node.textContent = tab.get("tenant");
    node.hidden = !tab.get("tenant");
  }
}
