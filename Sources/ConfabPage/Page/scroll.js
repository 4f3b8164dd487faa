// Keeps the newest in view unless the reader has scrolled up, and the reader's place when something comes above it.

const near = 60;
/** So long a movement that the reader has begun may go on by itself. */
const inertia = 600;

export class Scroll {
  isAtEnd = true;
  top = 0;
  held = 0;

  /** `moved()` is called when the reader, or what is said, has moved the view. */
  constructor(area, moved) {
    this.area = area;
    area.addEventListener("scroll", () => {
      this.scrolled();
      moved();
    }, { passive: true });
    for (const kind of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      area.addEventListener(kind, () => { this.held = 0; }, { passive: true });
    }
    const observer = new ResizeObserver(() => {
      if (this.isAtEnd) this.toEnd();
      moved();
    });
    for (const element of [area, ...area.children]) observer.observe(element);
  }

  /** The end is left by going up: it goes away by itself when something comes, before the view has followed. */
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.area;
    const isUp = scrollTop < this.top;
    this.top = scrollTop;
    if (scrollHeight - scrollTop - clientHeight < near) this.isAtEnd = true;
    else if (isUp && performance.now() < this.held) this.toEnd();
    else if (isUp) this.isAtEnd = false;
  }

  toEnd() {
    this.isAtEnd = true;
    this.area.scrollTop = this.area.scrollHeight;
  }

  /** The same at the reader's wish, and against what still moves from a key, a wheel or a finger before. */
  jumpToEnd() {
    this.held = performance.now() + inertia;
    this.toEnd();
  }

  /** Makes a change above what is in view, which stays where it is. */
  keepPlace(change) {
    const { area } = this;
    area.style.overflowAnchor = "none";
    const fromEnd = area.scrollHeight - area.scrollTop;
    change();
    area.scrollTop = area.scrollHeight - fromEnd;
    requestAnimationFrame(() => area.style.removeProperty("overflow-anchor"));
  }

  /** Whether an element is in view, or will be soon when the reader scrolls up. */
  isNear(element) {
    const view = this.area.getBoundingClientRect();
    const { bottom } = element.getBoundingClientRect();
    return bottom > view.top - 1.5 * view.height && bottom < view.bottom;
  }
}
