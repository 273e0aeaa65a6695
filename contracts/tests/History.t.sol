// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { Vm } from "forge-std/Vm.sol";
import { AuditLog } from "../src/AuditLog.sol";
import { IAuditLog, Role } from "../src/IAuditLog.sol";
import { Actors } from "./Invariants.t.sol";

/// An explorer that reads events and nothing else comes to all that the contract would answer: heads, writers, halts, roles,
/// announcements, pins and successions, of every log.
contract HistoryTest is Test {
    struct Told {
        uint64 size;
        bytes32 root;
        bool halted;
        bytes32 log;
        address registrant;
        uint64 delay;
        bytes32 successor;
        bytes32 proposedSuccessor;
        uint64 successorReadyAt;
    }

    uint256 private constant ACTS = 150;

    AuditLog private audit;
    bytes32[] private places;
    mapping(bytes32 place => Told) private told;
    mapping(bytes32 place => mapping(Role => address)) private holder;
    mapping(bytes32 place => mapping(Role => address)) private proposed;
    mapping(bytes32 place => mapping(Role => uint64)) private readyAt;
    mapping(bytes32 place => mapping(uint64 size => bytes32)) private pinned;
    mapping(bytes32 place => uint64[]) private pins;
    uint256 private drawn;

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_theEventsAreTheWholeHistory(uint256 seed) public {
        vm.warp(1_800_000_000);
        vm.recordLogs();
        audit = new AuditLog();
        Actors actors = new Actors(audit);
        for (uint256 i = 0; i < ACTS; ++i) {
            act(actors, draw(seed) % 14, seed);
        }
        Vm.Log[] memory events = vm.getRecordedLogs();
        for (uint256 i = 0; i < events.length; ++i) {
            assertEq(events[i].emitter, address(audit), "nobody else says anything");
            read(events[i].topics, events[i].data);
        }
        assertEq(places.length, 3);
        for (uint256 i = 0; i < places.length; ++i) {
            check(places[i]);
        }
    }

    function draw(uint256 seed) private returns (uint256) {
        return uint256(keccak256(abi.encode(seed, ++drawn)));
    }

    function act(Actors actors, uint256 which, uint256 seed) private {
        (uint256 where, uint256 who, uint256 more) = (draw(seed), draw(seed), draw(seed));
        // forge-lint: disable-next-item(unsafe-typecast) any number will do
        uint8 number = uint8(more);
        if (which < 3) actors.anchor(where, who, number);
        else if (which == 3) actors.pin(where, who);
        else if (which == 4) actors.takeOver(where, who);
        else if (which == 5) actors.halt(where, who);
        else if (which == 6) actors.resume(where, who);
        else if (which == 7) actors.propose(where, who, number, draw(seed));
        else if (which == 8) actors.cancel(where, who, number);
        else if (which == 9) actors.enact(where, who, number);
        else if (which == 10) actors.proposeSuccessor(where, who, more);
        else if (which == 11) actors.cancelSuccessor(where, who);
        else if (which == 12) actors.succeed(where, who);
        else actors.wait_(more);
    }

    function read(bytes32[] memory topics, bytes memory data) private {
        (bytes32 kind, bytes32 place) = (topics[0], topics[1]);
        Told storage it = told[place];
        if (kind == IAuditLog.Registered.selector) {
            places.push(place);
            (it.log, it.registrant) = (topics[2], address(uint160(uint256(topics[3]))));
            (holder[place][Role.Writer], holder[place][Role.Standby], holder[place][Role.Admin], it.delay) =
                abi.decode(data, (address, address, address, uint64));
        } else if (kind == IAuditLog.Anchored.selector) {
            uint64 before;
            (it.root, before) = abi.decode(data, (bytes32, uint64));
            assertEq(before, it.size, "each head names the one before it");
            it.size = uint64(uint256(topics[2]));
        } else if (kind == IAuditLog.Pinned.selector) {
            uint64 size = uint64(uint256(topics[2]));
            pinned[place][size] = abi.decode(data, (bytes32));
            pins[place].push(size);
        } else if (kind == IAuditLog.Halted.selector || kind == IAuditLog.Resumed.selector) {
            it.halted = kind == IAuditLog.Halted.selector;
        } else if (kind == IAuditLog.StandbyTookOver.selector) {
            (, holder[place][Role.Writer]) = abi.decode(data, (address, address));
            holder[place][Role.Standby] = address(0);
        } else if (kind == IAuditLog.SuccessorProposed.selector) {
            (it.proposedSuccessor, it.successorReadyAt) = (topics[2], abi.decode(data, (uint64)));
        } else if (kind == IAuditLog.SuccessorCancelled.selector) {
            (it.proposedSuccessor, it.successorReadyAt) = (0, 0);
        } else if (kind == IAuditLog.Succeeded.selector) {
            (it.successor, it.halted, it.proposedSuccessor, it.successorReadyAt) = (topics[2], true, 0, 0);
        } else {
            readOfRole(place, kind, Role(uint256(topics[2])), data);
        }
    }

    function readOfRole(bytes32 place, bytes32 kind, Role role, bytes memory data) private {
        if (kind == IAuditLog.Proposed.selector) {
            (proposed[place][role], readyAt[place][role]) = abi.decode(data, (address, uint64));
            return;
        }
        (proposed[place][role], readyAt[place][role]) = (address(0), 0);
        if (kind == IAuditLog.Cancelled.selector) return;
        assertEq(kind, IAuditLog.RoleChanged.selector, "an event that nobody told the explorer of");
        (, holder[place][role]) = abi.decode(data, (address, address));
    }

    function check(bytes32 place) private view {
        Told storage it = told[place];
        (uint64 size, bytes32 root, address writer, bool halted) = audit.head(place);
        assertEq(size, it.size, "size");
        assertEq(root, it.root, "root");
        assertEq(writer, holder[place][Role.Writer], "writer");
        assertEq(halted, it.halted, "halted");
        checkCharter(place, it);
        for (uint256 i = 0; i < 3; ++i) {
            (address whom, uint64 time) = audit.proposal(place, Role(i));
            assertEq(whom, proposed[place][Role(i)], "proposed");
            assertEq(time, readyAt[place][Role(i)], "ready at");
        }
        (bytes32 next, uint64 ready) = audit.successorProposal(place);
        assertEq(next, it.proposedSuccessor, "proposed successor");
        assertEq(ready, it.successorReadyAt, "successor ready at");
        for (uint256 i = 0; i < pins[place].length; ++i) {
            uint64 pin = pins[place][i];
            assertEq(audit.pinnedRoot(place, pin), pinned[place][pin], "pin");
        }
    }

    function checkCharter(bytes32 place, Told storage it) private view {
        (bytes32 log, address registrant, address admin, address standby, uint64 delay, bytes32 successor) =
            audit.charter(place);
        assertEq(log, it.log, "log");
        assertEq(registrant, it.registrant, "registrant");
        assertEq(admin, holder[place][Role.Admin], "admin");
        assertEq(standby, holder[place][Role.Standby], "standby");
        assertEq(delay, it.delay, "delay");
        assertEq(successor, it.successor, "successor");
    }
}
