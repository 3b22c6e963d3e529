//! The whole of the image `hello-world`: says what happened for this text to appear.

#![forbid(unsafe_code)]

const TEXT: &str = "
Hello from Docker!
This text was printed by a container, so your installation works.

What happened on the way:
 1. The docker client asked the engine for a container of the image \"hello-world\".
 2. The engine had no such image yet, so it pulled one from its registry.
 3. The engine made a container from the image and started its only program.
 4. The program wrote this text; the engine handed it to the client, and the
    client to your terminal.

A bigger step next, a shell in a container of its own:
 $ docker run -it debian bash

This image belongs to Drydock's offline library (label io.drydock.standin=true).
";

fn main() {
    println!("{TEXT}");
}
