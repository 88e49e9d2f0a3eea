// What the page remembers. Session values live as long as the tab, the local
// one (the language) stays. A browser that refuses storage gets memory instead.

const prefix = "eino-qa.";

class Store {
  #area;
  #memory = new Map();

  constructor(area) {
    this.#area = area;
  }

  /** get returns the string kept under name, or "". */
  get(name) {
    try {
      const kept = this.#area().getItem(prefix + name);
      if (kept !== null) return kept;
    } catch { /* refused: memory has it */ }
    return this.#memory.get(name) ?? "";
  }

  /** set keeps a string; an empty one is removed. */
  set(name, value) {
    this.#memory.delete(name);
    try {
      if (value) this.#area().setItem(prefix + name, value);
      else this.#area().removeItem(prefix + name);
    } catch {
      // Refused or full. What is in the area is out of date now.
      if (value) this.#memory.set(name, value);
      try { this.#area().removeItem(prefix + name); } catch { /* refused */ }
    }
  }

  /** read returns the JSON value kept under name, or otherwise. */
  read(name, otherwise) {
    try {
      return JSON.parse(this.get(name)) ?? otherwise;
    } catch {
      return otherwise;
    }
  }

  /** write keeps a JSON value. */
  write(name, value) {
    this.set(name, JSON.stringify(value));
  }
}

export const tab = new Store(() => sessionStorage);
export const local = new Store(() => localStorage);
