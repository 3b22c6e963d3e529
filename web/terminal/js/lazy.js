// The bindings import classes by name from packages of xterm.js ("xterm", "xterm-addon-fit", …); the bundler resolves
// all of these to this file. Its exports are live: they hold the classes once load() has resolved.
export let Terminal, FitAddon, SearchAddon, Unicode11Addon, WebLinksAddon, drawWithWebgl;

let loading;

export function load() {
  loading ??= import("./xterm.js").then(
    (loaded) => {
      ({ Terminal, FitAddon, SearchAddon, Unicode11Addon, WebLinksAddon, drawWithWebgl } = loaded);
    },
    (error) => {
      loading = undefined; // so that the next attempt fetches again
      throw error;
    },
  );
  return loading;
}
