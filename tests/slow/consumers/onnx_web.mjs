// node onnx_web.mjs MODULES FOLDER SHAPE: run FOLDER/model.onnx on FOLDER/input.bin in a
// browser and write FOLDER/output.bin.  All files are served from this process.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder, shape] = process.argv.slice(2);
const resolve = createRequire(`${modules}/`).resolve;
const load = async (name) => (await import(pathToFileURL(resolve(name)))).default;
const chromium = await load("@sparticuz/chromium");
const puppeteer = await load("puppeteer-core");
const dist = path.join(modules, "node_modules", "onnxruntime-web", "dist");

const page_source = `<!doctype html><script type="module">
import * as ort from "/ort.wasm.min.mjs";
ort.env.wasm.wasmPaths = "/";
ort.env.wasm.numThreads = 1;
window.compute = async (dims) => {
  const values = new Float32Array(await (await fetch("/input.bin")).arrayBuffer());
  const options = { executionProviders: ["wasm"] };
  const session = await ort.InferenceSession.create("/model.onnx", options);
  const tensor = new ort.Tensor("float32", values, dims);
  const results = await session.run({ [session.inputNames[0]]: tensor });
  const output = results[session.outputNames[0]];
  await fetch("/output.bin", { method: "POST", body: output.data });
  return output.dims;
};
window.ready = true;
</script>`;

const types = { ".mjs": "text/javascript", ".wasm": "application/wasm" };
const server = http.createServer((request, response) => {
  const name = path.basename(new URL(request.url, "http://localhost").pathname);
  if (request.method === "POST") {
    request
      .pipe(fs.createWriteStream(path.join(folder, "output.bin")))
      .on("finish", () => response.end());
    return;
  }
  if (name === "") {
    response.setHeader("content-type", "text/html");
    response.end(page_source);
    return;
  }
  const root = name.startsWith("ort") ? dist : folder;
  const file = path.join(root, name);
  if (!fs.existsSync(file)) {
    response.statusCode = 404;
    response.end();
    return;
  }
  response.setHeader("content-type", types[path.extname(name)] ?? "text/plain");
  fs.createReadStream(file).pipe(response);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));

const options = { args: chromium.args, headless: "shell" };
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM || (await chromium.executablePath()),
  args: await puppeteer.defaultArgs(options),
  headless: "shell",
  protocolTimeout: 600_000,
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  page.on("console", (message) => console.error(message.text()));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction("window.ready", { timeout: 60_000 });
  const dims = await page.evaluate((d) => window.compute(d), shape.split(",").map(Number));
  console.log(await browser.version(), dims.join(","));
} finally {
  await browser.close();
  server.close();
}
