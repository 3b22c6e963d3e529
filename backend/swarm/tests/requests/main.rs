//! What a user asks of the swarm, what he is refused, and what he is told.

mod answers;
mod filters;
mod specs;
mod verbs;
