/** Wires the page: reads the clip, makes its parts, and passes on what users do. */

import { Controls } from "./controls";
import { Curves } from "./curves";
import { Clip, bytesOf, readClip } from "./data";
import { Overlay } from "./overlay";
import { Player } from "./player";
import { Stage } from "./stage";
import { onThemeChange } from "./theme";
import { Timeline } from "./timeline";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

function say(text: string): void {
  element("message").textContent = text;
}

/** A URL as people read it; as it is where a name in it is not UTF-8. */
function readable(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url;
  }
}

/** The video's element, filled from the page or from beside it; null where there is none. */
function openVideo(clip: Clip, player: () => Player): HTMLVideoElement | null {
  if (!clip.video) return null;
  const video = element<HTMLVideoElement>("video");
  const { url, type } = clip.video;
  video.addEventListener("error", () => {
    say(url ? `Video not found or not playable: ${readable(url)}` : "This browser cannot play the video.");
    element("film").hidden = true;
    element("skeleton").hidden = true;
    player().dropVideo();
  });
  video.addEventListener("volumechange", () => (element<HTMLInputElement>("muted").checked = video.muted));
  const footage = element("footage");
  video.src = url || URL.createObjectURL(new Blob([bytesOf(footage.textContent!)], { type }));
  footage.remove();
  const [width, height] = clip.camera.size;
  element("panes").style.setProperty("--aspect", String(width / height));
  element("film").hidden = false;
  element("sound").hidden = false;
  return video;
}

/** The 3D view, or null where the browser has no WebGL. */
function openStage(clip: Clip, onMove: () => void): Stage | null {
  try {
    return new Stage(element<HTMLCanvasElement>("view"), clip, onMove);
  } catch (error) {
    element("space").hidden = true;
    say(`No 3D view: ${error instanceof Error ? error.message : error}. Turn on WebGL in this browser.`);
    return null;
  }
}

async function start(): Promise<void> {
  const clip = await readClip();
  say("");
  const player: Player = new Player(clip.times, openVideo(clip, () => player), clip.video?.offset);
  let dirty = true;
  const stage = openStage(clip, () => (dirty = true));
  const overlay = new Overlay(element<HTMLCanvasElement>("overlay"), clip);
  const timeline = new Timeline(element<HTMLCanvasElement>("lanes"), clip);
  const curves = new Curves(element("chart"), clip, (frame) => player.seek(frame));
  const controls = new Controls(clip, player, stage, curves.quantities);

  const drawStill = () => {
    timeline.draw(controls.visible);
    curves.show(controls.quantity, controls.visible, controls.span, player.frame);
    dirty = true;
  };
  const fit = () => {
    stage?.resize();
    overlay.resize();
    curves.resize();
    timeline.draw(controls.visible);
    dirty = true;
  };
  const draw = () => {
    requestAnimationFrame(draw);
    if (!dirty) return;
    dirty = false;
    stage?.draw(player.frame, controls.visible, controls.layers);
    overlay.draw(player.frame, controls.visible, controls.layers.overlay);
    curves.moveTo(player.frame);
    controls.showFrame(curves.readout(player.frame));
  };
  player.onChange = () => (dirty = true);
  controls.onChoice = drawStill;
  controls.onLayers = () => (dirty = true);
  onThemeChange(() => {
    stage?.recolor();
    drawStill();
  });
  drawStill();
  fit();
  stage?.look("beside");
  for (const id of ["panes", "chart", "lanes"]) new ResizeObserver(fit).observe(element(id));
  draw();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  say(`This page cannot be shown: ${error instanceof Error ? error.message : error}`);
  throw error;
});
