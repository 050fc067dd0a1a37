/** The 3D view: floor, people, the camera that filmed them, and a camera that users turn. */

import {
  BufferAttribute, BufferGeometry, Color, DirectionalLight, HemisphereLight, LineBasicMaterial,
  LineSegments, Matrix4, PerspectiveCamera, Scene, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { cameraAt, Clip, FilmCamera, moves } from "./data";
import { Figures, Layers } from "./figures";
import { themeColor } from "./theme";

export type View = "beside" | "front" | "side" | "top" | "film";

const FIELD_OF_VIEW = 32;
/** Degrees round the people from where they were filmed, and above the horizon. */
const DIRECTIONS: Record<Exclude<View, "film">, [number, number]> = {
  beside: [35, 18],
  front: [0, 6],
  side: [90, 6],
  top: [0, 89],
};
/** Metres: half a person's height, an arm's reach, the nearest place to look from. */
const EYE_HEIGHT = 0.95;
const REACH = 0.45;
const NEAREST = 3;
/** Metres that are seen at least. */
const FARTHEST = 500;
/** Radians between the views straight down and a little upward, the lowest that users turn to. */
const LOWEST = Math.PI * 0.54;
/** Share of the picture that is filled. */
const FILLED = 0.94;
const DEGREE = Math.PI / 180;
const KEY_TURN = 0.1;

export class Stage {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, FARTHEST);
  private readonly controls: OrbitControls;
  private readonly figures: Figures;
  private readonly grid: LineSegments<BufferGeometry, LineBasicMaterial>;
  private readonly frustum: LineSegments<BufferGeometry, LineBasicMaterial>;
  private readonly anchor = new Vector3();
  private followed: number | null = null;
  /** Whether the one who is followed has been in sight since then, so that `anchor` is theirs. */
  private found = false;
  private view: View | null = null;
  /** Where the real camera is drawn, and looked from as filmed. */
  private film: FilmCamera;

  /** @param onMove called when the user has turned the view */
  constructor(private readonly canvas: HTMLCanvasElement, private readonly clip: Clip, onMove: () => void) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true });
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.zoomToCursor = true;
    this.controls.addEventListener("change", onMove);
    this.controls.addEventListener("start", () => (this.view = null));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.figures = new Figures(clip);
    this.grid = new LineSegments(gridOf(clip), new LineBasicMaterial());
    this.film = cameraAt(clip.camera, 0);
    this.frustum = new LineSegments(frustumOf(this.film), new LineBasicMaterial());
    const sun = new DirectionalLight("#ffffff", 1.7);
    sun.position.set(2, 6, 3);
    this.scene.background = new Color();
    const sky = new HemisphereLight("#ffffff", "#8a8f98", 1.9);
    this.scene.add(sky, sun, this.grid, this.frustum, this.figures.group);
    this.recolor();
  }

  recolor(): void {
    (this.scene.background as Color).set(themeColor("stage"));
    this.grid.material.color.set(themeColor("grid"));
    this.frustum.material.color.set(themeColor("dim"));
    this.figures.recolor();
  }

  /** Fit the canvas's size on the page; true where it has changed. */
  resize(): boolean {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return false;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    if (this.view) this.look(this.view);
    this.camera.updateProjectionMatrix();
    return true;
  }

  /** Look from a direction at everybody, or at the one who is followed. */
  look(view: View): void {
    this.view = view;
    if (view === "film") this.lookAsFilmed();
    else this.lookFrom(...DIRECTIONS[view]);
    this.camera.updateProjectionMatrix();
    // As filmed may look farther up than users turn.
    const away = this.camera.position.clone().sub(this.controls.target);
    this.controls.maxPolarAngle = Math.max(LOWEST, away.angleTo(this.camera.up));
    this.controls.update();
  }

  /** From a direction in degrees, as near as leaves all that matters in the picture. */
  private lookFrom(around: number, above: number): void {
    const { low, high } = this.clip.room;
    const [x, z] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];
    const alone = this.followed !== null && this.found;
    const center = alone ? this.anchor : new Vector3(x, EYE_HEIGHT, z);
    const [wide, deep] = alone ? [0, 0] : [(high[0] - low[0]) / 2, (high[1] - low[1]) / 2];
    const away = new Vector3().setFromSphericalCoords(1, Math.PI / 2 - above * DEGREE, around * DEGREE);
    const right = new Vector3(0, 1, 0).cross(away).normalize();
    const up = away.clone().cross(right);
    const tall = Math.tan((FIELD_OF_VIEW / 2) * DEGREE) * FILLED;
    let distance = NEAREST;
    for (let corner = 0; corner < 8; corner++) {
      const [a, b, c] = [1, 2, 4].map((bit) => (corner & bit ? 1 : -1));
      const at = new Vector3(a * (wide + REACH), b * EYE_HEIGHT, c * (deep + REACH));
      const across = Math.abs(at.dot(right)) / (tall * this.camera.aspect);
      distance = Math.max(distance, at.dot(away) + Math.max(across, Math.abs(at.dot(up)) / tall));
    }
    this.camera.fov = FIELD_OF_VIEW;
    this.camera.far = Math.max(FARTHEST, 3 * distance);
    this.controls.target.copy(center);
    this.camera.position.copy(center).addScaledVector(away, distance);
  }

  /** From the place of the real camera, with its field of view. */
  private lookAsFilmed(): void {
    const { position, rotation, intrinsics, size } = this.film;
    const tall = size[1] / 2 / intrinsics[1][1];
    const wide = size[0] / 2 / intrinsics[0][0] / this.camera.aspect;
    this.camera.fov = (2 * Math.atan(Math.max(tall, wide))) / DEGREE;
    this.camera.position.fromArray(position);
    const forward = new Vector3(rotation[0][2], rotation[1][2], rotation[2][2]);
    this.controls.target.copy(this.camera.position).addScaledVector(forward, Math.hypot(...position));
  }

  /** Put the real camera where it stood at a frame. */
  private moveFilm(frame: number): void {
    this.film = cameraAt(this.clip.camera, frame);
    this.frustum.geometry.dispose();
    this.frustum.geometry = frustumOf(this.film);
    if (this.view === "film") this.look("film");
  }

  /** Keep a person in the middle from when they are in sight, or nobody. */
  follow(person: number | null): void {
    this.followed = person;
    this.found = false;
  }

  draw(frame: number, visible: boolean[], layers: Layers & { camera: boolean }): void {
    if (moves(this.clip.camera)) this.moveFilm(frame);
    if (this.followed !== null && this.view !== "film") this.goAlong(frame);
    this.frustum.visible = layers.camera && this.view !== "film";
    this.figures.show(frame, visible, layers);
    this.renderer.render(this.scene, this.camera);
  }

  /** Look at the followed person when they are first in sight, then move with them. */
  private goAlong(frame: number): void {
    const before = this.anchor.clone();
    if (!this.anchorAt(frame)) return;
    if (!this.found) {
      this.found = true;
      this.look(this.view ?? "beside");
      return;
    }
    before.subVectors(this.anchor, before);
    this.camera.position.add(before);
    this.controls.target.add(before);
    this.camera.lookAt(this.controls.target);
  }

  /** Move the anchor to where the followed person is; false where they are out of sight. */
  private anchorAt(frame: number): boolean {
    const { joints, first } = this.clip.people[this.followed!];
    const at = (frame - first) * this.clip.joints.length * 3;
    if (!Number.isFinite(joints[at])) return false;
    this.anchor.set(joints[at], EYE_HEIGHT, joints[at + 2]);
    return true;
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.controls.rotateLeft(KEY_TURN),
      ArrowRight: () => this.controls.rotateLeft(-KEY_TURN),
      ArrowUp: () => this.controls.rotateUp(KEY_TURN),
      ArrowDown: () => this.controls.rotateUp(-KEY_TURN),
      PageUp: () => this.controls.dollyIn(1 / 1.1),
      PageDown: () => this.controls.dollyOut(1 / 1.1),
    };
    if (!(event.key in moves)) return;
    this.view = null;
    moves[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }
}

function lines(points: number[]): BufferGeometry {
  return new BufferGeometry().setAttribute("position", new BufferAttribute(new Float32Array(points), 3));
}

/** Floor lines a metre apart, or 2, 5, 10, ... in large rooms. */
function gridOf({ room: { low, high } }: Clip): BufferGeometry {
  const size = Math.max(high[0] - low[0], high[1] - low[1]) + 3;
  const step = [1, 2, 5, 10, 20, 50, 100].find((metres) => size / metres <= 24) ?? 1000;
  const edge = (value: number, room: number) => Math.round((value + room) / step) * step;
  const [x1, z1] = low.map((value) => Math.min(edge(value, -1.5), -step));
  const [x2, z2] = high.map((value) => Math.max(edge(value, 1.5), step));
  const points: number[] = [];
  for (let x = x1; x <= x2; x += step) points.push(x, 0, z1, x, 0, z2);
  for (let z = z1; z <= z2; z += step) points.push(x1, 0, z, x2, 0, z);
  return lines(points);
}

/** The real camera as a pyramid whose base is its picture, 40 cm away. */
function frustumOf({ position, rotation, intrinsics: k, size }: FilmCamera): BufferGeometry {
  const world = new Matrix4().set(
    rotation[0][0], rotation[0][1], rotation[0][2], position[0],
    rotation[1][0], rotation[1][1], rotation[1][2], position[1],
    rotation[2][0], rotation[2][1], rotation[2][2], position[2],
    0, 0, 0, 1,
  );
  const corner = (x: number, y: number) =>
    new Vector3((x - k[0][2]) / k[0][0], (y - k[1][2]) / k[1][1], 1).multiplyScalar(0.4).applyMatrix4(world);
  const [w, h] = size;
  const corners = [corner(0, 0), corner(w, 0), corner(w, h), corner(0, h)];
  const points: number[] = [];
  corners.forEach((at, i) => {
    points.push(...position, ...at.toArray(), ...at.toArray(), ...corners[(i + 1) % 4].toArray());
  });
  return lines(points);
}
