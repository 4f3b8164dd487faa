// Values that outlive the page: JSON by name, in the browser's storage if it is available.

class Storage {
  constructor(kind) {
    this.memory = new Map();
    try {
      this.area = globalThis[kind];
    } catch {
      // Storage is forbidden: values last as long as the page.
    }
  }

  get(name) {
    try {
      return JSON.parse(this.area.getItem(prefix + name)) ?? this.memory.get(name);
    } catch {
      return this.memory.get(name);
    }
  }

  /** `undefined` and empty values are removed. */
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

  /** Returns the names that begin with `start`. */
  names(start = "") {
    const stored = this.area ? Object.keys(this.area).filter((name) => name.startsWith(prefix)) : [];
    const names = [...stored.map((name) => name.slice(prefix.length)), ...this.memory.keys()];
    return names.filter((name) => name.startsWith(start));
  }
}

const prefix = "confab/";

/** Values that all tabs share. */
export const local = new Storage("localStorage");
/** Values of this tab. */
export const session = new Storage("sessionStorage");
