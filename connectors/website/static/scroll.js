const NEAR = 48;

/** Stays at the newest message while the reader is there, and leaves them alone where they are not. */
export class Follow {
  away = false;
  #top = 0;
  #scroller;
  #changed;

  /** @param {HTMLElement} scroller @param {HTMLElement} content @param {(away: boolean) => void} changed */
  constructor(scroller, content, changed) {
    this.#scroller = scroller;
    this.#changed = changed;
    scroller.addEventListener("scroll", () => this.#moved(), { passive: true });
    const watch = new ResizeObserver(() => (this.away ? this.#look() : this.toEnd()));
    watch.observe(scroller);
    watch.observe(content);
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#top = this.#scroller.scrollTop;
    this.#look();
  }

  /** Keep at the end after an addition, unless the reader is elsewhere. */
  added() {
    if (!this.away) this.toEnd();
  }

  /** The reader moves up to leave the end; what grows below does not make them leave it. */
  #moved() {
    const up = this.#scroller.scrollTop < this.#top;
    this.#top = this.#scroller.scrollTop;
    if (up || this.away) this.#look();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const away = scrollHeight - scrollTop - clientHeight > NEAR;
    if (away === this.away) return;
    this.away = away;
    this.#changed(away);
  }
}
