// Bundles src/ into ../vid3d/render/page/viewer.{js,css,html}: `npm ci && npm run build`.
import { createHash } from "node:crypto";
import { copyFile, readFile, readdir } from "node:fs/promises";
import { build } from "esbuild";

const OUT = "../vid3d/render/page/viewer";

/** SHA-256 over name and text of every source, by which a test tells a stale bundle. */
async function sourceHash() {
  const digest = createHash("sha256");
  const sources = (await readdir("src")).sort().map((name) => `src/${name}`);
  for (const name of ["package-lock.json", ...sources]) {
    digest.update(`${name}\n${(await readFile(name, "utf8")).replaceAll("\r\n", "\n")}\n`);
  }
  return digest.digest("hex");
}

/** A library's licence, which must go with every copy of it. */
async function licence(name) {
  const { version } = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
  const text = await readFile(`node_modules/${name}/LICENSE`, "utf8");
  return `${name} ${version}\n${text.trim()}\n`;
}

const notices = [await licence("three"), await licence("uplot")].join("\n");
await build({
  entryPoints: { viewer: "src/main.ts" },
  outfile: `${OUT}.js`,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome103", "firefox113", "safari16.4"],
  charset: "ascii",
  legalComments: "none",
  banner: { js: `/*!\nsource sha256 ${await sourceHash()}\n\n${notices}*/` },
});
await build({ entryPoints: ["src/page.css"], outfile: `${OUT}.css`, bundle: true, minify: true });
await copyFile("src/page.html", `${OUT}.html`);
