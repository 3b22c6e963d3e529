// Everything of xterm.js that a terminal uses: one chunk, loaded with the first terminal (lazy.js).
import { Terminal as Xterm } from "@xterm/xterm";
export { FitAddon } from "@xterm/addon-fit";
export { SearchAddon } from "@xterm/addon-search";
export { Unicode11Addon } from "@xterm/addon-unicode11";
export { WebLinksAddon } from "@xterm/addon-web-links";
import { WebglAddon } from "@xterm/addon-webgl";
import { makingElements, strictDocument } from "./styles.js";

export class Terminal extends Xterm {
  constructor(options) {
    super({ ...options, documentOverride: strictDocument() });
  }

  open(parent) {
    makingElements(() => super.open(parent));
  }
}

// Both constructing and activating it throw where WebGL 2 is missing, and a context may be lost at any time: the
// terminal then goes on with its DOM renderer. Returns whether WebGL draws.
export function drawWithWebgl(terminal) {
  try {
    const addon = new WebglAddon();
    addon.onContextLoss(() => addon.dispose());
    terminal.loadAddon(addon);
    return true;
  } catch {
    return false;
  }
}
