// Blocks of data: JSON, gzipped, in base64. Each is unpacked once, when it is first needed.

const unpacked = new Map();

function block(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(name));
  return unpacked.get(name);
}

async function unpack(name) {
  const bytes = fromBase64(document.getElementById(name).textContent);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(plain).text());
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let n = 0; n < binary.length; n++) bytes[n] = binary.charCodeAt(n);
  return bytes;
}

// Item `number` of the blocks `<prefix>-0`, `<prefix>-1` ... that hold `size` items each.
async function itemOf(prefix, number, size) {
  const items = await block(`${prefix}-${Math.floor(number / size)}`);
  return items[number % size];
}
