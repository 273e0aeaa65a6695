// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { AuditLog } from "../src/AuditLog.sol";
import { Role } from "../src/IAuditLog.sol";
import { Reference } from "./Reference.sol";

/// Any account does any act on one of three logs at any time, and a plain model says whether it must succeed. So each role is
/// played by its holder, by former and future holders, and by strangers.
contract Actors is Test {
    struct Model {
        address writer;
        address standby;
        address admin;
        bool halted;
        bytes32 successor;
        uint256 frozenSize;
        // What the log holds: hashes of leaves, and the sizes at which it was anchored and pinned.
        bytes32[] leaves;
        uint64[] anchored;
        bytes32[] roots;
        uint64[] pinned;
        mapping(Role => address) proposed;
        mapping(Role => uint256) readyAt;
        bytes32 proposedSuccessor;
        uint256 successorReadyAt;
    }

    uint256 private constant LEAVES_MAX = 150;
    uint64 private constant DELAY = 1 days;
    uint64 private constant WINDOW = 14 days;

    AuditLog public immutable audit;
    bytes32[] public places;
    address[] private accounts;
    mapping(bytes32 place => Model) private models;
    mapping(string act => uint256) public done;

    constructor(AuditLog audit_) {
        audit = audit_;
        for (uint256 i = 0; i < 5; ++i) {
            accounts.push(makeAddr(vm.toString(i)));
        }
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 place = audit.register(keccak256(abi.encode(i)), accounts[0], accounts[1], accounts[2], DELAY);
            places.push(place);
            Model storage model = models[place];
            (model.writer, model.standby, model.admin) = (accounts[0], accounts[1], accounts[2]);
        }
    }

    // --- the acts

    function anchor(uint256 where, uint256 who, uint8 steps) external {
        (bytes32 place, Model storage model) = logOf(where);
        uint64 oldSize = sizeOf(model);
        uint64 newSize = oldSize + uint64(bound(steps, 1, 20));
        if (newSize > LEAVES_MAX) return;
        for (uint64 i = oldSize; i < newSize; ++i) {
            model.leaves.push(Reference.leafHash(abi.encode(place, i, steps)));
        }
        bytes32[] memory leaves = model.leaves;
        bytes32 root = Reference.root(leaves);
        bytes32[] memory proof = oldSize == 0 ? new bytes32[](0) : Reference.consistency(oldSize, leaves);
        address caller = account(who, model.writer);
        bool allowed = caller == model.writer && !model.halted && model.successor == 0;
        if (act("anchor", caller, abi.encodeCall(audit.anchor, (place, newSize, root, proof)), allowed)) {
            model.anchored.push(newSize);
            model.roots.push(root);
        } else {
            while (model.leaves.length > oldSize) model.leaves.pop();
        }
    }

    /// The writer's own key, a past that is changed at one leaf, and the best proof there is for it.
    function anchorRewritten(uint256 where, uint8 steps, uint256 victim) external {
        (bytes32 place, Model storage model) = logOf(where);
        uint64 oldSize = sizeOf(model);
        if (oldSize == 0) return;
        uint64 newSize = oldSize + uint64(bound(steps, 1, 20));
        bytes32[] memory leaves = new bytes32[](newSize);
        for (uint256 i = 0; i < newSize; ++i) {
            leaves[i] = i < oldSize ? model.leaves[i] : Reference.leafHash(abi.encode(place, i));
        }
        leaves[bound(victim, 0, oldSize - 1)] = keccak256(abi.encode("rewritten", victim));
        bytes32[] memory proof = Reference.consistency(oldSize, leaves);
        bytes memory call = abi.encodeCall(audit.anchor, (place, newSize, Reference.root(leaves), proof));
        act("anchorRewritten", model.writer, call, false);
    }

    /// The writer's own key and whatever comes to mind, once there is a head to protect.
    function anchorAnything(uint256 where, uint64 newSize, bytes32 root, bytes32[] memory proof) external {
        (bytes32 place, Model storage model) = logOf(where);
        if (sizeOf(model) == 0) return;
        act("anchorAnything", model.writer, abi.encodeCall(audit.anchor, (place, newSize, root, proof)), false);
    }

    function pin(uint256 where, uint256 who) external {
        (bytes32 place, Model storage model) = logOf(where);
        uint64 size = sizeOf(model);
        if (act("pin", account(who), abi.encodeCall(audit.pin, (place)), size != 0)) model.pinned.push(size);
    }

    function takeOver(uint256 where, uint256 who) external {
        (bytes32 place, Model storage model) = logOf(where);
        address caller = account(who);
        bool allowed =
            model.successor == 0 && (caller == model.admin || caller == model.writer) && model.standby != address(0);
        if (act("takeOver", caller, abi.encodeCall(audit.takeOver, (place)), allowed)) {
            (model.writer, model.standby) = (model.standby, address(0));
        }
    }

    function halt(uint256 where, uint256 who) external {
        (bytes32 place, Model storage model) = logOf(where);
        address caller = account(who, model.admin);
        bool allowed = isAdmin(model, caller) && !model.halted;
        if (act("halt", caller, abi.encodeCall(audit.halt, (place)), allowed)) model.halted = true;
    }

    function resume(uint256 where, uint256 who) external {
        (bytes32 place, Model storage model) = logOf(where);
        address caller = account(who, model.admin);
        bool allowed = isAdmin(model, caller) && model.halted;
        if (act("resume", caller, abi.encodeCall(audit.resume, (place)), allowed)) model.halted = false;
    }

    function propose(uint256 where, uint256 who, uint8 number, uint256 whom) external {
        (bytes32 place, Model storage model) = logOf(where);
        (address caller, Role role, address holder) = (account(who, model.admin), Role(number % 3), account(whom));
        if (whom % 7 == 0) holder = address(0);
        bool allowed = isAdmin(model, caller) && (holder != address(0) || role == Role.Standby);
        if (act("propose", caller, abi.encodeCall(audit.propose, (place, role, holder)), allowed)) {
            (model.proposed[role], model.readyAt[role]) = (holder, block.timestamp + DELAY);
        }
    }

    function cancel(uint256 where, uint256 who, uint8 number) external {
        (bytes32 place, Model storage model) = logOf(where);
        (address caller, Role role) = (account(who, model.admin), Role(number % 3));
        bool allowed = isAdmin(model, caller) && model.readyAt[role] != 0;
        if (act("cancel", caller, abi.encodeCall(audit.cancel, (place, role)), allowed)) {
            (model.proposed[role], model.readyAt[role]) = (address(0), 0);
        }
    }

    function enact(uint256 where, uint256 who, uint8 number) external {
        (bytes32 place, Model storage model) = logOf(where);
        Role role = Role(number % 3);
        address holder = model.proposed[role];
        address caller = account(who, role == Role.Admin ? holder : model.admin);
        bool allowed = model.successor == 0 && isOpen(model.readyAt[role])
            && caller == (role == Role.Admin ? holder : model.admin);
        if (!act("enact", caller, abi.encodeCall(audit.enact, (place, role)), allowed)) return;
        (model.proposed[role], model.readyAt[role]) = (address(0), 0);
        if (role == Role.Admin) model.admin = holder;
        else if (role == Role.Writer) model.writer = holder;
        else model.standby = holder;
    }

    function proposeSuccessor(uint256 where, uint256 who, uint256 next) external {
        (bytes32 place, Model storage model) = logOf(where);
        (bytes32 successor, Model storage other) = logOf(next);
        address caller = account(who, model.admin);
        bool allowed = isAdmin(model, caller) && place != successor && other.successor == 0;
        bytes memory call = abi.encodeCall(audit.proposeSuccessor, (place, successor));
        if (act("proposeSuccessor", caller, call, allowed)) {
            (model.proposedSuccessor, model.successorReadyAt) = (successor, block.timestamp + DELAY);
        }
    }

    function cancelSuccessor(uint256 where, uint256 who) external {
        (bytes32 place, Model storage model) = logOf(where);
        address caller = account(who, model.admin);
        bool allowed = isAdmin(model, caller) && model.successorReadyAt != 0;
        if (act("cancelSuccessor", caller, abi.encodeCall(audit.cancelSuccessor, (place)), allowed)) {
            (model.proposedSuccessor, model.successorReadyAt) = (0, 0);
        }
    }

    function succeed(uint256 where, uint256 who) external {
        (bytes32 place, Model storage model) = logOf(where);
        address caller = account(who);
        bool allowed =
            isAdmin(model, caller) && isOpen(model.successorReadyAt) && models[model.proposedSuccessor].successor == 0;
        if (act("succeed", caller, abi.encodeCall(audit.succeed, (place)), allowed)) {
            (model.successor, model.halted, model.frozenSize) = (model.proposedSuccessor, true, sizeOf(model));
            (model.proposedSuccessor, model.successorReadyAt) = (0, 0);
        }
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 1 days));
    }

    function waitLong(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 days, 16 days));
    }

    // --- what must hold

    function checkHead(bytes32 place) external view {
        Model storage model = models[place];
        (uint64 size, bytes32 root,,) = audit.head(place);
        assertEq(size, sizeOf(model));
        assertEq(size, model.leaves.length);
        if (size == 0) assertEq(root, 0);
        else assertEq(root, model.roots[model.roots.length - 1]);
        if (model.successor != 0) assertEq(size, model.frozenSize);
    }

    /// A head only grows, and each one holds the leaves of all before it: the model's list was only ever appended to, and every
    /// root that was ever anchored is recomputed from it.
    function checkHistory(bytes32 place) external view {
        Model storage model = models[place];
        for (uint256 i = 0; i < model.anchored.length; ++i) {
            if (i != 0) assertLt(model.anchored[i - 1], model.anchored[i]);
            assertEq(Reference.root(model.leaves, 0, model.anchored[i]), model.roots[i]);
        }
        for (uint256 i = 0; i < model.pinned.length; ++i) {
            assertEq(audit.pinnedRoot(place, model.pinned[i]), Reference.root(model.leaves, 0, model.pinned[i]));
        }
    }

    function checkRoles(bytes32 place) external view {
        Model storage model = models[place];
        (,, address writer, bool halted) = audit.head(place);
        (,, address admin, address standby, uint64 delay, bytes32 successor) = audit.charter(place);
        assertEq(writer, model.writer);
        assertEq(halted, model.halted);
        assertEq(admin, model.admin);
        assertEq(standby, model.standby);
        assertEq(delay, DELAY);
        assertEq(successor, model.successor);
        assertNotEq(admin, address(0));
        assertNotEq(writer, address(0));
        for (uint8 i = 0; i < 3; ++i) {
            (address holder, uint64 readyAt) = audit.proposal(place, Role(i));
            assertEq(holder, model.proposed[Role(i)]);
            assertEq(readyAt, model.readyAt[Role(i)]);
        }
        (bytes32 proposed, uint64 successorReadyAt) = audit.successorProposal(place);
        assertEq(proposed, model.proposedSuccessor);
        assertEq(successorReadyAt, model.successorReadyAt);
    }

    /// Following successors ends at a log that lives.
    function checkSuccession(bytes32 place) external view {
        bytes32 next = place;
        for (uint256 i = 0; i <= places.length; ++i) {
            (,,,,, bytes32 successor) = audit.charter(next);
            if (successor == 0) return;
            next = successor;
        }
        revert("the successors go round in a circle");
    }

    // --- how an act is done

    function act(string memory name, address caller, bytes memory call, bool allowed) private returns (bool) {
        vm.prank(caller);
        (bool success, bytes memory answer) = address(audit).call(call);
        assertEq(success, allowed, name);
        // Each refusal names its cause: an error of ours, never a panic and never silence.
        if (!success) assertTrue(answer.length >= 4 && bytes4(answer) != 0x4e487b71, name);
        if (success) ++done[name];
        return success;
    }

    function logOf(uint256 where) private view returns (bytes32 place, Model storage model) {
        place = places[where % places.length];
        model = models[place];
    }

    function account(uint256 who) private view returns (address) {
        return accounts[who % accounts.length];
    }

    /// Three times in four the one who may, so that acts succeed often enough to lead somewhere; else anybody.
    function account(uint256 who, address fitting) private view returns (address) {
        return who % 4 == 0 ? account(who / 4) : fitting;
    }

    function isAdmin(Model storage model, address caller) private view returns (bool) {
        return caller == model.admin && model.successor == 0;
    }

    function isOpen(uint256 readyAt) private view returns (bool) {
        return readyAt != 0 && readyAt <= block.timestamp && block.timestamp < readyAt + WINDOW;
    }

    function sizeOf(Model storage model) private view returns (uint64) {
        return model.anchored.length == 0 ? 0 : model.anchored[model.anchored.length - 1];
    }
}

contract InvariantsTest is Test {
    Actors private actors;

    function setUp() public {
        actors = new Actors(new AuditLog());
        targetContract(address(actors));
    }

    function invariant_headsOnlyGrow_rolesOnlyRotate_successionsEnd() public view {
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 place = actors.places(i);
            actors.checkHead(place);
            actors.checkRoles(place);
            actors.checkSuccession(place);
        }
    }

    /// The slow part once a run. With -vv it shows how many acts of each kind succeeded.
    function afterInvariant() public {
        for (uint256 i = 0; i < 3; ++i) {
            actors.checkHistory(actors.places(i));
        }
        string[11] memory names = [
            "anchor",
            "pin",
            "takeOver",
            "halt",
            "resume",
            "propose",
            "cancel",
            "enact",
            "proposeSuccessor",
            "cancelSuccessor",
            "succeed"
        ];
        for (uint256 i = 0; i < names.length; ++i) {
            emit log_named_uint(names[i], actors.done(names[i]));
        }
    }
}
