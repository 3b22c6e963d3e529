//! What the genuine docker command line sees of the engine. Every test has a machine of its own.

mod bollard;
mod build;
mod compose;
mod daemon;
mod docker_py;
mod execs;
mod faults;
mod images;
mod inspection;
mod lifecycle;
mod limits;
mod logs;
mod machine;
mod mounts;
mod networking;
mod networks;
mod receivers;
mod refusals;
mod reload;
mod settings;
mod storage;
mod streams;
mod surface;
mod survival;
mod volumes;
