/** People in 3D: limbs, joints, shadows, spread, feet on the ground, paths, names. */

import {
  CanvasTexture, CircleGeometry, Color, CylinderGeometry, Group, InstancedMesh,
  LineBasicMaterial, LineSegments, BufferAttribute, BufferGeometry, Material,
  MeshBasicMaterial, MeshLambertMaterial, SphereGeometry, Sprite, SpriteMaterial,
} from "three";
import { Clip, Person } from "./data";
import { inkColor, limbColor, themeColor } from "./theme";

/** Half the thickness of limbs, metres; the head is a ball between its joints. */
const RADIUS = { trunk: 0.045, leg: 0.042, arm: 0.032, neck: 0.03, joint: 1.15 };
const PATH_SECONDS = 3;
/** Heights above the floor, so that what lies on it does not flicker. */
const SHADOW_HEIGHT = 0.003;
const SOLE_HEIGHT = 0.008;
const PATH_HEIGHT = 0.012;
const SOLE_RADIUS = 0.1;
const HEAD_RADIUS = 0.11;
const ON_GROUND = 0.5;
/** Height of names as a share of the picture's, about. */
const NAME_SIZE = 0.026;

function limbRadius(joint: string): number {
  if (/knee|ankle/.test(joint)) return RADIUS.leg;
  if (/elbow|wrist/.test(joint)) return RADIUS.arm;
  return /nose|head/.test(joint) ? RADIUS.neck : RADIUS.trunk;
}

/** What can be switched on and off. */
export interface Layers {
  spread: boolean;
  paths: boolean;
  feet: boolean;
  names: boolean;
}

export class Figures {
  readonly group = new Group();
  private readonly limbs: InstancedMesh;
  private readonly balls: InstancedMesh;
  private readonly blobs: InstancedMesh;
  private readonly soles: InstancedMesh;
  private readonly shadows = new Group();
  private readonly shade = new MeshBasicMaterial();
  private readonly sole = new MeshBasicMaterial({ transparent: true, opacity: 0.75 });
  private readonly paths: LineSegments<BufferGeometry, LineBasicMaterial>[] = [];
  private readonly names: Sprite[] = [];
  private readonly ankles: number[];
  private readonly head: [number, number];
  private readonly radii: number[];

  constructor(private readonly clip: Clip) {
    const { people, bones, joints } = clip;
    this.ankles = ["left_ankle", "right_ankle"].map((name) => joints.indexOf(name));
    this.head = [joints.indexOf("nose"), joints.indexOf("head")];
    this.radii = bones.map(([, end]) => limbRadius(joints[end]));
    const lit = () => new MeshLambertMaterial();
    const haze = new MeshLambertMaterial({ transparent: true, opacity: 0.2, depthWrite: false });
    const cylinder = new CylinderGeometry(1, 1, 1, 14, 1, true);
    const ball = new SphereGeometry(1, 18, 12);
    const disc = new CircleGeometry(1, 28).rotateX(-Math.PI / 2);
    this.limbs = this.instances(cylinder, lit(), bones.length);
    this.balls = this.instances(ball, lit(), joints.length);
    this.blobs = this.instances(ball, haze, joints.length);
    this.soles = this.instances(disc, this.sole, 2);
    for (const caster of [this.limbs, this.balls]) {
      const shadow = new InstancedMesh(caster.geometry, this.shade, caster.count);
      shadow.instanceMatrix = caster.instanceMatrix;
      shadow.frustumCulled = false;
      this.shadows.add(shadow);
    }
    this.shadows.scale.y = 1e-4;
    this.shadows.position.y = SHADOW_HEIGHT;
    this.group.add(this.limbs, this.balls, this.blobs, this.soles, this.shadows);
    people.forEach((person, index) => this.addPerson(person, index));
  }

  private instances(
    geometry: BufferGeometry, material: Material, each: number,
  ): InstancedMesh {
    const mesh = new InstancedMesh(geometry, material, each * this.clip.people.length);
    mesh.frustumCulled = false; // its bounds change with every frame
    return mesh;
  }

  private addPerson(person: Person, index: number): void {
    const { bones, joints } = this.clip;
    const tone = new Color();
    bones.forEach(([, end], i) => {
      this.limbs.setColorAt(index * bones.length + i, tone.set(limbColor(person.color, joints[end])));
    });
    joints.forEach((joint, i) => {
      const at = index * joints.length + i;
      this.balls.setColorAt(at, tone.set(limbColor(person.color, joint)));
      this.blobs.setColorAt(at, tone.set(person.color));
    });
    const path = new LineSegments(pathOf(person, this.clip), new LineBasicMaterial());
    path.frustumCulled = false;
    const name = nameTag(person.name);
    this.paths.push(path);
    this.names.push(name);
    this.group.add(path, name);
  }

  /** Take the theme's colours. */
  recolor(): void {
    this.shade.color.set(themeColor("shadow"));
    this.sole.color.set(themeColor("accent"));
    this.clip.people.forEach((person, index) => {
      this.paths[index].material.color.set(inkColor(person.color));
    });
  }

  /** Put everybody where they are at a frame. Makes no objects: it runs on every one. */
  show(frame: number, visible: boolean[], layers: Layers): void {
    this.blobs.visible = layers.spread;
    this.soles.visible = layers.feet;
    this.clip.people.forEach((person, index) => {
      const there = visible[index] && Number.isFinite(person.joints[(frame - person.first) * this.width]);
      this.place(person, index, frame, there, layers);
      this.names[index].visible = there && layers.names;
      this.paths[index].visible = visible[index] && layers.paths;
      this.showPath(index, frame);
    });
    for (const mesh of [this.limbs, this.balls, this.blobs, this.soles]) {
      mesh.instanceMatrix.needsUpdate = true;
    }
  }

  private get width(): number {
    return this.clip.joints.length * 3;
  }

  private place(person: Person, index: number, frame: number, there: boolean, layers: Layers): void {
    const { bones, joints } = this.clip;
    const row = frame - person.first;
    const at = row * this.width;
    const p = person.joints;
    const limbs = this.limbs.instanceMatrix.array as Float32Array;
    bones.forEach(([start, end], i) => {
      const thick = there ? this.radii[i] : 0;
      stretch(limbs, index * bones.length + i, p, at + 3 * start, at + 3 * end, thick);
    });
    const balls = this.balls.instanceMatrix.array as Float32Array;
    const blobs = this.blobs.instanceMatrix.array as Float32Array;
    for (let joint = 0; joint < joints.length; joint++) {
      const [x, y, z] = [p[at + 3 * joint], p[at + 3 * joint + 1], p[at + 3 * joint + 2]];
      const slot = index * joints.length + joint;
      const radius = there ? limbRadius(joints[joint]) * RADIUS.joint : 0;
      scaled(balls, slot, x, y, z, radius);
      const spread = there && layers.spread ? person.spread[row * joints.length + joint] : 0;
      scaled(blobs, slot, x, y, z, Math.max(spread, 0) || 0);
    }
    this.placeHead(p, at, index, there);
    const soles = this.soles.instanceMatrix.array as Float32Array;
    this.ankles.forEach((ankle, side) => {
      const down = there && person.contacts[2 * row + side] >= ON_GROUND;
      const [x, z] = [p[at + 3 * ankle], p[at + 3 * ankle + 2]];
      scaled(soles, 2 * index + side, x, SOLE_HEIGHT, z, down ? SOLE_RADIUS : 0);
    });
  }

  private placeHead(p: Float32Array, at: number, index: number, there: boolean): void {
    const [a, b] = [at + 3 * this.head[0], at + 3 * this.head[1]];
    const balls = this.balls.instanceMatrix.array as Float32Array;
    const size = there ? HEAD_RADIUS : 0;
    const slot = index * this.clip.joints.length + this.head[1];
    scaled(balls, slot, (p[a] + p[b]) / 2, (p[a + 1] + p[b + 1]) / 2, (p[a + 2] + p[b + 2]) / 2, size);
    if (there) this.names[index].position.set(p[b], p[b + 1] + 0.22, p[b + 2]);
  }

  private showPath(index: number, frame: number): void {
    const { times } = this.clip;
    const { runs, first } = this.clip.people[index];
    const last = Math.min(frame, (runs.at(-1)?.[1] ?? 0) - 1);
    let start = last;
    while (start > first && times[frame] - times[start] < PATH_SECONDS) start--;
    this.paths[index].geometry.setDrawRange(2 * Math.max(start - first, 0), 2 * (last - start));
  }
}

/** Segments from each frame's place on the floor to the next one's; a point where there is none. */
function pathOf(person: Person, clip: Clip): BufferGeometry {
  const width = clip.joints.length * 3;
  const frames = person.joints.length / width;
  const places = new Float32Array(Math.max(frames - 1, 1) * 6);
  for (let frame = 0; frame + 1 < frames; frame++) {
    const [a, b] = [frame * width, (frame + 1) * width];
    if (!Number.isFinite(person.joints[a] + person.joints[b])) continue;
    const [x1, z1, x2, z2] = [a, a + 2, b, b + 2].map((at) => person.joints[at]);
    places.set([x1, PATH_HEIGHT, z1, x2, PATH_HEIGHT, z2], frame * 6);
  }
  return new BufferGeometry().setAttribute("position", new BufferAttribute(places, 3));
}

/** Write the matrix of a ball; radius 0 hides it. */
function scaled(
  to: Float32Array, slot: number, x: number, y: number, z: number, radius: number,
): void {
  const m = slot * 16;
  to.fill(0, m, m + 15);
  if (radius > 0) {
    to[m] = to[m + 5] = to[m + 10] = radius;
    to[m + 12] = x;
    to[m + 13] = y;
    to[m + 14] = z;
  }
  to[m + 15] = 1;
}

/** Write the matrix of a cylinder of height 1 about y that it takes to join two points. */
function stretch(
  to: Float32Array, slot: number, p: Float32Array, a: number, b: number, radius: number,
): void {
  const m = slot * 16;
  to.fill(0, m, m + 15);
  to[m + 15] = 1;
  const [dx, dy, dz] = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
  const length = Math.hypot(dx, dy, dz);
  if (!(radius > 0 && length > 0)) return;
  // Any axes across the limb will do: a horizontal one, or x where the limb itself is upright.
  const flat = Math.hypot(dx, dz);
  const [ux, uz] = flat > 1e-6 ? [dz / flat, -dx / flat] : [1, 0];
  const [wx, wy, wz] = [(-uz * dy) / length, (uz * dx - ux * dz) / length, (ux * dy) / length];
  to[m] = ux * radius;
  to[m + 2] = uz * radius;
  to[m + 4] = dx;
  to[m + 5] = dy;
  to[m + 6] = dz;
  to[m + 8] = wx * radius;
  to[m + 9] = wy * radius;
  to[m + 10] = wz * radius;
  to[m + 12] = (p[a] + p[b]) / 2;
  to[m + 13] = (p[a + 1] + p[b + 1]) / 2;
  to[m + 14] = (p[a + 2] + p[b + 2]) / 2;
}

/** Words that face the viewer, of the same size however far they are. */
function nameTag(words: string): Sprite {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d")!;
  const font = "600 44px system-ui, sans-serif";
  context.font = font;
  canvas.width = Math.ceil(context.measureText(words).width) + 48;
  canvas.height = 72;
  context.font = font;
  context.fillStyle = "rgba(12, 14, 18, 0.78)";
  context.roundRect(0, 0, canvas.width, canvas.height, 36);
  context.fill();
  context.fillStyle = "#ffffff";
  context.textBaseline = "middle";
  context.fillText(words, 24, canvas.height / 2 + 2);
  const map = new CanvasTexture(canvas);
  map.colorSpace = "srgb";
  const sprite = new Sprite(
    new SpriteMaterial({ map, depthTest: false, sizeAttenuation: false, transparent: true }),
  );
  sprite.scale.set((NAME_SIZE * canvas.width) / canvas.height, NAME_SIZE, 1);
  sprite.renderOrder = 2;
  return sprite;
}
