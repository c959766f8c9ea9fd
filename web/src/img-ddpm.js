// <img-ddpm src="photo.ddpm" alt="A beach"> shows an image, which gets better while it arrives. docs/web.md.

import { paint } from "./upright.js";

const STYLE = ":host { display: inline-block } canvas { display: block; width: 100%; height: 100% }";

const receivers = new Map(); // by the element's number
let worker;

function send(message) {
  if (!worker) {
    worker = new Worker(new URL("./image-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => receivers.get(data.id)?.(data);
  }
  worker.postMessage(message);
}

class DdpmImage extends HTMLElement {
  static observedAttributes = ["src", "alt"];
  static #last = 0;
  #id = DdpmImage.#last++;
  #canvas = document.createElement("canvas");
  #url;
  complete = false;

  constructor() {
    super();
    const style = document.createElement("style");
    style.textContent = STYLE;
    [this.#canvas.width, this.#canvas.height] = [0, 0];
    this.#canvas.setAttribute("role", "img");
    this.attachShadow({ mode: "open" }).append(style, this.#canvas);
  }

  attributeChangedCallback(name, _, value) {
    if (name === "alt") this.#canvas.setAttribute("aria-label", value ?? "");
    else if (this.isConnected) this.#load();
  }

  connectedCallback() {
    this.#load();
  }

  disconnectedCallback() {
    receivers.delete(this.#id);
    if (this.#url) send({ id: this.#id });
    this.#url = undefined;
  }

  #load() {
    const src = this.getAttribute("src"), hadSource = this.#url !== undefined;
    this.complete = false;
    this.#url = src === null ? undefined : new URL(src, this.baseURI).href;
    if (this.#url === undefined && !hadSource) return; // no worker for an element without a source
    receivers.set(this.#id, (message) => this.#receive(message));
    send({ id: this.#id, url: this.#url });
  }

  #receive({ url, picture, isComplete, problem }) {
    if (url !== this.#url) return; // of an earlier src
    if (picture) paint(this.#canvas, picture);
    if (isComplete) this.complete = true;
    if (isComplete) this.dispatchEvent(new Event("load"));
    if (problem) this.dispatchEvent(new ErrorEvent("error", { message: problem }));
  }
}

customElements.define("img-ddpm", DdpmImage);
