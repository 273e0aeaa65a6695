//! What a path demands of its caller: a scope, and a role that may use it there.

use store::Credential;

use crate::gate::Scope;

/// Who asks, as the books see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A member, or an app that speaks for members.
    Member,
    /// A partner.
    Partner,
    /// An operator who looks.
    Viewer,
    /// An operator who changes.
    Editor,
    /// An operator who approves what another has changed.
    Approver,
    /// Somebody who checks and changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Member, Self::Partner, Self::Viewer, Self::Editor, Self::Approver, Self::Auditor];

    /// The role as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Partner => "partner",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }
}

/// What a path demands.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The scope that the credential has.
    pub scope: Scope,
    /// One of these is the caller's role.
    pub roles: &'static [Role],
}

/// Anybody who takes part: members and partners.
pub const TAKING_PART: &[Role] = &[Role::Member, Role::Partner];
/// Members, and apps that speak for them.
pub const MEMBERS: &[Role] = &[Role::Member];
/// Partners.
pub const PARTNERS: &[Role] = &[Role::Partner];

/// The role of a credential.
pub(crate) fn role_of(credential: &Credential) -> Role {
    if credential.partner_id.is_some() { Role::Partner } else { Role::Member }
}
