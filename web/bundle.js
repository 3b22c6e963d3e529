// Bundles wasm-bindgen's glue, xterm.js and the styles into OUT/index.html and OUT/assets/NAME.HASH.EXT, each with a
// .br and a .gz beside it. Usage: node bundle.js GLUE_FOLDER OUT
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [glue, out] = process.argv.slice(2).map((path) => resolve(path));
const here = import.meta.dirname;
const assets = join(out, "assets");
const lazy = join(here, "terminal/js/lazy.js");
const HASH = "[name].[hash]";

const result = await build({
  absWorkingDir: here,
  entryPoints: { main: "assets/main.js", style: "frontend/src/style.css" },
  outdir: assets,
  bundle: true,
  splitting: true,
  minify: true,
  metafile: true,
  format: "esm",
  target: ["es2022"],
  supported: { "color-functions": true },
  legalComments: "none",
  // The glue names one module once for each function it takes from it.
  logOverride: { "duplicate-object-key": "silent" },
  entryNames: HASH,
  chunkNames: HASH,
  assetNames: HASH,
  loader: { ".wasm": "file" },
  alias: {
    "drydock-glue": join(glue, "drydock_frontend.js"),
    "drydock-wasm": join(glue, "drydock_frontend_bg.wasm"),
    // The module names that web/terminal imports from.
    "drydock-xterm": lazy,
    xterm: lazy,
    "xterm-addon-fit": lazy,
    "xterm-addon-search": lazy,
    "xterm-addon-unicode11": lazy,
    "xterm-addon-web-links": lazy,
  },
});

/** The one output whose name begins and ends so. */
function output(prefix, suffix) {
  const names = Object.keys(result.metafile.outputs).map((path) => basename(path));
  const found = names.filter((name) => name.startsWith(prefix) && name.endsWith(suffix));
  if (found.length !== 1) throw new Error(`wanted one ${prefix}…${suffix}, found ${found.join(" ") || "none"}`);
  return found[0];
}

const icon = readFileSync(join(here, "assets/icon.svg"));
const iconName = `icon.${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`;
mkdirSync(assets, { recursive: true });
writeFileSync(join(assets, iconName), icon);

const places = {
  icon: iconName,
  style: output("style.", ".css"),
  wasm: output("drydock_frontend_bg.", ".wasm"),
  script: output("main.", ".js"),
};
const page = readFileSync(join(here, "assets/index.html"), "utf8").replace(
  /\{\{(\w+)\}\}/g,
  (_, name) => `/assets/${places[name]}`,
);
writeFileSync(join(out, "index.html"), page);

/** Compresses a file as far as it goes; answers its sizes. */
function compress(path) {
  const bytes = readFileSync(path);
  const brotli = brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
  writeFileSync(`${path}.br`, brotli);
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  return { name: basename(path), raw: bytes.length, brotli: brotli.length };
}

const files = [join(out, "index.html"), ...readdirSync(assets).map((name) => join(assets, name))];
const sizes = files.map(compress);
const first = new Set(["index.html", ...Object.values(places)]);
const sum = (rows) => rows.reduce((total, row) => total + row.brotli, 0);
const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);
for (const row of sizes.sort((one, other) => other.brotli - one.brotli)) {
  console.log(`  ${kB(row.brotli)} brotli ${kB(row.raw)} raw  ${first.has(row.name) ? "first" : "later"}  ${row.name}`);
}
const firstPaint = sum(sizes.filter((row) => first.has(row.name)));
console.log(`  ${kB(firstPaint)} brotli for the first paint, ${kB(sum(sizes))} with the terminals`);
for (const [what, bytes, limit] of [
  ["the first paint", firstPaint, 150_000],
  ["the page with its terminals", sum(sizes), 300_000],
]) {
  if (bytes > limit) {
    console.error(`${what} is ${kB(bytes).trim()} of brotli, over its limit of ${kB(limit).trim()}: see the sizes above`);
    process.exitCode = 1;
  }
}
