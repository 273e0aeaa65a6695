use chain::{Proposed, Role, RoleCall, Roles};

use crate::{Rotation, RotationRefused, next_rotation};

const OLD: [u8; 20] = [1; 20];
const NEW: [u8; 20] = [2; 20];
const OTHER: [u8; 20] = [3; 20];

fn roles(proposed: Option<([u8; 20], u64)>) -> Roles {
    let proposed =
        proposed.map(|(holder, ready_at_s)| Proposed { holder, ready_at_s, closes_at_s: ready_at_s + 1_000 });
    Roles { writer: OLD, standby: Some(OTHER), admin: [9; 20], delay_s: 100, proposed, now_s: 5_000 }
}

#[test]
fn a_role_is_announced_waited_for_and_taken_over() {
    let check = |proposed, expected| {
        assert_eq!(next_rotation(&roles(proposed), Role::Writer, NEW, false), Ok(expected), "{proposed:?}");
    };
    let announce = Rotation::Send(RoleCall::Propose(Role::Writer, NEW));
    check(None, announce);
    check(Some((NEW, 5_001)), Rotation::Wait { ready_at_s: 5_001 });
    check(Some((NEW, 5_000)), Rotation::Send(RoleCall::Enact(Role::Writer)));
    check(Some((NEW, 4_001)), Rotation::Send(RoleCall::Enact(Role::Writer)));
    check(Some((NEW, 4_000)), announce);
    check(Some((OTHER, 4_900)), announce);
    let done = next_rotation(&roles(None), Role::Writer, OLD, false);
    assert_eq!(done, Ok(Rotation::Done), "whoever took over and did not live to say so");
}

#[test]
fn only_the_announced_standby_takes_over_at_once() {
    let at_once = |role, to| next_rotation(&roles(None), role, to, true);
    assert_eq!(at_once(Role::Writer, OTHER), Ok(Rotation::Send(RoleCall::TakeOver)));
    assert_eq!(at_once(Role::Writer, NEW), Err(RotationRefused::NotTheStandby));
    assert_eq!(at_once(Role::Standby, NEW), Err(RotationRefused::NotTheWriter));
    let announced = next_rotation(&roles(None), Role::Standby, NEW, false);
    assert_eq!(announced, Ok(Rotation::Send(RoleCall::Propose(Role::Standby, NEW))));
}
