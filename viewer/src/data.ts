/** What `vid3d view` wrote into the page (vid3d/render/page/data.py), unpacked. */

/** Numbers as vid3d/render/page/codec.py packs them. */
interface Block {
  rows: number;
  columns: number;
  unit: number;
  order: number;
  data: string;
}

interface PackedPerson {
  id: number;
  color: string;
  runs: [number, number][];
  joints: Block;
  spread: Block;
  contacts: Block;
  curves: Block;
}

export interface FilmCamera {
  /** Rows: the world's axes in the camera's frame (x right, y down, z forward). */
  rotation: number[][];
  position: number[];
  intrinsics: number[][];
  dist: number[];
  /** Squared slope from which on the lens shows nothing; null for none. */
  fold: number | null;
  size: [number, number];
}

/** The camera as it stood at the first look; `turns`, `places` and `zooms` where not so later. */
interface MovingCamera extends FilmCamera {
  /** Nine numbers a frame, row by row: the matrix from that frame of reference to its own. */
  turns?: Float32Array;
  /** Three numbers a frame: where it was. */
  places?: Float32Array;
  /** One number a frame: focal length over that of `intrinsics`. */
  zooms?: Float32Array;
}

interface Shared {
  title: string;
  facts: [string, string][];
  keyframes: number[];
  /** First frames after cuts of the film. */
  cuts: number[];
  bones: [number, number][];
  joints: string[];
  room: { low: [number, number]; high: [number, number] };
  /** Speeds in m/s and angles in degrees; `text` defines an angle. */
  curves: { name: string; step: number; text: string }[];
  video?: { url: string; type: string; offset: number };
}

interface Packed extends Shared {
  camera: FilmCamera & { turns?: Block; places?: Block; zooms?: Block };
  /** Seconds at which the first frame is shown, and of each since then. */
  start: number;
  times: Block;
  people: PackedPerson[];
}

/**
 * Numbers of the frames from `first` to the last that a person is in sight at, frame by frame; NaN
 * where they are absent or nothing is known. Before and after lies nothing: people stay for seconds
 * of clips that last hours.
 */
export interface Person {
  name: string;
  color: string;
  /** First and past-the-last frame of each stretch in sight. */
  runs: [number, number][];
  first: number;
  /** Metres, x, y, z of each joint. */
  joints: Float32Array;
  /** Metres, one a joint. */
  spread: Float32Array;
  /** 0..1, left and right foot. */
  contacts: Float32Array;
  /** Steps, one a curve, in the order of `Clip.curves`. */
  curves: Float32Array;
}

export interface Clip extends Shared {
  camera: MovingCamera;
  times: Float64Array;
  people: Person[];
}

/** Bytes of the base64 text of an element. */
export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export async function readClip(): Promise<Clip> {
  const packed: Packed = JSON.parse(document.getElementById("data")!.textContent!);
  const times = Float64Array.from(await unpack(packed.times), (time) => packed.start + time);
  const people: Person[] = [];
  for (const person of packed.people) {
    people.push(await readPerson(person));
    await new Promise((resolve) => setTimeout(resolve)); // keep the page answering meanwhile
  }
  const turns = packed.camera.turns && (await unpack(packed.camera.turns));
  const places = packed.camera.places && (await unpack(packed.camera.places));
  const zooms = packed.camera.zooms && (await unpack(packed.camera.zooms));
  return { ...packed, camera: { ...packed.camera, turns, places, zooms }, times, people };
}

async function readPerson(packed: PackedPerson): Promise<Person> {
  const first = packed.runs[0]?.[0] ?? 0;
  const frames = (packed.runs.at(-1)?.[1] ?? 0) - first;
  const places = await unpack(packed.joints);
  const width = packed.joints.columns;
  for (let i = 0; i < places.length; i++) {
    if (i % width > 2) places[i] += places[i - (i % width) + (i % 3)]; // relative to the pelvis
  }
  /** Rows of the frames in sight at their places among those from the first to the last. */
  const placed = (rows: Float32Array, columns: number) => {
    const all = new Float32Array(frames * columns).fill(NaN);
    let from = 0;
    for (const [start, end] of packed.runs) {
      const count = (end - start) * columns;
      all.set(rows.subarray(from, from + count), (start - first) * columns);
      from += count;
    }
    return all;
  };
  return {
    name: `Person ${packed.id}`,
    color: packed.color,
    runs: packed.runs,
    first,
    joints: placed(places, width),
    spread: placed(await unpack(packed.spread), packed.spread.columns),
    contacts: placed(await unpack(packed.contacts), packed.contacts.columns),
    curves: placed(await unpack(packed.curves), packed.curves.columns),
  };
}

/** The values of a block, row by row. */
async function unpack({ rows, columns, unit, order, data }: Block): Promise<Float32Array> {
  const stream = new Blob([bytesOf(data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = rows * columns;
  const values = new Float32Array(count);
  for (let column = 0, i = 0; column < columns; column++) {
    let step = 0;
    let value = 0;
    for (let row = 0; row < rows; row++, i++) {
      const zigzag =
        bytes[i] | (bytes[i + count] << 8) | (bytes[i + 2 * count] << 16) | (bytes[i + 3 * count] << 24);
      const change = (zigzag >>> 1) ^ -(zigzag & 1);
      step = order === 2 ? (step + change) | 0 : change;
      value = (value + step) | 0;
      values[row * columns + column] = value === UNKNOWN ? NaN : value * unit;
    }
  }
  return values;
}

const UNKNOWN = -(2 ** 31);

/** The last frame that has begun at a time in seconds. */
export function frameAt(times: Float64Array, seconds: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= seconds + HALF_A_MILLISECOND) low = middle;
    else high = middle - 1;
  }
  return low;
}

const HALF_A_MILLISECOND = 5e-4;

/** Whether the camera did not stay as it was at the first look. */
export function moves({ turns, places, zooms }: MovingCamera): boolean {
  return Boolean(turns || places || zooms);
}

/** The camera as it stood at a frame. */
export function cameraAt(camera: MovingCamera, frame: number): FilmCamera {
  const { turns, places, zooms } = camera;
  let { position, rotation, intrinsics } = camera;
  if (places) position = Array.from(places.subarray(3 * frame, 3 * frame + 3));
  if (turns) {
    const turned = (axis: number[], row: number) =>
      axis.reduce((sum, value, column) => sum + value * turns[9 * frame + 3 * row + column], 0);
    rotation = rotation.map((axis) => [0, 1, 2].map((row) => turned(axis, row)));
  }
  if (zooms) {
    const zoom = zooms[frame];
    intrinsics = intrinsics.map(([x, y, middle]) => [zoom * x, zoom * y, middle]);
  }
  return { ...camera, position, rotation, intrinsics };
}

export function inSight(person: Person, frame: number): boolean {
  return person.runs.some(([start, end]) => frame >= start && frame < end);
}

/** Minutes and seconds, as 1:02.50; hours in front where there are any. */
export function clock(seconds: number, digits = 2): string {
  const unit = 10 ** digits;
  const steps = Math.round(seconds * unit); // first: no second rounds up to 60
  const minutes = Math.floor(steps / unit / 60);
  const rest = ((steps - 60 * unit * minutes) / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const hours = Math.floor(minutes / 60);
  if (!hours) return `${minutes}:${rest}`;
  return `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}
