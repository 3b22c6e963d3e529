// The bindings import classes by name from packages of xterm.js ("xterm", "xterm-addon-fit", …); the bundler resolves
// all of these to this file. Its exports are live: they hold the classes once load() has resolved.
export let Terminal, FitAddon, SearchAddon, Unicode11Addon, WebLinksAddon;

let loading, loaded;

export function load() {
  loading ??= import("./xterm.js").then(
    (module) => {
      loaded = module;
      ({ Terminal, FitAddon, SearchAddon, Unicode11Addon, WebLinksAddon } = module);
    },
    (error) => {
      loading = undefined; // so that the next attempt fetches again
      throw error;
    },
  );
  return loading;
}

// Handed to Wasm as it is when the page starts, so it has to be there by then.
export function drawWithWebgl(terminal) {
  return loaded.drawWithWebgl(terminal);
}
