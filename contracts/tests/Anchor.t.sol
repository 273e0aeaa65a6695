// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAuditLog, Role } from "../src/IAuditLog.sol";
import { LeafFormat } from "../src/Leaf.sol";
import { Base } from "./Base.sol";
import { Reference } from "./Reference.sol";

/// Registering, anchoring, pinning, and asking whether a leaf is included.
contract AnchorTest is Base {
    // --- register

    function testFuzz_register(
        bytes32 log,
        address caller,
        address writer_,
        address standby_,
        address admin_,
        uint64 delay
    ) public {
        vm.assume(log != 0 && writer_ != address(0) && admin_ != address(0));
        vm.assume(audit.placeOf(log, caller) != place);
        delay = uint64(bound(delay, audit.DELAY_MIN(), audit.DELAY_MAX()));
        bytes32 expected = keccak256(abi.encode(log, caller));
        vm.expectEmit(address(audit));
        emit IAuditLog.Registered(expected, log, caller, writer_, standby_, admin_, delay);
        vm.prank(caller);
        assertEq(audit.register(log, writer_, standby_, admin_, delay), expected);
        place = expected;
        checkHead(0, 0, writer_, false);
        (bytes32 l, address r, address a, address s, uint64 d, bytes32 successor) = audit.charter(expected);
        assertEq(l, log);
        assertEq(r, caller);
        assertEq(a, admin_);
        assertEq(s, standby_);
        assertEq(d, delay);
        assertEq(successor, 0);
    }

    function testFuzz_register_nobodyTakesAnothersPlace(address caller) public {
        vm.assume(caller != registrant && caller != address(0));
        vm.prank(caller);
        assertNotEq(audit.register(LOG, caller, caller, caller, DELAY), place);
        checkHead(0, 0, writer, false);
    }

    function test_register_refusesASecondTime() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.AlreadyRegistered.selector, place));
        vm.prank(registrant);
        audit.register(LOG, stranger, stranger, stranger, DELAY);
    }

    function test_register_refusesASecondTimeAlsoOnceFrozen() public {
        freeze();
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.AlreadyRegistered.selector, place));
        vm.prank(registrant);
        audit.register(LOG, writer, standby, admin, DELAY);
    }

    function test_register_refusesLogZero() public {
        vm.expectRevert(IAuditLog.LogZero.selector);
        audit.register(0, writer, standby, admin, DELAY);
    }

    function test_register_refusesNoWriter() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.RoleEmpty.selector, Role.Writer));
        audit.register(LOG, address(0), standby, admin, DELAY);
    }

    function test_register_refusesNoAdmin() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.RoleEmpty.selector, Role.Admin));
        audit.register(LOG, writer, standby, address(0), DELAY);
    }

    function testFuzz_register_refusesDelaysOutOfRange(uint64 delay) public {
        uint64 low = uint64(bound(delay, 0, 1 hours - 1));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.DelayOutOfRange.selector, low));
        audit.register(LOG, writer, standby, admin, low);
        uint64 high = uint64(bound(delay, 30 days + 1, type(uint64).max));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.DelayOutOfRange.selector, high));
        audit.register(LOG, writer, standby, admin, high);
        audit.register(LOG, writer, standby, admin, 1 hours);
        audit.register(OTHER_LOG, writer, standby, admin, 30 days);
    }

    // --- anchor

    function testFuzz_anchor_anyHonestSteps(uint8[6] memory steps) public {
        uint64 size;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint64 oldSize = size;
            size += uint64(bound(steps[i], 1, 40));
            grow(size);
            bytes32[] memory proof = proofBetween(oldSize, size);
            bytes32 root = rootOf(size);
            vm.expectEmit(address(audit));
            emit IAuditLog.Anchored(place, size, root, oldSize);
            vm.prank(writer);
            audit.anchor(place, size, root, proof);
            checkHead(size, root, writer, false);
        }
    }

    function testFuzz_anchor_refusesARewrittenLog(uint8 oldSteps, uint8 newSteps, uint8 rewritten) public {
        uint64 oldSize = uint64(bound(oldSteps, 1, 60));
        uint64 newSize = oldSize + uint64(bound(newSteps, 1, 60));
        anchorAt(oldSize);
        grow(newSize);
        bytes32[] memory honest = proofBetween(oldSize, newSize);
        uint64 victim = uint64(bound(rewritten, 0, oldSize - 1));
        hashes[victim] = Reference.leafHash(encode(1, LOG, victim, keccak256("it never happened")));
        bytes32[] memory own = proofBetween(oldSize, newSize);
        bytes32 root = rootOf(newSize);
        vm.startPrank(writer);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAnExtension.selector, place, oldSize, newSize));
        audit.anchor(place, newSize, root, own);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAnExtension.selector, place, oldSize, newSize));
        audit.anchor(place, newSize, root, honest);
    }

    function testFuzz_anchor_refusesAnyOtherProof(uint8 oldSteps, uint8 newSteps, bytes32[] memory proof, bytes32 root)
        public
    {
        uint64 oldSize = uint64(bound(oldSteps, 1, 60));
        uint64 newSize = oldSize + uint64(bound(newSteps, 1, 60));
        anchorAt(oldSize);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAnExtension.selector, place, oldSize, newSize));
        vm.prank(writer);
        audit.anchor(place, newSize, root, proof);
    }

    function testFuzz_anchor_refusesANodeTooMany(uint8 oldSteps, uint8 newSteps, bytes32 node) public {
        uint64 oldSize = uint64(bound(oldSteps, 1, 60));
        uint64 newSize = oldSize + uint64(bound(newSteps, 1, 60));
        anchorAt(oldSize);
        grow(newSize);
        bytes32[] memory proof = Reference.append(proofBetween(oldSize, newSize), node);
        bytes32 root = rootOf(newSize);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotAnExtension.selector, place, oldSize, newSize));
        vm.prank(writer);
        audit.anchor(place, newSize, root, proof);
    }

    function testFuzz_anchor_refusesWhatIsNotLonger(uint8 steps, uint64 newSize, bytes32 root) public {
        uint64 size = uint64(bound(steps, 1, 60));
        anchorAt(size);
        newSize = uint64(bound(newSize, 0, size));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotLonger.selector, place, size, newSize));
        vm.prank(writer);
        audit.anchor(place, newSize, root, none());
    }

    function test_anchor_refusesTheSameHeadAgain() public {
        anchorAt(7);
        bytes32 root = rootOf(7);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotLonger.selector, place, 7, 7));
        vm.prank(writer);
        audit.anchor(place, 7, root, none());
    }

    function test_anchor_refusesAFirstCheckpointOfNothing() public {
        bytes32 emptyRoot = sha256("");
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotLonger.selector, place, 0, 0));
        vm.prank(writer);
        audit.anchor(place, 0, emptyRoot, none());
    }

    function testFuzz_anchor_refusesSizesBeyondTheLargest(uint64 size, bytes32 root) public {
        size = uint64(bound(size, 2 ** 63, type(uint64).max));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.SizeTooLarge.selector, place, size));
        vm.prank(writer);
        audit.anchor(place, size, root, none());
    }

    function testFuzz_anchor_takesTheLargestSize(bytes32 root) public {
        vm.assume(root != 0);
        vm.prank(writer);
        audit.anchor(place, 2 ** 63 - 1, root, none());
        checkHead(2 ** 63 - 1, root, writer, false);
    }

    function testFuzz_anchor_refusesAFirstCheckpointWithAProof(bytes32[] memory proof) public {
        vm.assume(proof.length != 0);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.ProofNotEmpty.selector, place, proof.length));
        vm.prank(writer);
        audit.anchor(place, 1, keccak256("root"), proof);
    }

    function test_anchor_refusesAFirstRootOfZeros() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.RootZero.selector, place));
        vm.prank(writer);
        audit.anchor(place, 1, 0, none());
    }

    function testFuzz_anchor_refusesEverybodyElse(address caller) public {
        vm.assume(caller != writer);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NotWriter.selector, place, caller));
        vm.prank(caller);
        audit.anchor(place, 1, keccak256("root"), none());
    }

    function testFuzz_anchor_refusesUnknownPlaces(bytes32 elsewhere, address caller) public {
        vm.assume(elsewhere != place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.UnknownPlace.selector, elsewhere));
        vm.prank(caller);
        audit.anchor(elsewhere, 1, keccak256("root"), none());
    }

    /// An unregistered place has the zero address for a writer, and that must not make it one.
    function test_anchor_refusesTheZeroAddressAtUnknownPlaces() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.UnknownPlace.selector, bytes32(0)));
        vm.prank(address(0));
        audit.anchor(0, 1, keccak256("root"), none());
    }

    function test_anchor_refusesWhileHalted() public {
        vm.prank(admin);
        audit.halt(place);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IsHalted.selector, place));
        vm.prank(writer);
        audit.anchor(place, 1, keccak256("root"), none());
    }

    function test_anchor_refusesOnceFrozen() public {
        anchorAt(3);
        bytes32 successor = freeze();
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IsFrozen.selector, place, successor));
        vm.prank(writer);
        audit.anchor(place, 4, keccak256("root"), none());
    }

    function testFuzz_anchor_leavesOtherLogsAlone(uint8 steps) public {
        bytes32 other = register(OTHER_LOG);
        anchorAt(uint64(bound(steps, 1, 60)));
        (uint64 size, bytes32 root,,) = audit.head(other);
        assertEq(size, 0);
        assertEq(root, 0);
    }

    // --- pin

    function testFuzz_pin_keepsAHeadForEver(uint8 steps, uint8 more, address anyone) public {
        uint64 size = uint64(bound(steps, 1, 60));
        anchorAt(size);
        assertEq(audit.pinnedRoot(place, size), 0);
        vm.expectEmit(address(audit));
        emit IAuditLog.Pinned(place, size, rootOf(size));
        vm.prank(anyone);
        audit.pin(place);
        anchorAt(size + uint64(bound(more, 1, 60)));
        assertEq(audit.pinnedRoot(place, size), rootOf(size));
        assertEq(audit.rootAt(place, size), rootOf(size));
    }

    function test_pin_changesNothingASecondTime() public {
        anchorAt(5);
        audit.pin(place);
        vm.recordLogs();
        vm.prank(stranger);
        audit.pin(place);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(audit.pinnedRoot(place, 5), rootOf(5));
    }

    function test_pin_worksOnHaltedAndFrozenLogs() public {
        anchorAt(5);
        vm.prank(admin);
        audit.halt(place);
        audit.pin(place);
        vm.prank(admin);
        audit.resume(place);
        anchorAt(6);
        freeze();
        audit.pin(place);
        assertEq(audit.pinnedRoot(place, 5), rootOf(5));
        assertEq(audit.pinnedRoot(place, 6), rootOf(6));
    }

    function testFuzz_pin_refusesWhereNothingIs(bytes32 anywhere) public {
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.NothingAnchored.selector, anywhere));
        audit.pin(anywhere);
    }

    function testFuzz_rootAt_knowsOnlyHeadAndPins(uint64 size) public {
        anchorAt(5);
        audit.pin(place);
        anchorAt(9);
        bytes32 expected = size == 5 ? rootOf(5) : size == 9 ? rootOf(9) : bytes32(0);
        assertEq(audit.rootAt(place, size), expected);
        assertEq(audit.pinnedRoot(place, size), size == 5 ? rootOf(5) : bytes32(0));
    }

    // --- includes

    function testFuzz_includes_atHeadAndAtPins(uint8 steps, uint8 more, uint64 index) public {
        uint64 size = uint64(bound(steps, 1, 60));
        anchorAt(size);
        audit.pin(place);
        index = uint64(bound(index, 0, size - 1));
        bytes32[] memory path = pathIn(size, index);
        assertTrue(audit.includes(LOG, registrant, size, leafAt(index), path));
        uint64 newSize = size + uint64(bound(more, 1, 60));
        anchorAt(newSize);
        assertTrue(audit.includes(LOG, registrant, size, leafAt(index), path), "pinned");
        assertTrue(audit.includes(LOG, registrant, newSize, leafAt(index), pathIn(newSize, index)), "head");
    }

    function testFuzz_includes_isFalseForAnotherLeaf(uint8 steps, uint64 index, uint8 kind, bytes32 commitment) public {
        uint64 size = uint64(bound(steps, 1, 60));
        anchorAt(size);
        index = uint64(bound(index, 0, size - 1));
        bytes memory other = encode(uint8(bound(kind, 1, 7)), LOG, index, commitment);
        assertFalse(audit.includes(LOG, registrant, size, other, pathIn(size, index)));
    }

    function testFuzz_includes_isFalseForAnotherProof(uint8 steps, uint64 index, bytes32[] memory path) public {
        uint64 size = uint64(bound(steps, 2, 60));
        anchorAt(size);
        index = uint64(bound(index, 0, size - 1));
        assertFalse(audit.includes(LOG, registrant, size, leafAt(index), path));
    }

    /// A leaf stands at one index only: another index in its bytes is another leaf.
    function testFuzz_includes_isFalseAtAnotherIndex(uint8 steps, uint64 index, uint64 other) public {
        uint64 size = uint64(bound(steps, 2, 60));
        anchorAt(size);
        index = uint64(bound(index, 0, size - 1));
        other = uint64(bound(other, 0, size - 1));
        vm.assume(index != other);
        bytes memory moved = encode(1, LOG, other, keccak256(abi.encode("commitment", index)));
        assertFalse(audit.includes(LOG, registrant, size, moved, pathIn(size, index)));
        assertFalse(audit.includes(LOG, registrant, size, moved, pathIn(size, other)));
    }

    function testFuzz_includes_refusesTheLeafOfAnotherLog(bytes32 log) public {
        vm.assume(log != LOG);
        // The writer may have anchored it, in good faith or in bad: it is refused all the same.
        bytes memory leaf = encode(1, log, 0, keccak256("commitment"));
        bytes32 root = Reference.leafHash(leaf);
        vm.prank(writer);
        audit.anchor(place, 1, root, none());
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.OtherLog.selector, LOG, log));
        audit.includes(LOG, registrant, 1, leaf, none());
    }

    function testFuzz_includes_refusesAnIndexBeyondTheSize(uint64 index) public {
        anchorAt(5);
        index = uint64(bound(index, 5, type(uint64).max));
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.IndexBeyondSize.selector, index, 5));
        audit.includes(LOG, registrant, 5, leafAt(index), none());
    }

    function testFuzz_includes_refusesUnknownSizes(uint64 size) public {
        anchorAt(5);
        audit.pin(place);
        anchorAt(9);
        vm.assume(size != 5 && size != 9 && size != 0);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.SizeUnknown.selector, place, size));
        audit.includes(LOG, registrant, size, leafAt(0), none());
    }

    function testFuzz_includes_refusesOtherRegistrants(address elsewhere) public {
        anchorAt(1);
        vm.assume(elsewhere != registrant);
        bytes32 theirs = audit.placeOf(LOG, elsewhere);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.SizeUnknown.selector, theirs, 1));
        audit.includes(LOG, elsewhere, 1, leafAt(0), none());
    }

    function testFuzz_placeOf_isTheHashOfBoth(bytes32 log, address who) public view {
        assertEq(audit.placeOf(log, who), keccak256(abi.encode(log, who)));
    }

    function testFuzz_includes_refusesOtherLengths(bytes memory leaf) public {
        vm.assume(leaf.length != 74);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.LeafLength.selector, leaf.length));
        audit.includes(LOG, registrant, 1, leaf, none());
    }

    function testFuzz_includes_refusesOneByteMoreOrLess(uint64 index, bytes1 extra) public {
        bytes memory longer = bytes.concat(leafAt(index), extra);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.LeafLength.selector, 75));
        audit.includes(LOG, registrant, 1, longer, none());
        bytes memory shorter = leafAt(index);
        assembly {
            mstore(shorter, 73)
        }
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.LeafLength.selector, 73));
        audit.includes(LOG, registrant, 1, shorter, none());
    }

    function testFuzz_includes_refusesOtherVersions(uint8 version) public {
        vm.assume(version != 1);
        bytes memory leaf = leafAt(0);
        leaf[0] = bytes1(version);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.LeafVersion.selector, version));
        audit.includes(LOG, registrant, 1, leaf, none());
    }

    function testFuzz_includes_refusesOtherKinds(uint8 kind) public {
        kind = uint8(bound(kind, 7, 255));
        if (kind == 7) kind = 0;
        bytes memory leaf = encode(kind, LOG, 0, keccak256("commitment"));
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.LeafKind.selector, kind));
        audit.includes(LOG, registrant, 1, leaf, none());
    }

    // --- consistent

    function testFuzz_consistent(uint8 steps, uint8 more) public {
        uint64 oldSize = uint64(bound(steps, 1, 60));
        uint64 newSize = oldSize + uint64(bound(more, 1, 60));
        anchorAt(oldSize);
        audit.pin(place);
        anchorAt(newSize);
        bytes32[] memory proof = proofBetween(oldSize, newSize);
        assertTrue(audit.consistent(place, oldSize, newSize, proof));
        assertTrue(audit.consistent(place, oldSize, oldSize, none()));
        assertFalse(audit.consistent(place, newSize, oldSize, proof));
        assertFalse(audit.consistent(place, oldSize, newSize, Reference.append(proof, 0)));
    }

    function testFuzz_consistent_refusesUnknownSizes(uint64 size) public {
        anchorAt(5);
        vm.assume(size != 5);
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.SizeUnknown.selector, place, size));
        audit.consistent(place, size, 5, none());
        vm.expectRevert(abi.encodeWithSelector(IAuditLog.SizeUnknown.selector, place, size));
        audit.consistent(place, 5, size, none());
    }

    function testFuzz_unknownPlacesAreEmpty(bytes32 elsewhere, uint64 size) public {
        vm.assume(elsewhere != place);
        assertEq(audit.rootAt(elsewhere, size), 0);
        assertEq(audit.pinnedRoot(elsewhere, size), 0);
        place = elsewhere;
        checkHead(0, 0, address(0), false);
    }
}
