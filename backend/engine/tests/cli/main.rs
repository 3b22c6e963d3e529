//! What the genuine docker command line sees of the engine. Every test has a machine of its own.

mod bollard;
mod build;
mod daemon;
mod docker_py;
mod faults;
mod images;
mod lifecycle;
mod logs;
mod machine;
mod networking;
mod receivers;
mod storage;
mod streams;
mod surface;
mod survival;
