// Builds the page into dist: one script, one style sheet, one document, no other host; and all of it as one file to keep.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
writeFileSync(here("dist/daftari-verify.html"), oneFile());

/** The document with script and style inside, which its policy allows by their digests and nothing else: a file has no 'self'. */
function oneFile() {
  const read = (path) => readFileSync(here(path), "utf8");
  const digest = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const [script, style] = [read("dist/verify.js"), read("dist/verify-style.css")];
  if (/<\/(script|style)|<!--/i.test(script + style)) throw new Error("the script or the style would end its element");
  return [
    ["script-src 'self'", `script-src ${digest(script)}`],
    ["style-src 'self'", `style-src ${digest(style)}`],
    [" img-src 'self';", ""],
    ['<link rel="icon" href="icon.svg" type="image/svg+xml">', ""],
    ['<link rel="stylesheet" href="verify-style.css">', `<style>${style}</style>`],
    ['<script type="module" src="verify.js"></script>', `<script type="module">${script}</script>`],
  ].reduce((document, [from, to]) => {
    if (document.split(from).length !== 2) throw new Error(`the document does not have this once: ${from}`);
    return document.replace(from, () => to);
  }, read("src/index.html"));
}
