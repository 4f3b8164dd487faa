// Keeps the newest message in view unless the reader has scrolled up, and keeps the position when content is added
// above.

const near = 60;
/** The time for which a scroll movement may continue by itself, in milliseconds. */
const inertia = 600;

export class Scroll {
  isAtEnd = true;
  top = 0;
  held = 0;

  /** `moved()` is called when the view has moved, by the reader or by new content. */
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

  /** Only scrolling up leaves the end: new content also moves the end away, before the view has followed. */
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

  /** Scrolls to the end, even if a movement by a key, a wheel or a finger still continues. */
  jumpToEnd() {
    this.held = performance.now() + inertia;
    this.toEnd();
  }

  /** Makes a change above the view without moving the visible rows. */
  keepPlace(change) {
    const { area } = this;
    area.style.overflowAnchor = "none";
    const fromEnd = area.scrollHeight - area.scrollTop;
    change();
    area.scrollTop = area.scrollHeight - fromEnd;
    requestAnimationFrame(() => area.style.removeProperty("overflow-anchor"));
  }

  /** Whether an element is in view, or almost. */
  isNear(element) {
    const view = this.area.getBoundingClientRect();
    const { bottom } = element.getBoundingClientRect();
    return bottom > view.top - 1.5 * view.height && bottom < view.bottom;
  }
}
