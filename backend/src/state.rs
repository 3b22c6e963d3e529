//! What every door is given. Cheap to clone.

use std::sync::{Arc, Mutex};

use drydock_sessions::rate::Buckets;

use crate::config::Config;
use crate::doors::assets::Assets;

use crate::doors::metrics::Metrics;
use crate::playground::Playground;
use crate::playground::lessons::Labs;

#[derive(Debug, Clone)]
pub struct AppState {
    pub config: Arc<Config>,
    pub playground: Arc<Playground>,
    pub labs: Arc<Labs>,
    pub assets: Arc<Assets>,
    pub metrics: Arc<Metrics>,
    /// Session creation per client address.
    pub creation: Arc<Mutex<Buckets<std::net::IpAddr>>>,
}
