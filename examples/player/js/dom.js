// The few things that the page does with its document again and again.

const toasts = document.getElementById("toasts");
const announced = document.getElementById("announced");

/** Copy a <template>; gives its element and, by their data-part, the parts in it. */
export function fromTemplate(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const part of root.querySelectorAll("[data-part]")) parts[part.dataset.part] = part;
  return { root, parts };
}

/** Read something out that those who see the page see anyway. */
export function announce(message) {
  announced.textContent = message;
}

/** Tell something that just happened; it is read out, shown for a while, and in nobody's way. */
export function say(message, { trouble = false } = {}) {
  const { root, parts } = fromTemplate("toast-template");
  parts.message.textContent = message;
  root.classList.toggle("trouble", trouble);
  parts.close.addEventListener("click", () => root.remove());
  toasts.append(root);
  while (toasts.children.length > 3) toasts.firstElementChild.remove();
  if (!trouble) setTimeout(() => root.remove(), 6000); // what went wrong stays until it was seen
}

/** Ask before something that can't be undone; promises true or false. */
export function confirmed(question, act) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = question;
  dialog.querySelector("[value=yes]").textContent = act;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Put children in an order, moving only those that stand elsewhere, so that what has the focus mostly keeps it. */
export function order(parent, children) {
  const focused = document.activeElement;
  for (const gone of [...parent.children].filter((child) => !children.includes(child))) gone.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  if (focused !== document.activeElement && document.contains(focused)) focused.focus();
}

/** Set an input's value, unless somebody is typing in it. */
export function fill(input, value) {
  if (document.activeElement !== input && input.value !== value) input.value = value;
}

/** Show one of the icons of index.html in a button, with what it does as its name. */
export function label(button, icon, name) {
  button.querySelector("use").setAttribute("href", `#icon-${icon}`);
  button.setAttribute("aria-label", name);
  button.title = name;
}
