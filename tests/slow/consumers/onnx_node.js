// node onnx_node.js MODULES MODEL INPUT SHAPE OUTPUT: run a model on raw float32 values
const fs = require("fs");
const { createRequire } = require("module");

const [modules, model, input, shape, output] = process.argv.slice(2);
const ort = createRequire(`${modules}/`)("onnxruntime-node");

async function main() {
  const bytes = fs.readFileSync(input);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const session = await ort.InferenceSession.create(model);
  const tensor = new ort.Tensor("float32", values, shape.split(",").map(Number));
  const results = await session.run({ [session.inputNames[0]]: tensor });
  const { data, dims } = results[session.outputNames[0]];
  fs.writeFileSync(output, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  console.log(dims.join(","));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
