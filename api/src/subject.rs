//! For whom a caller asks: the member, the partner, and whether a transaction is theirs.

use ledger::{AccountKind, MemberRef};
use store::{Fed, FedEntry, PgConnection, Role, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::code::Code;
use crate::error::{Invalid, Problem};
use crate::gate;
use crate::route::Asked;

/// Whose side of a transaction the caller may see.
pub(crate) enum Side {
    /// A member's.
    Member(Uuid),
    /// A partner's.
    Partner(String),
    /// Everybody's, of the program.
    All,
}

impl Asked {
    /// The member whom a request is about: the one that it names, so far as the caller may speak for them.
    pub(crate) fn member(&self, named: Option<&str>) -> Result<MemberRef, Problem> {
        let spoken_for = gate::member(&self.caller, self.headers())?;
        let missing =
            || Problem::invalid(vec![Invalid::in_body("user_id", "/user_id", "REQUIRED", "it is required")]);
        let named = named.map(MemberRef::parse);
        match (self.caller.role, spoken_for) {
            (Role::Member, Some(own)) => match named {
                Some(named) if named != own => Err(Problem::new(
                    Code::Forbidden,
                    "user_id names another member than the request is for.",
                )),
                _ => Ok(own),
            },
            _ => named.ok_or_else(missing),
        }
    }

    /// The partner with whom something is spent: of a partner it is the partner itself.
    pub(crate) fn partner(&self, named: Option<String>) -> Result<Option<String>, Problem> {
        let Some(own) = &self.caller.credential.partner_id else { return Ok(named) };
        gate::partner(&self.caller, self.headers(), false)?;
        match named {
            Some(named) if named != *own => {
                Err(Problem::new(Code::Forbidden, "partner_id names another partner than the credential's."))
            }
            _ => Ok(Some(own.clone())),
        }
    }

    /// Who acts, as the leaf says it.
    pub(crate) fn actor(&self) -> String {
        let credential = &self.caller.credential;
        match (self.caller.role, &credential.partner_id) {
            (Role::Partner, Some(partner)) => format!("partner:{partner}"),
            (Role::Member, _) if credential.delegated => format!("app:{}", credential.owner),
            (role, _) => format!("{}:{}", role.as_str(), credential.owner),
        }
    }

    /// Whose side of a transaction the caller may see.
    pub(crate) async fn side(&self, api: &Api, conn: &mut PgConnection) -> Result<Side, Problem> {
        if let Some(partner) = &self.caller.credential.partner_id {
            gate::partner(&self.caller, self.headers(), false)?;
            return Ok(Side::Partner(partner.clone()));
        }
        if self.caller.role != Role::Member {
            return Ok(Side::All);
        }
        let member = gate::member(&self.caller, self.headers())?
            .ok_or_else(|| Problem::invalid_parameter("X-User-ID", "this header is required"))?;
        Ok(Side::Member(member_id(api, conn, member).await?.ok_or_else(transaction_not_found)?))
    }
}

impl Side {
    /// Whether the caller has a part in the posting.
    pub(crate) fn sees(&self, posting: &Fed) -> bool {
        match self {
            Self::Member(id) => posting.entries.iter().any(|it| it.member_id == Some(*id)),
            Self::Partner(partner) => {
                let settles = posting.entries.iter().any(|it| {
                    it.kind == AccountKind::Settlement && it.partner_id.as_deref() == Some(partner.as_str())
                });
                settles || posting.partner_id.as_deref() == Some(partner.as_str())
            }
            Self::All => true,
        }
    }

    /// The caller's own entry of the posting.
    pub(crate) fn entry<'a>(&self, posting: &'a Fed) -> Option<&'a FedEntry> {
        posting.entries.iter().find(|it| match self {
            Self::Member(id) => it.member_id == Some(*id),
            Self::Partner(partner) => it.partner_id.as_deref() == Some(partner.as_str()),
            Self::All => it.member_id.is_some(),
        })
    }

    /// Whether the caller may go on from the posting, or undo it: a partner's is the partner's alone.
    pub(crate) fn disposes_of(&self, posting: &Fed) -> bool {
        match self {
            Self::Member(_) => posting.partner_id.is_none() && self.sees(posting),
            Self::Partner(partner) => posting.partner_id.as_deref() == Some(partner.as_str()),
            Self::All => true,
        }
    }
}

/// The id of a member by either name.
pub(crate) async fn member_id(
    api: &Api,
    conn: &mut PgConnection,
    member: MemberRef,
) -> Result<Option<Uuid>, StoreError> {
    match member {
        MemberRef::Id(id) => Ok(Some(id)),
        MemberRef::External(name) => store::member_id(conn, api.program_id, &name).await,
    }
}

pub(crate) fn transaction_not_found() -> Problem {
    Problem::new(Code::TransactionNotFound, "There is no such transaction of yours.")
}
