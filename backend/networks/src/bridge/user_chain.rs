//! The chain `DOCKER-USER`, where people put rules of their own that come before the engine's: the only thing of ours that
//! `iptables` shows, since its table `filter` can hold no sets.
//!
//! Made as `iptables-nft` would make it, and never deleted: what is in it is not ours.

use super::{BridgeError, Host};
use crate::nft::{Batch, ChainType, Hook, HookPoint, Nft, Rule, Verdict};

const TABLE: &str = "filter";
const CHAIN: &str = "DOCKER-USER";

impl Host {
    /// Makes the chain if it is not there, first in the way of every packet that passes through.
    pub fn ensure_user_chain(&self) -> Result<(), BridgeError> {
        let mut nft = Nft::open_in(&self.namespace).map_err(BridgeError::Rules)?;
        if nft.has_chain(TABLE, CHAIN).map_err(BridgeError::Rules)? {
            return Ok(());
        }
        let hook = Hook { chain_type: ChainType::Filter, at: HookPoint::Forward, priority: 0 };
        let batch = Batch::new(TABLE)
            .create_table()
            .add_chain("FORWARD", Some(hook))
            .add_chain(CHAIN, None)
            .insert_rule("FORWARD", &Rule::new().verdict(Verdict::Jump(CHAIN.into())));
        nft.commit(batch).map_err(BridgeError::Rules)
    }
}
