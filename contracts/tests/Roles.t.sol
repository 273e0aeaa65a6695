// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAuditLog, Role } from "../src/IAuditLog.sol";
import { Base } from "./Base.sol";

/// Who may do what, and not before when.
contract RolesTest is Base {
    function holderOf(Role role) private view returns (address) {
        (,, address currentWriter,) = audit.head(place);
        (,, address currentAdmin, address currentStandby,,) = audit.charter(place);
        return role == Role.Admin ? currentAdmin : role == Role.Writer ? currentWriter : currentStandby;
    }

    function propose(Role role, address holder) private returns (uint64 readyAt) {
        vm.prank(admin);
        audit.propose(place, role, holder);
        (, readyAt) = audit.proposal(place, role);
    }

    // --- propose, cancel, enact

    function testFuzz_propose_isEnactedAfterTheDelay(uint8 number, address holder, uint64 later) public {
        Role role = toRole(number);
        vm.assume(holder != address(0));
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        vm.expectEmit(address(audit));
        emit IAuditLog.Proposed(place, role, holder, readyAt);
        vm.prank(admin);
        audit.propose(place, role, holder);
        (address proposed, uint64 ready) = audit.proposal(place, role);
        assertEq(proposed, holder);
        assertEq(ready, readyAt);

        address from = holderOf(role);
        vm.warp(bound(later, readyAt, readyAt + 14 days - 1));
        vm.expectEmit(address(audit));
        emit IAuditLog.RoleChanged(place, role, from, holder);
        vm.prank(role == Role.Admin ? holder : admin);
        audit.enact(place, role);
        assertEq(holderOf(role), holder);
        (proposed, ready) = audit.proposal(place, role);
        assertEq(proposed, address(0));
        assertEq(ready, 0);
    }

    function testFuzz_propose_touchesNoOtherRole(uint8 number, address holder) public {
        vm.assume(holder != address(0));
        Role role = toRole(number);
        address[3] memory expected = [admin, writer, standby];
        expected[uint8(role)] = holder;
        vm.warp(propose(role, holder));
        vm.prank(role == Role.Admin ? holder : admin);
        audit.enact(place, role);
        for (uint8 i = 0; i < 3; ++i) {
            assertEq(holderOf(Role(i)), expected[i]);
        }
    }

    function test_aRotatedWriterAnchorsAndTheOldOneDoesNot() public {
        vm.warp(propose(Role.Writer, stranger));
        anchorAt(3);
        vm.prank(admin);
        audit.enact(place, Role.Writer);
        grow(4);
        (bytes32 root, bytes32[] memory proof) = (rootOf(4), proofBetween(3, 4));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotWriter.selector, place, writer));
        vm.prank(writer);
        audit.anchor(place, 4, root, proof);
        vm.prank(stranger);
        audit.anchor(place, 4, root, proof);
    }

    function test_propose_canLeaveTheStandbyEmpty() public {
        vm.warp(propose(Role.Standby, address(0)));
        vm.prank(admin);
        audit.enact(place, Role.Standby);
        assertEq(holderOf(Role.Standby), address(0));
    }

    function testFuzz_propose_refusesEmptyRoles(bool writers) public {
        Role role = writers ? Role.Writer : Role.Admin;
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.RoleEmpty.selector, role));
        vm.prank(admin);
        audit.propose(place, role, address(0));
    }

    /// Announcing once more starts the delay once more: nothing is enacted that was not announced for all of it.
    function testFuzz_propose_replacesAndStartsAgain(uint8 number, address first, address second, uint64 later) public {
        vm.assume(first != address(0) && second != address(0));
        Role role = toRole(number);
        uint64 firstReadyAt = propose(role, first);
        vm.warp(bound(later, block.timestamp + 1, firstReadyAt));
        uint64 secondReadyAt = propose(role, second);
        assertEq(secondReadyAt, block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.TooEarly.selector, place, secondReadyAt));
        vm.prank(role == Role.Admin ? second : admin);
        audit.enact(place, role);
    }

    function testFuzz_enact_refusesTooEarly(uint8 number, uint64 when) public {
        Role role = toRole(number);
        uint64 readyAt = propose(role, stranger);
        vm.warp(bound(when, block.timestamp, readyAt - 1));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.TooEarly.selector, place, readyAt));
        vm.prank(role == Role.Admin ? stranger : admin);
        audit.enact(place, role);
    }

    function testFuzz_enact_refusesTooLate(uint8 number, uint64 when) public {
        Role role = toRole(number);
        uint64 closedAt = propose(role, stranger) + 14 days;
        vm.warp(bound(when, closedAt, closedAt + 1000 days));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.TooLate.selector, place, closedAt));
        vm.prank(role == Role.Admin ? stranger : admin);
        audit.enact(place, role);
    }

    function testFuzz_enact_refusesWhatNobodyProposed(bool writers) public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place));
        vm.prank(admin);
        audit.enact(place, writers ? Role.Writer : Role.Standby);
    }

    /// Nothing proposed means the zero address proposed; even that one becomes no admin.
    function testFuzz_enact_refusesAnAdminNobodyProposed(address caller) public {
        vm.expectRevert(
            caller == address(0)
                ? abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place)
                : abi.encodeWithSelector(IAuditLog.NotProposed.selector, place, caller)
        );
        vm.prank(caller);
        audit.enact(place, Role.Admin);
    }

    function testFuzz_enact_refusesASecondTime(uint8 number) public {
        Role role = toRole(number);
        vm.warp(propose(role, stranger));
        vm.prank(role == Role.Admin ? stranger : admin);
        audit.enact(place, role);
        vm.expectPartialRevert(role == Role.Admin ? IAuditLog.NotProposed.selector : IAuditLog.NothingProposed.selector);
        vm.prank(role == Role.Admin ? stranger : admin);
        audit.enact(place, role);
    }

    /// The admin's role goes only to a key that is at hand, so that a typing error cannot lose it.
    function testFuzz_enact_theProposedAdminAlone(address caller) public {
        vm.assume(caller != stranger);
        vm.warp(propose(Role.Admin, stranger));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotProposed.selector, place, caller));
        vm.prank(caller);
        audit.enact(place, Role.Admin);
    }

    function testFuzz_enact_otherRolesTheAdminAlone(address caller, bool writers) public {
        vm.assume(caller != admin);
        Role role = writers ? Role.Writer : Role.Standby;
        vm.warp(propose(role, stranger));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAdmin.selector, place, caller));
        vm.prank(caller);
        audit.enact(place, role);
    }

    function testFuzz_cancel(uint8 number, address holder) public {
        vm.assume(holder != address(0));
        Role role = toRole(number);
        vm.warp(propose(role, holder));
        vm.expectEmit(address(audit));
        emit IAuditLog.Cancelled(place, role, holder);
        vm.prank(admin);
        audit.cancel(place, role);
        (, uint64 readyAt) = audit.proposal(place, role);
        assertEq(readyAt, 0);
        vm.expectRevert(
            role == Role.Admin
                ? abi.encodeWithSelector(IAuditLog.NotProposed.selector, place, holder)
                : abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place)
        );
        vm.prank(role == Role.Admin ? holder : admin);
        audit.enact(place, role);
    }

    function testFuzz_cancel_refusesWhatNobodyProposed(uint8 number) public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place));
        vm.prank(admin);
        audit.cancel(place, toRole(number));
    }

    // --- takeOver

    function testFuzz_takeOver_atOnce(bool byAdmin) public {
        address by = byAdmin ? admin : writer;
        vm.expectEmit(address(audit));
        emit IAuditLog.StandbyTookOver(place, by, writer, standby);
        vm.prank(by);
        audit.takeOver(place);
        checkHead(0, 0, standby, false);
        assertEq(holderOf(Role.Standby), address(0));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotWriter.selector, place, writer));
        vm.prank(writer);
        audit.anchor(place, 1, keccak256("root"), none());
        vm.prank(standby);
        audit.anchor(place, 1, keccak256("root"), none());
    }

    function test_takeOver_keepsHeadAndHalt() public {
        anchorAt(5);
        vm.startPrank(admin);
        audit.halt(place);
        audit.takeOver(place);
        checkHead(5, rootOf(5), standby, true);
    }

    /// Not even the standby itself: somebody who was trusted before has to say so.
    function testFuzz_takeOver_refusesEverybodyElse(address caller) public {
        vm.assume(caller != admin && caller != writer);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAdminOrWriter.selector, place, caller));
        vm.prank(caller);
        audit.takeOver(place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAdminOrWriter.selector, place, standby));
        vm.prank(standby);
        audit.takeOver(place);
    }

    function test_takeOver_refusesWithoutStandby() public {
        vm.prank(writer);
        audit.takeOver(place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NoStandby.selector, place));
        vm.prank(standby);
        audit.takeOver(place);
    }

    // --- halt, resume

    function test_haltAndResume() public {
        anchorAt(5);
        vm.expectEmit(address(audit));
        emit IAuditLog.Halted(place, admin);
        vm.prank(admin);
        audit.halt(place);
        checkHead(5, rootOf(5), writer, true);
        vm.expectEmit(address(audit));
        emit IAuditLog.Resumed(place, admin);
        vm.prank(admin);
        audit.resume(place);
        checkHead(5, rootOf(5), writer, false);
        anchorAt(6);
    }

    function test_halt_refusesTwice() public {
        vm.startPrank(admin);
        audit.halt(place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IsHalted.selector, place));
        audit.halt(place);
    }

    function test_resume_refusesWhatIsNotHalted() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotHalted.selector, place));
        vm.prank(admin);
        audit.resume(place);
    }

    // --- succession

    function test_succeed_freezesForEver() public {
        anchorAt(5);
        bytes32 successor = register(OTHER_LOG);
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        vm.expectEmit(address(audit));
        emit IAuditLog.SuccessorProposed(place, successor, readyAt);
        vm.prank(admin);
        audit.proposeSuccessor(place, successor);
        (bytes32 proposed, uint64 ready) = audit.successorProposal(place);
        assertEq(proposed, successor);
        assertEq(ready, readyAt);

        vm.warp(readyAt);
        vm.expectEmit(address(audit));
        emit IAuditLog.Succeeded(place, successor, 5, rootOf(5));
        vm.prank(admin);
        audit.succeed(place);
        checkHead(5, rootOf(5), writer, true);
        (,,,,, bytes32 named) = audit.charter(place);
        assertEq(named, successor);
        (proposed, ready) = audit.successorProposal(place);
        assertEq(proposed, 0);
        assertEq(ready, 0);
        // What was in the log can still be shown.
        assertTrue(audit.includes(LOG, registrant, 5, leafAt(2), pathIn(5, 2)));
    }

    function test_succeed_worksOnAHaltedLog() public {
        vm.prank(admin);
        audit.halt(place);
        freeze();
        checkHead(0, 0, writer, true);
    }

    function testFuzz_succeed_refusesTooEarly(uint64 when) public {
        bytes32 successor = register(OTHER_LOG);
        vm.startPrank(admin);
        audit.proposeSuccessor(place, successor);
        (, uint64 readyAt) = audit.successorProposal(place);
        vm.warp(bound(when, block.timestamp, readyAt - 1));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.TooEarly.selector, place, readyAt));
        audit.succeed(place);
    }

    function testFuzz_succeed_refusesTooLate(uint64 when) public {
        bytes32 successor = register(OTHER_LOG);
        vm.startPrank(admin);
        audit.proposeSuccessor(place, successor);
        uint64 closedAt = uint64(block.timestamp) + DELAY + 14 days;
        vm.warp(bound(when, closedAt, closedAt + 1000 days));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.TooLate.selector, place, closedAt));
        audit.succeed(place);
    }

    function test_succeed_refusesWhatNobodyProposed() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place));
        vm.prank(admin);
        audit.succeed(place);
    }

    function test_succeed_refusesASuccessorThatEndedMeanwhile() public {
        bytes32 second = register(OTHER_LOG);
        bytes32 third = register(keccak256("a third"));
        vm.startPrank(admin);
        audit.proposeSuccessor(place, second);
        audit.proposeSuccessor(second, third);
        vm.warp(block.timestamp + DELAY);
        audit.succeed(second);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IsFrozen.selector, second, third));
        audit.succeed(place);
    }

    /// Two logs that name each other: the second has nowhere to go, so there is always a last one.
    function test_succeed_neverGoesRoundInACircle() public {
        bytes32 second = register(OTHER_LOG);
        vm.startPrank(admin);
        audit.proposeSuccessor(place, second);
        audit.proposeSuccessor(second, place);
        vm.warp(block.timestamp + DELAY);
        audit.succeed(place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IsFrozen.selector, place, second));
        audit.succeed(second);
    }

    function test_cancelSuccessor() public {
        bytes32 successor = register(OTHER_LOG);
        vm.startPrank(admin);
        audit.proposeSuccessor(place, successor);
        vm.expectEmit(address(audit));
        emit IAuditLog.SuccessorCancelled(place, successor);
        audit.cancelSuccessor(place);
        (, uint64 readyAt) = audit.successorProposal(place);
        assertEq(readyAt, 0);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place));
        audit.succeed(place);
    }

    function test_cancelSuccessor_refusesWhatNobodyProposed() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NothingProposed.selector, place));
        vm.prank(admin);
        audit.cancelSuccessor(place);
    }

    function test_proposeSuccessor_refusesItself() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.OwnSuccessor.selector, place));
        vm.prank(admin);
        audit.proposeSuccessor(place, place);
    }

    function testFuzz_proposeSuccessor_refusesUnknownPlaces(bytes32 elsewhere) public {
        vm.assume(elsewhere != place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.UnknownPlace.selector, elsewhere));
        vm.prank(admin);
        audit.proposeSuccessor(place, elsewhere);
    }

    function test_proposeSuccessor_refusesOneThatHasEnded() public {
        bytes32 successor = freeze();
        bytes32 third = register(keccak256("a third"));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IsFrozen.selector, place, successor));
        vm.prank(admin);
        audit.proposeSuccessor(third, place);
    }

    // --- every act of the admin

    function acts(bytes32 where) private view returns (bytes[] memory calls) {
        calls = new bytes[](7);
        calls[0] = abi.encodeCall(audit.halt, (where));
        calls[1] = abi.encodeCall(audit.resume, (where));
        calls[2] = abi.encodeCall(audit.propose, (where, Role.Writer, stranger));
        calls[3] = abi.encodeCall(audit.cancel, (where, Role.Writer));
        calls[4] = abi.encodeCall(audit.proposeSuccessor, (where, keccak256("successor")));
        calls[5] = abi.encodeCall(audit.cancelSuccessor, (where));
        calls[6] = abi.encodeCall(audit.succeed, (where));
    }

    function checkRefused(address caller, bytes memory call, bytes memory reason) private {
        vm.prank(caller);
        (bool done, bytes memory answer) = address(audit).call(call);
        assertFalse(done);
        assertEq(answer, reason);
    }

    function testFuzz_adminsActs_refuseEverybodyElse(address caller) public {
        vm.assume(caller != admin);
        bytes[] memory calls = acts(place);
        for (uint256 i = 0; i < calls.length; ++i) {
            checkRefused(caller, calls[i], abi.encodeWithSelector(IAuditLog.NotAdmin.selector, place, caller));
            checkRefused(writer, calls[i], abi.encodeWithSelector(IAuditLog.NotAdmin.selector, place, writer));
        }
    }

    /// Also for the zero address, which is the admin that an unregistered place has.
    function testFuzz_everyAct_refusesUnknownPlaces(bytes32 elsewhere, address caller) public {
        vm.assume(elsewhere != place);
        bytes memory reason = abi.encodeWithSelector(IAuditLog.UnknownPlace.selector, elsewhere);
        bytes[] memory calls = acts(elsewhere);
        for (uint256 i = 0; i < calls.length; ++i) {
            checkRefused(caller, calls[i], reason);
            checkRefused(address(0), calls[i], reason);
        }
        checkRefused(caller, abi.encodeCall(audit.enact, (elsewhere, Role.Writer)), reason);
        checkRefused(address(0), abi.encodeCall(audit.takeOver, (elsewhere)), reason);
    }

    function test_everyAct_refusesFrozenLogs() public {
        bytes32 successor = freeze();
        bytes memory reason = abi.encodeWithSelector(IAuditLog.IsFrozen.selector, place, successor);
        bytes[] memory calls = acts(place);
        for (uint256 i = 0; i < calls.length; ++i) {
            checkRefused(admin, calls[i], reason);
        }
        checkRefused(admin, abi.encodeCall(audit.enact, (place, Role.Writer)), reason);
        checkRefused(admin, abi.encodeCall(audit.takeOver, (place)), reason);
        checkRefused(writer, abi.encodeCall(audit.takeOver, (place)), reason);
    }

    /// Whoever registered a log has no power over it.
    function test_theRegistrantIsNobody() public {
        bytes[] memory calls = acts(place);
        for (uint256 i = 0; i < calls.length; ++i) {
            checkRefused(registrant, calls[i], abi.encodeWithSelector(IAuditLog.NotAdmin.selector, place, registrant));
        }
    }
}
