// Works on top of a page that needs no script: checks shapes at once, shows progress, and tells
// the window that opened the page, or frames it, when the account is connected.
const main = document.querySelector("main");
const form = document.querySelector("form");
const tidied = (text) => text.replace(/^[\s\p{Cf}]+|[\s\p{Cf}]+$/gu, "").replace(/\p{Cf}/gu, "");

function fits(input) {
  const value = tidied(input.value);
  // the server finds the account in a link to its profile
  if (!input.dataset.pattern || value.includes("/")) return true;
  const pattern = new RegExp(input.dataset.pattern);
  return pattern.test(value) || pattern.test(value.replace(/^@/, ""));
}

function show(input, error) {
  document.getElementById(`${input.id}-error`).textContent = error;
  if (error) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function check(input) {
  const value = tidied(input.value);
  if (value !== input.value) input.value = value;
  const error = !value ? input.dataset.missing : fits(input) ? "" : input.dataset.fault;
  show(input, error);
  return !error;
}

// A hint while the person goes on: it stops nobody.
async function lookUp(form, input) {
  const asked = input.value;
  const body = new URLSearchParams({ platform: form.elements.platform.value, handle: asked });
  try {
    const answer = await fetch(`${location.pathname}/handle`, { method: "POST", body });
    const { found } = await answer.json();
    if (found === false && input.value === asked) show(input, input.dataset.unknown);
  } catch {
    // unknown: the form itself says what is wrong
  }
}

if (form) {
  const inputs = [...form.querySelectorAll("input[data-pattern]")];
  const button = form.querySelector("[type=submit]");
  const status = document.getElementById("status");
  let sent = false;
  for (const input of inputs) {
    input.addEventListener("input", (event) => {
      if (event.inputType === "insertFromPaste" || event.inputType === "insertFromDrop") {
        input.value = tidied(input.value);
      }
      // an error goes as soon as it is corrected, and comes when the field is left
      if (fits(input) && tidied(input.value)) show(input, "");
    });
    input.addEventListener("change", () => {
      if (tidied(input.value) && check(input) && input.dataset.unknown) lookUp(form, input);
    });
  }
  for (const toggle of form.querySelectorAll(".show")) {
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      const input = document.getElementById(toggle.getAttribute("aria-controls"));
      const isShown = input.type === "password";
      input.type = isShown ? "text" : "password";
      toggle.setAttribute("aria-pressed", String(isShown));
    });
  }
  form.addEventListener("submit", (event) => {
    if (sent) return event.preventDefault();
    const wrong = inputs.filter((input) => !check(input));
    if (wrong.length) {
      event.preventDefault();
      return wrong[0].focus();
    }
    sent = true;
    for (const toggle of form.querySelectorAll(".show[aria-pressed=true]")) toggle.click();
    button.setAttribute("aria-disabled", "true");
    status.textContent = form.dataset.busy;
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    sent = false;
    button.removeAttribute("aria-disabled");
    status.textContent = "";
    for (const input of inputs) if (input.autocomplete === "current-password") input.value = "";
  });
}

if (main.dataset.message) {
  const target = window.opener ?? (window.parent === window ? null : window.parent);
  for (const origin of target ? main.dataset.origins.split(" ").filter(Boolean) : []) {
    target.postMessage(JSON.parse(main.dataset.message), origin);
  }
}
