// The slider of the viewer's page: which bytes of a file are of which step and band, and where the user is.

const COLOURS = ["#3f5f8f", "#4b86a8", "#5fa39a", "#8fb573", "#cdb95c", "#d79452", "#c0685a"]; // of the steps
const BESIDE = "#9aa1a9"; // of what is no step

export const $ = (id) => document.getElementById(id);
export const grouped = (number) => number.toLocaleString("en-US");
const size = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${+(bytes / 1e3).toFixed(1)} kB` : `${+(bytes / 1e6).toFixed(1)} MB`);
const noise = (level) => (level ? `to noise level ${level}` : "to exact pixels");

export function small(text) {
  const element = document.createElement("small");
  element.textContent = text;
  return element;
}

/** Where on the slider so many bytes are, from 0 to 1. */
function sliderFraction({ sizes }, bytes) {
  const after = sizes.findIndex((stop) => stop >= bytes);
  if (after <= 0 || sizes.length < 2) return after < 0 ? 1 : 0;
  const between = (bytes - sizes[after - 1]) / (sizes[after] - sizes[after - 1]);
  return (after - 1 + between) / (sizes.length - 1);
}

function colour(file, stripe) {
  if (stripe.step === null) return BESIDE;
  return COLOURS[Math.round(((stripe.step - 1) * (COLOURS.length - 1)) / Math.max(file.steps - 1, 1))];
}

function title(file, stripe) {
  if (stripe.step === null) return stripe.part;
  return `step ${stripe.step}, ${noise(file.noise[stripe.step - 1])}, band ${stripe.band}`;
}

export function drawMap(file) {
  const { stripes } = file;
  const coarsest = Math.max(...(stripes ?? []).map((stripe) => stripe.band ?? 0));
  $("map").replaceChildren(...(stripes ?? []).map((stripe) => {
    const [element, start, end] = [document.createElement("div"), sliderFraction(file, stripe.start), sliderFraction(file, stripe.end)];
    element.style.left = `${100 * start}%`;
    element.style.width = `${100 * (end - start)}%`;
    element.style.backgroundColor = colour(file, stripe);
    element.style.opacity = stripe.band ? 1 - 0.08 * (coarsest - stripe.band) : 1; // fine bands are lighter
    element.title = `${title(file, stripe)}: bytes ${grouped(stripe.start)} to ${grouped(stripe.end)}`;
    return element;
  }));
  const shade = document.createElement("div");
  shade.className = "shade";
  $("map").append(shade);
  drawLegend(file);
  drawPosition(file);
}

function drawLegend(file) {
  const parts = new Map(); // stripes of one step, or of one other part
  for (const stripe of file.stripes ?? []) {
    const name = stripe.step === null ? stripe.part : `step ${stripe.step} ${noise(file.noise[stripe.step - 1])}`;
    const part = parts.get(name) ?? { stripe, bytes: 0 };
    part.bytes += stripe.end - stripe.start;
    parts.set(name, part);
  }
  $("legend").replaceChildren(...[...parts].map(([name, { stripe, bytes }]) => {
    const [item, mark] = [document.createElement("li"), document.createElement("i")];
    mark.style.backgroundColor = colour(file, stripe);
    item.dataset.step = stripe.step ?? stripe.part;
    item.append(mark, `${name}, ${size(bytes)}`);
    return item;
  }));
}

export function drawTicks(file) {
  const { sizes } = file;
  const [first, last] = [sizes[0], sizes.at(-1)];
  const apart = 64 / $("ticks").clientWidth; // labels are no wider, in pixels
  const stops = [first];
  for (let decade = 1; decade < last; decade *= 10) {
    for (const bytes of [decade, 3 * decade]) {
      const at = sliderFraction(file, bytes);
      if (bytes > first && at - sliderFraction(file, stops.at(-1)) > apart && at < 1 - apart) stops.push(bytes);
    }
  }
  if (last > first) stops.push(last);
  $("ticks").replaceChildren(...stops.map((bytes) => {
    const tick = document.createElement("span");
    tick.style.left = `${100 * sliderFraction(file, bytes)}%`;
    tick.textContent = size(bytes);
    return tick;
  }));
}

/** All that follows from the position alone, before a preview is there. */
export function drawPosition(file) {
  const bytes = file.sizes[file.position];
  const bpp = ((8 * bytes) / (file.width * file.height)).toFixed(3);
  $("slider").value = file.position;
  $("slider").setAttribute("aria-valuetext", `${grouped(bytes)} bytes, ${bpp} bits per pixel`);
  $("bytes").replaceChildren(grouped(bytes), small(` of ${grouped(file.bytes)}`));
  $("bpp").textContent = bpp;
  const shade = $("map").querySelector(".shade");
  if (shade) shade.style.left = `${100 * sliderFraction(file, bytes)}%`;
  const stripe = file.stripes?.findLast((each) => each.start < bytes);
  $("place").textContent = stripe ? title(file, stripe) : file.stripes ? "the header" : "";
  for (const item of $("legend").children) item.className = stripe && item.dataset.step === String(stripe.step ?? stripe.part) ? "now" : "";
}
