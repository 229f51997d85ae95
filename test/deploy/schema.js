// Reads a JSON list of objects and prints one line for each place where one breaks the schema of its kind, of
// Kubernetes or of the Prometheus operator. Fields that the schema does not know count, too: the generated
// validators leave them alone, so what they look at is recorded and the rest is reported.
const fs = require("fs");
const path = require("path");

const modules = path.resolve(process.argv[2], "node_modules");
const packages = ["kubernetes-models", "@kubernetes-models/prometheus-operator"];

function model({ apiVersion, kind }) {
  for (const name of packages) {
    const file = path.join(modules, name, apiVersion, `${kind}.js`);
    if (fs.existsSync(file)) return require(file)[kind];
  }
  return null;
}

// `object` with every part of it watched: `unseen()` lists the paths of what nobody has read.
function watched(object, where = "") {
  const children = new Map();
  const read = new Set();
  const proxy = new Proxy(object, {
    get(target, key) {
      const value = target[key];
      if (typeof key === "symbol" || !Object.hasOwn(target, key)) return value;
      read.add(key);
      if (value === null || typeof value !== "object") return value;
      if (!children.has(key)) children.set(key, watched(value, `${where}/${key}`));
      return children.get(key).proxy;
    },
  });
  const unseen = () => Object.keys(object).flatMap((key) => {
    if (!read.has(key)) return [`${where}/${key}`];
    return children.has(key) ? children.get(key).unseen() : [];
  });
  return { proxy, unseen };
}

let failed = false;
for (const object of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const name = `${object.kind} ${object.metadata?.name}`;
  const complain = (what) => {
    failed = true;
    console.log(`${name}: ${what}`);
  };
  const Model = model(object);
  if (!Model) {
    complain(`there is no ${object.apiVersion} ${object.kind}`);
    continue;
  }
  const { proxy, unseen } = watched(object);
  try {
    Model.prototype.validate.call(proxy);
  } catch (error) {
    complain(error.message);
  }
  for (const place of unseen()) complain(`${place} is not in the schema`);
}
process.exit(failed ? 1 : 0);
