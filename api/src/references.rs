//! A partner may choose that its reference names one transaction of each kind: a second one under another key is refused.

use ledger::{Command, Item};
use store::{ReferenceUse, StoreError, Taken};

use crate::Api;
use crate::code::Code;
use crate::error::Problem;
use crate::route::Asked;

/// What a reference is used for, where a partner has references for it.
fn kind(command: &Command) -> Option<&'static str> {
    match command {
        Command::Redeem { .. } => Some("redeem"),
        Command::Hold { .. } => Some("hold"),
        Command::Capture { .. } => Some("capture"),
        Command::Reverse { .. } => Some("reverse"),
        _ => None,
    }
}

impl Api {
    /// Claims the references of a request's items, where the caller is a partner that uses each once. Where one cannot be had, none is,
    /// and it is said of which item.
    pub(crate) async fn claim_references(
        &self,
        asked: &Asked,
        key: &str,
        items: &[Item],
    ) -> Result<(), (usize, Problem)> {
        let partner_id = asked.caller.credential.partner_id.as_deref();
        let Some(partner_id) = partner_id.filter(|_| asked.caller.references_once) else { return Ok(()) };
        let (program_id, source) = (self.program_id, Self::source(asked));
        let mut uses = Vec::new();
        for (item, Item { command, details, .. }) in (0_i16..).zip(items) {
            if let (Some(kind), Some(reference)) = (kind(command), &details.merchant_reference) {
                let (reference, source) = (reference.as_str(), source.as_str());
                uses.push(ReferenceUse { program_id, partner_id, kind, reference, source, key, item });
            }
        }
        if uses.is_empty() {
            return Ok(());
        }
        let claimed = async {
            let mut conn = self.pool.acquire().await?;
            store::claim_references(&mut conn, self.gate.keyring(), &uses).await
        };
        let claimed = claimed.await.map_err(|error: StoreError| (0_usize, Problem::from(error)))?;
        claimed.map_err(|(item, taken)| (item as usize, refusal(taken)))
    }
}

fn refusal(taken: Taken) -> Problem {
    match taken {
        Taken::By(transaction_id) => Problem::new(
            Code::ReferenceReused,
            format!("merchant_reference is that of the transaction {transaction_id}: use another one."),
        ),
        Taken::ByTwin => Problem::new(
            Code::ReferenceReused,
            "merchant_reference is that of another item of this request: use another one.",
        ),
        Taken::InDoubt => Problem::in_doubt(
            "Another request with this merchant_reference was begun and has no answer yet: ask again with its key.",
        ),
    }
}
