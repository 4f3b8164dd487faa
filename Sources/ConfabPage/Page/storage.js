// What outlives the page: JSON values by name, in the browser's storage while it has any.

class Storage {
  constructor(kind) {
    this.memory = new Map();
    try {
      this.area = globalThis[kind];
    } catch {
      // Forbidden: values last as long as the page.
    }
  }

  get(name) {
    try {
      return JSON.parse(this.area.getItem(prefix + name)) ?? this.memory.get(name);
    } catch {
      return this.memory.get(name);
    }
  }

  /** `undefined`, and what is empty, is removed. */
  set(name, value) {
    const isEmpty = value === undefined || value.length === 0;
    this.memory.delete(name);
    try {
      if (isEmpty) this.area.removeItem(prefix + name);
      else this.area.setItem(prefix + name, JSON.stringify(value));
    } catch {
      if (!isEmpty) this.memory.set(name, value);
    }
  }

  /** The names that begin with `start`. */
  names(start = "") {
    const stored = this.area ? Object.keys(this.area).filter((name) => name.startsWith(prefix)) : [];
    const names = [...stored.map((name) => name.slice(prefix.length)), ...this.memory.keys()];
    return names.filter((name) => name.startsWith(start));
  }
}

const prefix = "confab/";

/** For all tabs, and for this one. */
export const local = new Storage("localStorage");
export const session = new Storage("sessionStorage");
