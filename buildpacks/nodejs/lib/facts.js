// Facts about an app, for the shell: node facts.js QUESTION [ARGUMENT...]. The current
// directory is the app's. Prints the answer; an unreadable package.json ends it with 1.
const fs = require("fs");
const path = require("path");

function manifest() {
  try {
    return JSON.parse(fs.readFileSync("package.json", "utf8"));
  } catch (error) {
    console.error(`       package.json: ${error.message}`);
    process.exit(1);
  }
}

// npm carries the one true reader of version ranges.
function semver(npm) {
  return require(path.join(npm, "node_modules/semver"));
}

const questions = {
  // The range of engines.node, or nothing.
  engine: () => (manifest().engines || {}).node || "",
  // `yes` when something must be installed.
  dependencies: () => {
    const { dependencies = {}, optionalDependencies = {} } = manifest();
    return Object.keys({ ...dependencies, ...optionalDependencies }).length ? "yes" : "";
  },
  // The text of scripts.start, or nothing.
  start: () => (manifest().scripts || {}).start || "",
  // NPM RANGE VERSION...: the newest version within the range, or nothing.
  best: (npm, range, ...versions) => semver(npm).maxSatisfying(versions, range) || "",
  // NPM RANGE: `yes` when it can be read at all.
  readable: (npm, range) => (semver(npm).validRange(range) === null ? "" : "yes"),
};

const [question, ...rest] = process.argv.slice(2);
console.log(questions[question](...rest));
