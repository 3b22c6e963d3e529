//! The leader's loops over a swarm without engines: each rule by itself, and all of them together
//! under thousands of seeded schedules.

mod allocator;
mod jobs;
mod nodes;
mod replicas;
mod restarts;
mod scheduler;
mod simulation;
mod steps;
mod swarm;
mod updates;
