// xterm.js writes <style> elements and style attributes, which the page's Content-Security-Policy forbids: text that
// becomes style is how injected markup reads a page. What it makes goes through the object model here instead, which
// the policy leaves to scripts.

/** Runs `work` while elements are made by `make`: the terminal's scroll bar asks the page's own document for its. */
export function makingElements(work) {
  document.createElement = make;
  try {
    return work();
  } finally {
    delete document.createElement; // the prototype's shows again
  }
}

/** The page's document, except for how elements are made: for what xterm.js makes after it was opened. */
export function strictDocument() {
  return new Proxy(document, {
    get(target, name) {
      if (name === "createElement") return make;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

function make(tag, options) {
  const element = Document.prototype.createElement.call(document, tag === "style" ? "span" : tag, options);
  if (tag === "style") return styles(element);
  element.setAttribute = (name, value) => {
    if (name === "style") element.style.cssText = value;
    else Element.prototype.setAttribute.call(element, name, value);
  };
  return element;
}

/** Stands for a <style> element: its text is a style sheet of the page until it is removed. */
function styles(element) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  element.hidden = true;
  Object.defineProperty(element, "textContent", { set: (text) => sheet.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
}
