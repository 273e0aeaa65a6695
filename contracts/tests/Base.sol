// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { AuditLog } from "../src/AuditLog.sol";
import { IAuditLog, Role } from "../src/IAuditLog.sol";
import { Reference } from "./Reference.sol";

/// One log with its roles, the leaves that it holds, and the honest way to anchor them.
abstract contract Base is Test {
    AuditLog internal audit;

    bytes32 internal constant LOG = keccak256("a log's id");
    bytes32 internal constant OTHER_LOG = keccak256("another log's id");
    uint64 internal constant DELAY = 2 days;

    address internal immutable registrant = makeAddr("registrant");
    address internal immutable writer = makeAddr("writer");
    address internal immutable standby = makeAddr("standby");
    address internal immutable admin = makeAddr("admin");
    address internal immutable stranger = makeAddr("stranger");

    bytes32 internal place;
    bytes32[] internal hashes;

    function setUp() public virtual {
        audit = new AuditLog();
        place = register(LOG);
        vm.warp(1_800_000_000);
    }

    function register(bytes32 log) internal returns (bytes32) {
        vm.prank(registrant);
        return audit.register(log, writer, standby, admin, DELAY);
    }

    /// The leaf at an index of this log: a posting whose commitment is made up.
    function leafAt(uint64 index) internal pure returns (bytes memory) {
        return encode(1, LOG, index, keccak256(abi.encode("commitment", index)));
    }

    function encode(uint8 kind, bytes32 log, uint64 index, bytes32 commitment) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), kind, log, index, commitment);
    }

    /// Lets the log grow to a size, off chain.
    function grow(uint64 size) internal {
        for (uint64 index = uint64(hashes.length); index < size; ++index) {
            hashes.push(Reference.leafHash(leafAt(index)));
        }
    }

    function rootOf(uint64 size) internal view returns (bytes32) {
        return Reference.root(hashes, 0, size);
    }

    function proofBetween(uint64 oldSize, uint64 newSize) internal view returns (bytes32[] memory) {
        if (oldSize == 0 || oldSize == newSize) return new bytes32[](0);
        return Reference.consistency(oldSize, Reference.prefix(hashes, newSize));
    }

    function pathIn(uint64 size, uint64 index) internal view returns (bytes32[] memory) {
        return Reference.path(index, Reference.prefix(hashes, size));
    }

    function headSize() internal view returns (uint64 size) {
        (size,,,) = audit.head(place);
    }

    /// Grows the log to a size and anchors it there.
    function anchorAt(uint64 size) internal {
        grow(size);
        bytes32[] memory proof = proofBetween(headSize(), size);
        bytes32 root = rootOf(size);
        vm.prank(writer);
        audit.anchor(place, size, root, proof);
    }

    function none() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }

    function toRole(uint8 number) internal pure returns (Role) {
        return Role(number % 3);
    }

    /// Ends the log in favour of another one of the same roles.
    function freeze() internal returns (bytes32 successor) {
        successor = register(OTHER_LOG);
        vm.prank(admin);
        audit.proposeSuccessor(place, successor);
        vm.warp(block.timestamp + DELAY);
        vm.prank(admin);
        audit.succeed(place);
    }

    function checkHead(uint64 size, bytes32 root, address expectedWriter, bool halted) internal view {
        (uint64 s, bytes32 r, address w, bool h) = audit.head(place);
        assertEq(s, size, "size");
        assertEq(r, root, "root");
        assertEq(w, expectedWriter, "writer");
        assertEq(h, halted, "halted");
    }
}
