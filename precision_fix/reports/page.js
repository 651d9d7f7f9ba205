"use strict";
(() => {
  const form = document.getElementById("filter");
  const items = [...document.querySelectorAll("[data-action]")];
  const groups = [...document.querySelectorAll("main details, main section[data-places]")];

  const filter = () => {
    const { action, rule, file } = Object.fromEntries(new FormData(form));
    const part = file.trim().toLowerCase();
    let shown = 0;
    for (const each of items) {
      const { action: does, rules, file: path } = each.dataset;
      each.hidden = (action && action !== does) || (rule && !rules.split(" ").includes(rule))
        || (part && !path.toLowerCase().includes(part));
      shown += !each.hidden;
    }
    for (const each of groups) {
      if (each.querySelector("[data-action]")) each.hidden = !each.querySelector("[data-action]:not([hidden])");
    }
    const filtered = action || rule || part;
    form.querySelector("output").textContent = filtered ? `${shown} of ${items.length} entries` : "";
    if (filtered && shown <= 30) {
      for (const each of groups) if (each.tagName === "DETAILS" && !each.hidden && each.querySelector("[data-action]")) each.open = true;
    }
  };

  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.closest("[hidden]")) { form.reset(); filter(); }
    for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
    if (target.tagName === "SECTION" && !target.querySelector("details[open]")) {
      const first = target.querySelector("details:not([hidden])");
      if (first) first.open = true;
    }
    target.scrollIntoView();
  };

  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter));
    form.hidden = false;
  }
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) reveal();
  });
  reveal();
})();
