//! What a path demands of its caller: a scope, and a role that may use it there.

use store::Role;

use crate::caller::Identity;
use crate::error::Problem;
use crate::gate::Scope;

/// What a path demands.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The scope that the credential has.
    pub scope: Scope,
    /// One of these is the caller's role.
    pub roles: &'static [Role],
}

impl Access {
    /// Whether the caller has the scope, and is of one of the roles.
    pub(crate) fn allow(&self, caller: &Identity) -> Result<(), Problem> {
        let scope = self.scope.as_str();
        if !caller.credential.scopes.iter().any(|it| it == scope) {
            return Err(Problem::missing_scope(scope));
        }
        // Whoever may speak for any member, naming them, is let in where members are.
        let speaks = caller.credential.delegated && self.roles.contains(&Role::Member);
        match speaks || self.roles.contains(&caller.role) {
            true => Ok(()),
            false => Err(Problem::wrong_role(caller.role, self.roles)),
        }
    }
}

/// Anybody who takes part: members and partners.
pub const TAKING_PART: &[Role] = &[Role::Member, Role::Partner];
/// Who looks at where they are told.
pub(crate) const SETTLED: &[Role] =
    &[Role::Partner, Role::Viewer, Role::Editor, Role::Approver, Role::Auditor];
/// Whoever is known, in any role.
pub const EVERYBODY: &[Role] = &Role::ALL;
/// Members, and apps that speak for them.
pub const MEMBERS: &[Role] = &[Role::Member];
/// Partners.
pub const PARTNERS: &[Role] = &[Role::Partner];
/// Operators who change things.
pub const CHANGING: &[Role] = &[Role::Editor, Role::Approver];
/// Operators who decide what others have asked for.
pub(crate) const APPROVING: &[Role] = &[Role::Approver];
/// Operators, and whoever checks them.
pub const LOOKING: &[Role] = &[Role::Viewer, Role::Editor, Role::Approver, Role::Auditor];
/// Whoever checks the program.
pub const AUDITING: &[Role] = &[Role::Auditor];
/// Who may undo or settle what is theirs, and operators.
pub const CORRECTING: &[Role] = &[Role::Partner, Role::Editor, Role::Approver];
