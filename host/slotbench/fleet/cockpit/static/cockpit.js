// What moves in the cockpit: parts of a page are renewed when the fleet changes, and the keyboard works.
// Without this script every page works as well.
"use strict";

const main = document.getElementById("main");

function renewed(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const part of main.querySelectorAll("[data-live]")) {
    const other = page.getElementById(part.id);
    const isUsed = part.contains(document.activeElement) || part.querySelector("details[open]");
    if (other && !isUsed && other.innerHTML !== part.innerHTML) {
      part.replaceChildren(...other.childNodes);
      part.classList.remove("fresh");
      void part.offsetWidth;
      part.classList.add("fresh");
    }
  }
}

let stamp = "";
let isLoading = false;

async function follow(event) {
  const before = stamp;
  stamp = event.data;
  if (!before || before === stamp || isLoading || document.hidden) {
    return;
  }
  isLoading = true;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
    if (response.ok) {
      renewed(await response.text());
    }
  } catch (error) {
    stamp = before; // the next event tries it again
  } finally {
    isLoading = false;
  }
}

if (main && main.querySelector("[data-live]")) {
  const source = new EventSource("/live");
  source.addEventListener("message", follow);
  addEventListener("pagehide", () => source.close());
}

const PLACES = { o: "/", b: "/boards", r: "/rollouts", e: "/releases", a: "/audit" };
let isGoing = false;

function moved(step) {
  const rows = [...main.querySelectorAll("tr.row a.title, .plain a.title")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step];
  if (next) {
    next.focus();
  }
}

addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea")) {
    if (event.key === "Escape") {
      target.blur();
    }
    return;
  }
  if (isGoing && PLACES[event.key] && document.querySelector(".top nav")) {
    location.href = PLACES[event.key];
  } else if (event.key === "/") {
    const field = document.querySelector("input[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (document.querySelector(".top nav")) {
      location.href = "/boards#search";
    }
  } else if (event.key === "j" || event.key === "k") {
    moved(event.key === "j" ? 1 : -1);
  } else if (event.key === "?") {
    const help = document.querySelector("footer details");
    if (help) {
      help.open = !help.open;
      help.scrollIntoView({ block: "nearest" });
    }
  }
  isGoing = event.key === "g";
});
