// The names of the members of a room, and their number.

export class Members {
  names = new Set();
  count = 0;
  /** The reader's name; undefined before the first welcome. */
  own = undefined;

  welcome({ people, count, name }) {
    this.names = new Set([...people, name]);
    this.own = name;
    this.count = count;
  }

  /** Applies a change. Returns the part of it that is news: some of it may be known already. */
  change({ joined, left, renamed, count }) {
    const news = {
      left: left.filter((name) => this.names.delete(name)),
      renamed: renamed.filter(([old]) => this.names.delete(old)),
      joined: joined.filter((name) => !this.names.has(name)),
    };
    for (const name of [...joined, ...renamed.map(([, name]) => name)]) this.names.add(name);
    this.count = count;
    return news;
  }

  rename(name) {
    this.names.delete(this.own);
    this.names.add(name);
    this.own = name;
  }
}
