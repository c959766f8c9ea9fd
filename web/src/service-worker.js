// A service worker by which <img src="photo.ddpm"> works: it answers requests for images with PNG files. docs/web.md.

import { decode } from "./index.js";
import { paint } from "./upright.js";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  const isOurs = event.request.destination === "image" && origin === location.origin && pathname.endsWith(".ddpm");
  if (isOurs) event.respondWith(asPng(event.request));
});

async function asPng(request) {
  const response = await fetch(request);
  if (!response.ok) return response;
  try {
    const canvas = paint(new OffscreenCanvas(1, 1), await decode(await response.arrayBuffer()));
    return new Response(await canvas.convertToBlob({ type: "image/png" }));
  } catch (error) {
    console.error(`${request.url}: ${error.name}: ${error.message}`);
    return Response.error();
  }
}
