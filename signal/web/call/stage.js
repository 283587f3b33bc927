// The stage: everybody's tile, and which one of them is large.

import { place } from "./layout.js";

const GAP = { wide: 12, narrow: 8 };

export class Stage {
  #element;
  #own;
  #people = [];
  #screens = [];
  #large = null;

  /** `element` holds the tiles; `own` is our own tile, always the last one. */
  constructor(element, own) {
    this.#element = element;
    this.#own = own;
    new ResizeObserver(() => this.arrange()).observe(element);
  }

  /** How many other people there are. */
  get others() {
    return this.#people.length;
  }

  add(tile) {
    this.#element.insertBefore(tile, this.#own);
    this.#people.push(tile);
    this.#take(tile);
  }

  /** A screen that somebody shares: large, until somebody else is to be. */
  addScreen(tile) {
    this.#element.prepend(tile);
    this.#screens.unshift(tile);
    this.#large = tile;
    this.#take(tile);
  }

  remove(tile) {
    tile.remove();
    this.#people = this.#people.filter((other) => other !== tile);
    this.#screens = this.#screens.filter((other) => other !== tile);
    if (this.#large === tile) this.#large = this.#screens[0] ?? null;
    this.arrange();
  }

  arrange() {
    const tiles = [...this.#screens, ...this.#people, this.#own];
    const large = this.#large;
    const alone = this.#people.length === 1 && !large;
    const { clientWidth: width, clientHeight: height } = this.#element;
    if (width === 0) return;
    const gap = width < 600 ? GAP.narrow : GAP.wide;
    const places = place(tiles.length, { width, height, gap }, {
      large: tiles.indexOf(large),
      shape: large && shapeOf(large),
      corner: alone ? tiles.length - 1 : -1,
    });
    this.#element.dataset.peers = this.#people.length < 2 ? String(this.#people.length) : "many";
    this.#own.classList.toggle("corner", alone);
    for (const [i, tile] of tiles.entries()) {
      const { x, y, width, height } = places[i];
      Object.assign(tile.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
      tile.querySelector(".pin")?.setAttribute("aria-pressed", String(tile === large));
    }
  }

  #take(tile) {
    tile.querySelector(".pin").addEventListener("click", (event) => {
      event.stopPropagation();
      this.#turn(tile);
    });
    // A small tile has no room for a button under a finger: it is one itself.
    tile.addEventListener("click", ({ pointerType }) => pointerType === "touch" && this.#turn(tile));
    tile.addEventListener("dblclick", () => this.#turn(tile));
    tile.querySelector("video").addEventListener("resize", () => this.arrange());
    this.arrange();
  }

  /** Large, or one of many again. */
  #turn(tile) {
    this.#large = tile === this.#large ? null : tile;
    this.arrange();
  }
}

/** The shape of a screen is to be kept; a person's picture may be cut. */
function shapeOf(tile) {
  if (!("screen" in tile.dataset)) return null;
  const { videoWidth, videoHeight } = tile.querySelector("video");
  return videoWidth ? videoWidth / videoHeight : 16 / 9;
}
