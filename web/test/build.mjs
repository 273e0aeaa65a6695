// Bundles the browser tests, so that node's own runner can run them.
import { build } from "esbuild";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
rmSync(here("../build"), { recursive: true, force: true });
await build({
  entryPoints: ["page", "disk", "journey", "words"].map((name) => here(`${name}.test.ts`)),
  outdir: here("../build"),
  bundle: true,
  packages: "external",
  external: ["../browser.mjs"],
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  logLevel: "warning",
});
