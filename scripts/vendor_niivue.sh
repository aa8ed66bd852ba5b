#!/bin/sh
# Fetches the viewer's one foreign file, the built NiiVue, with the licences of what is built into it.
# Run by `make vendor`; needs npm and node. A newer version: change the two lines below, and run the browser tests.
set -eu

VERSION=0.69.0
SHA256=47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af # of dist/niivue.umd.js

home=$(cd "$(dirname "$0")/.." && pwd)/src/twintrack/report/viewer/static/niivue
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm pack --silent "@niivue/niivue@$VERSION" >/dev/null
tar -xzf "niivue-niivue-$VERSION.tgz"
echo "$SHA256  package/dist/niivue.umd.js" | sha256sum --check --quiet

# What is built in, by the package's own list of dependencies; their code is in the built file already.
npm install --silent --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund --prefix parts ./niivue-niivue-"$VERSION".tgz
node -e '
const fs = require("fs"), path = require("path");
const root = "parts/node_modules", names = fs.readdirSync(root).filter((n) => n[0] !== ".");
const all = names.flatMap((n) => (n[0] === "@" ? fs.readdirSync(path.join(root, n)).map((m) => n + "/" + m) : [n]));
for (const name of all.filter((n) => n !== "@niivue/niivue").sort()) {
  const folder = path.join(root, name), about = JSON.parse(fs.readFileSync(path.join(folder, "package.json")));
  const file = fs.readdirSync(folder).find((n) => /^licen[cs]e/i.test(n));
  const text = file ? fs.readFileSync(path.join(folder, file), "utf8").trim() : "(the package holds no licence text)";
  console.log(`${about.name} ${about.version}, ${about.license}\n\n${text}\n\n${"-".repeat(80)}\n`);
}' >parts.txt

cp package/dist/niivue.umd.js "$home/niivue.js"
cp parts.txt "$home/LICENSES-OF-PARTS.txt"
echo "NiiVue $VERSION is in $home"
