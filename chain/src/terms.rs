//! What contracts are deployed with, and where they then are: two small files.

use alloy::primitives::Address;
use proof::AnchorPlace;
use serde::{Deserialize, Serialize};

use crate::contracts::points_deployment::PointsDeployment::{PointsTerms as Encoded, Settings};
use crate::error::ChainError;

/// Who is to have which role in a log, and the terms of its points if it is to have any on the chain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whose key anchors.
    pub writer: Address,
    /// Whose key takes over when the writer's is lost or stolen; none where there is no such key yet.
    pub standby: Option<Address>,
    /// Who rotates the others, halts and resumes; meant to be a multi-signature account.
    pub admin: Address,
    /// How long a change of roles is announced before it can be made.
    pub delay_seconds: u64,
    /// The points; none where the log is only anchored.
    pub points: Option<PointsTerms>,
}

/// What the token and its gateway are made with. The gateway is the only minter and the timelock the only upgrader.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsTerms {
    /// The token's name.
    pub name: String,
    /// The token's symbol.
    pub symbol: String,
    /// The program's scale.
    pub decimals: u8,
    /// Seconds in an epoch.
    pub epoch_seconds: u32,
    /// When epoch 0 began.
    pub epoch_offset_seconds: u32,
    /// For how many epochs points are valid at most.
    pub validity_epochs: u8,
    /// How much may be minted in a day.
    pub day_mint_max: u64,
    /// Who stops minting and transfers.
    pub pauser: Address,
    /// Who cancels settlements that are not yet mature.
    pub guardian: Address,
    /// How long a change to the token is announced before it can be made.
    pub timelock_delay_seconds: u64,
    /// Who announces changes, and can cancel them.
    pub proposers: Vec<Address>,
    /// Who carries them out after the delay; the zero address stands for anybody.
    pub executors: Vec<Address>,
    /// How long a settled head has to stand; 0 for an hour.
    pub claim_delay_seconds: u64,
    /// The least that is burned for credit.
    pub burn_min: u64,
    /// By how many seconds the program's local time is ahead of UTC.
    pub zone_seconds: i32,
}

/// Where the contracts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// On which chain.
    pub chain_id: u64,
    /// The audit contract.
    pub audit_log: Address,
    /// Who registered the log in it.
    pub registrant: Address,
    /// The points' contracts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<PointsAddresses>,
}

/// Where the points' contracts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsAddresses {
    /// The token: its proxy, which stays when its code is replaced.
    pub loyalty_points: Address,
    /// The token's code as it was deployed first.
    pub implementation: Address,
    /// The gateway.
    pub points_gateway: Address,
    /// The timelock that upgrades the token and gives its roles.
    pub timelock: Address,
    /// What made these three. It does nothing any more.
    pub deployment: Address,
}

impl Terms {
    /// Reads the file of terms.
    pub fn parse(text: &str) -> Result<Self, ChainError> {
        serde_json::from_str(text).map_err(|error| ChainError::Malformed(format!("the terms: {error}")))
    }

    /// Everyone who is to have a role.
    pub(crate) fn holders(&self) -> Vec<Address> {
        let mut holders = vec![self.writer, self.admin];
        holders.extend(self.standby);
        if let Some(points) = &self.points {
            holders.extend([points.pauser, points.guardian]);
            holders.extend(points.proposers.iter().chain(&points.executors));
        }
        holders
    }
}

impl PointsTerms {
    pub(crate) fn encoded(&self) -> Encoded {
        Encoded {
            token: Settings {
                name: self.name.clone(),
                symbol: self.symbol.clone(),
                decimals: self.decimals,
                epochLength: self.epoch_seconds,
                epochOffset: self.epoch_offset_seconds,
                validity: self.validity_epochs,
                mintMax: self.day_mint_max,
                // Upgrader and minter are made with the token.
                upgrader: Address::ZERO,
                minter: Address::ZERO,
                pauser: self.pauser,
            },
            timelockDelay: self.timelock_delay_seconds.try_into().expect("64 bits fit into 256"),
            proposers: self.proposers.clone(),
            executors: self.executors.clone(),
            guardian: self.guardian,
            claimDelay: self.claim_delay_seconds,
            burnMin: self.burn_min.try_into().expect("64 bits fit into 256"),
            zone: self.zone_seconds,
        }
    }
}

impl Addresses {
    /// Reads the file of addresses.
    pub fn parse(text: &str) -> Result<Self, ChainError> {
        serde_json::from_str(text).map_err(|error| ChainError::Malformed(format!("the addresses: {error}")))
    }

    /// The file of addresses.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("addresses are always JSON") + "\n"
    }

    /// The log's place, as policies name it.
    pub fn place(&self) -> AnchorPlace {
        AnchorPlace {
            chain_id: self.chain_id,
            contract: self.audit_log.into_array(),
            registrant: self.registrant.into_array(),
        }
    }
}
