//! A Dockerfile → an image.
//!
//! What this room does: reads Dockerfiles ([`dockerfile`], pure) and expands their variables ([`expand`], pure). It refuses
//! to know the Engine API, HTTP, and how containers run.
#![forbid(unsafe_code)]

pub mod dockerfile;
pub mod expand;
pub mod glob;
pub mod go;
