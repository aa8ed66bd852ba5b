/* The page: asks the server for cases, shows one, and ties the settings to the planes. */
import { Panel } from "./panel.js";
import { imageOf, Planes } from "./planes.js";

const find = (id) => document.getElementById(id);
const status = find("status");
const failure = find("failure");

let planes;
let ready;
let panel;
let loading = 0;

/** Ask the server; an answer that is not the thing itself is an error with the server's words. */
async function ask(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

/** Another case was chosen meanwhile. */
class Overtaken extends Error {}

async function volumeOf(number, name, title, current) {
  status.textContent = `reading ${title}`;
  const answer = await ask(`cases/${number}/${name}`);
  const total = Number(answer.headers.get("Content-Length"));
  const bytes = new Uint8Array(total);
  let done = 0;
  for await (const part of parts(answer.body.getReader())) {
    if (!current()) throw new Overtaken();
    bytes.set(part, done);
    done += part.length;
    status.textContent = `loading ${title}: ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`;
  }
  if (done !== total) throw new Error(`the ${title} did not arrive whole`);
  const image = await imageOf(bytes.buffer);
  if (!current()) throw new Overtaken();
  return image;
}

async function* parts(reader) {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function fail(error) {
  failure.textContent = error.message;
  failure.hidden = false;
  status.textContent = "";
  document.body.dataset.state = "failed";
}

/** Load a case and show it; one that is chosen meanwhile comes instead. */
async function show(number) {
  const mine = ++loading;
  const current = () => mine === loading;
  document.body.dataset.state = "loading";
  failure.hidden = true;
  if (planes.base) planes.clear();
  panel.clear();
  try {
    const described = await (await ask(`cases/${number}`)).json();
    document.title = `${described.id} – TwinTrack`;
    const [[base, baseTitle], ...maps] = described.volumes;
    const image = await volumeOf(number, base, baseTitle, current);
    await ready;
    if (!current()) return;
    planes.setBase(image, described.known && !described.flat, panel.firstWindow(image));
    const missing = [];
    for (const [name, title] of maps) {
      // The response must be there; the case can be looked at without another map, which is said.
      await volumeOf(number, name, title, current)
        .then((map) => planes.addMap(name, map))
        .catch((error) => {
          if (name === "response" || error instanceof Overtaken) throw error;
          missing.push(name);
          described.notes.push(`No ${title}: ${error.message}`);
        });
    }
    described.volumes = described.volumes.filter(([name]) => !missing.includes(name));
    panel.show(described);
    status.textContent = described.has_ct ? "" : "The CT is not known (--images): maps are shown on black.";
    document.body.dataset.state = "ready";
  } catch (error) {
    if (current()) fail(error);
  }
}

async function start() {
  planes = new Planes(find("planes"), find("lines"), () => panel.follow());
  panel = new Panel(planes);
  // Without a graphics card this takes seconds, in which the first case is fetched.
  ready = planes.start().catch((error) => {
    throw new Error(`This browser cannot draw volumes: WebGL 2 is missing or switched off (${error.message}).`);
  });
  ready.catch(fail);
  const names = await (await ask("cases")).json();
  const choice = find("case");
  choice.append(...names.map((name, k) => new Option(name, String(k))));
  const step = (by) => {
    choice.selectedIndex = Math.min(names.length - 1, Math.max(0, choice.selectedIndex + by));
    choice.dispatchEvent(new Event("change"));
  };
  choice.addEventListener("change", () => {
    find("previous-case").disabled = choice.selectedIndex === 0;
    find("next-case").disabled = choice.selectedIndex === names.length - 1;
    show(Number(choice.value));
  });
  find("previous-case").addEventListener("click", () => step(-1));
  find("next-case").addEventListener("click", () => step(1));
  step(0);
}

start().catch(fail);
