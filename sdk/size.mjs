// Fails when the verifier, bundled and minified, is more than 15 kB gzipped.
import { build } from "esbuild";
import { gzipSync } from "node:zlib";

const GZIPPED_BYTES_MAX = 15_000;

const { outputFiles } = await build({
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const minified = outputFiles[0].contents;
const gzipped = gzipSync(minified, { level: 9 }).length;
console.log(`sdk: ${minified.length} bytes minified, ${gzipped} bytes gzipped, at most ${GZIPPED_BYTES_MAX}`);
process.exitCode = gzipped > GZIPPED_BYTES_MAX ? 1 : 0;
