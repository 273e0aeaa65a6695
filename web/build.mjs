// Builds the page into dist: one script, one style sheet, one document, no other host.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here("dist"), { recursive: true });
await build({
  entryPoints: { verify: here("src/main.ts"), "verify-style": here("src/style.css") },
  outdir: here("dist"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) copyFileSync(here(`src/${name}`), here(`dist/${name}`));
