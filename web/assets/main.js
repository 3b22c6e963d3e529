// The page's only entry: fetches the Wasm module and starts it. No script stands in the HTML itself, so that the
// Content-Security-Policy can forbid inline scripts.
import init from "drydock-glue";
import wasm from "drydock-wasm";

init({ module_or_path: new URL(wasm, import.meta.url) }).catch((error) => {
  console.error(error);
  const note = document.createElement("p");
  note.className = "boot-failure";
  note.setAttribute("role", "alert");
  note.textContent =
    "This page could not start. It needs a browser with WebAssembly from 2024 or later: Firefox, Chrome, Edge or Safari.";
  document.body.replaceChildren(note);
});
