// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { Claim } from "../src/IPointsGateway.sol";
import { ExpiryAmount, Withdrawal } from "../src/Withdrawal.sol";
import { GatewayBase } from "./GatewayBase.sol";
import { Reference } from "./Reference.sol";

/// The books withdraw, the log is anchored and followed by another, heads are settled and cancelled, anybody claims anything against
/// anything, alone and in batches, holders transfer and burn, with permits too, roles stop what they can stop and pass on; beside
/// a model of the books that says which act must succeed.
contract GatewayActors is GatewayBase {
    struct Taken {
        Withdrawal body;
        uint256 total;
        bytes32 log;
        uint64 leafIndex;
        bool paid;
    }

    struct HeadModel {
        bytes32 log;
        uint64 size;
        bytes32 root;
        uint256 maturesAt;
        bool cancelled;
    }

    Taken[] private taken;
    HeadModel[] private heads;
    address[] private holders;
    uint256[] private keys;
    uint256 private immutable origin;
    bool private halted;
    bool private stopped;
    // The log that follows the first one, and the first one's leaves once it is followed.
    bytes32 private successor;
    bytes32[] private firstHashes;
    address private watchful = guardian;

    // The books' `bridge` account, and where what left it has gone.
    uint256 private bridge;
    uint256 private lapsed;
    uint256 private burnedForCredit;
    uint256 private burnedOtherwise;
    uint256 private burnCount;
    mapping(string act => uint256) public done;

    constructor() {
        GatewayBase.setUp();
        origin = firstEpoch();
        vm.prank(upgrader);
        points.setMintMax(3000);
        for (uint256 i = 0; i < 3; ++i) {
            (address who, uint256 key) = makeAddrAndKey(vm.toString(i));
            holders.push(who);
            keys.push(key);
        }
    }

    // --- the acts

    function withdraw(uint256 who, uint64[2] memory amounts, uint256[2] memory days_, uint256 lifespan) external {
        if (hashes.length > 60) return;
        Withdrawal memory it = someWithdrawal(keccak256(abi.encode("id", taken.length)), 1);
        // A careless book-keeper: the id of an earlier withdrawal again.
        if (who % 8 == 7 && taken.length != 0) it.id = taken[who % taken.length].body.id;
        it.holder = account(who);
        it.claimBefore = uint64(block.timestamp + bound(lifespan, 1 hours, 30 days));
        it.amounts = new ExpiryAmount[](2);
        int32 day = today() + int32(int256(bound(days_[0], 0, 400))) - 5;
        it.amounts[0] = ExpiryAmount({ day: day, amount: uint64(bound(amounts[0], 1, 1000)) });
        day += int32(int256(bound(days_[1], 1, 100)));
        it.amounts[1] = ExpiryAmount({ day: day, amount: uint64(bound(amounts[1], 1, 1000)) });
        taken.push();
        Taken storage last = taken[taken.length - 1];
        last.total = it.amounts[0].amount + it.amounts[1].amount;
        last.log = written;
        last.leafIndex = append(2, encodeBody(it)).leafIndex;
        keep(last.body, it);
        bridge += last.total;
        ++done["withdraw"];
    }

    function anchor(uint8 more) external {
        if (halted || frozen()) return;
        uint64 size = uint64(hashes.length) + more % 3;
        if (size <= headSize() || 80 < size) return;
        anchorAt(size);
        ++done["anchor"];
    }

    function settle(uint256 who) external {
        uint64 size = headSize();
        bool may = size != 0 && !halted && !frozen();
        for (uint256 i = 0; i < heads.length; ++i) {
            if (heads[i].log == written && heads[i].size == size) may = false;
        }
        if (act("settle", account(who), address(gateway), abi.encodeCall(gateway.settle, (place)), may)) {
            heads.push(HeadModel(written, size, rootOf(size), block.timestamp + CLAIM_DELAY, false));
        }
    }

    function cancel(uint256 who, uint256 which) external {
        if (heads.length == 0 || who % 4 != 0) return;
        HeadModel storage head = heads[which % heads.length];
        address caller = who % 8 == 0 ? account(who) : watchful;
        bool may = caller == watchful && !head.cancelled && block.timestamp < head.maturesAt;
        bytes memory call = abi.encodeCall(gateway.cancel, (head.log, head.size, head.root));
        if (act("cancel", caller, address(gateway), call, may)) head.cancelled = true;
    }

    function claim(uint256 who, uint256 which, uint256 against) external {
        if (taken.length == 0 || heads.length == 0) return;
        Taken storage it = taken[which % taken.length];
        HeadModel storage head = heads[against % heads.length];
        (, uint256 left) = points.mintAllowance();
        bytes memory call = abi.encodeCall(gateway.claim, (claimOf(it, head)));
        (bool may,) = pays(it, head, left);
        act("claim", account(who), address(gateway), call, may);
    }

    /// Two at once, perhaps the same one twice: each is paid as it would be alone after the one before.
    function claimBatch(uint256 who, uint256[2] memory which, uint256[2] memory against) external {
        if (taken.length == 0 || heads.length == 0) return;
        (, uint256 left) = points.mintAllowance();
        Claim[] memory claims = new Claim[](2);
        uint256 expected = 0;
        for (uint256 i = 0; i < 2; ++i) {
            Taken storage it = taken[which[i] % taken.length];
            HeadModel storage head = heads[against[i] % heads.length];
            claims[i] = claimOf(it, head);
            (bool may, uint256 minted) = pays(it, head, left);
            left -= minted;
            if (may) ++expected;
        }
        vm.prank(account(who));
        assertEq(gateway.claimBatch(claims), expected, "claimBatch");
        if (expected != 0) ++done["claimBatch"];
    }

    /// A true leaf and a true proof, and a body that says more, or somebody else.
    function claimForged(uint256 who, uint256 which, uint64 amount, bool open) external {
        if (taken.length == 0 || heads.length == 0) return;
        Taken storage it = taken[which % taken.length];
        Claim memory forged = claimOf(it, heads[which % heads.length]);
        Withdrawal memory body = it.body;
        body.holder = account(who);
        body.id = keccak256("forged");
        body.claimBefore = type(uint64).max;
        body.amounts[1] = ExpiryAmount({ day: today() + 365, amount: uint64(bound(amount, 1, 1000)) });
        body.amounts[0].day = today() + 364;
        forged.body = encodeBody(body);
        // With the commitment to the true body, or to the false one.
        if (open) forged.parts = partsOf(forged.body);
        act("claimForged", account(who), address(gateway), abi.encodeCall(gateway.claim, (forged)), false);
    }

    function transfer(uint256 from, uint256 to, uint256 amount) external {
        address sender = account(from);
        amount = bound(amount, 0, points.balanceOf(sender));
        act("transfer", sender, address(points), abi.encodeCall(points.transfer, (account(to), amount)), !stopped);
    }

    /// Never asks whether anything is stopped.
    function burn(uint256 from, uint256 amount) external {
        address sender = account(from);
        uint256 balance = points.balanceOf(sender);
        amount = bound(amount, 0, balance + 1);
        vm.prank(sender);
        points.approve(address(gateway), amount);
        bool may = BURN_MIN <= amount && amount <= balance;
        if (act("burn", sender, address(gateway), abi.encodeCall(gateway.burn, (amount, "credit")), may)) {
            burnedForCredit += amount;
            assertEq(gateway.burns(), ++burnCount);
        }
    }

    /// With the holder's signature, which somebody may have used before, or with another's.
    function burnWithPermit(uint256 from, uint256 amount, bool forged, bool seen) external {
        address sender = account(from);
        uint256 balance = points.balanceOf(sender);
        amount = bound(amount, 0, balance + 1);
        uint256 until = block.timestamp + 1 hours;
        (uint8 v, bytes32 r, bytes32 s) = permit(sender, keys[(from % 3 + (forged ? 1 : 0)) % 3], amount, until);
        if (seen && !forged) {
            IERC20Permit(address(points)).permit(sender, address(gateway), amount, until, v, r, s);
        }
        bool may = BURN_MIN <= amount && amount <= balance;
        if (forged) may = may && amount <= points.allowance(sender, address(gateway));
        bytes memory call = abi.encodeCall(gateway.burnWithPermit, (amount, "credit", until, v, r, s));
        if (act("burnWithPermit", sender, address(gateway), call, may)) {
            burnedForCredit += amount;
            assertEq(gateway.burns(), ++burnCount);
        }
    }

    function burnDirectly(uint256 from, uint256 amount) external {
        address sender = account(from);
        amount = bound(amount, 0, points.balanceOf(sender));
        act("burnDirectly", sender, address(points), abi.encodeCall(points.burn, (amount)), true);
        burnedOtherwise += amount;
    }

    /// Ends the first log in favour of another.
    function succeed(uint256 number) external {
        if (number % 4 != 0 || successor != 0) return;
        successor = freeze();
        ++done["succeed"];
    }

    function follow(uint256 who) external {
        if (!act("follow", account(who), address(gateway), abi.encodeCall(gateway.follow, ()), frozen())) return;
        assertEq(gateway.place(), successor);
        (place, written, halted) = (successor, OTHER_LOG, false);
        firstHashes = hashes;
        delete hashes;
    }

    function setGuardian(uint256 who, uint256 which) external {
        address caller = who % 2 == 0 ? account(who) : upgrader;
        address next = which % 4 == 0 ? address(0) : account(which);
        bool may = caller == upgrader && next != address(0);
        if (act("setGuardian", caller, address(gateway), abi.encodeCall(gateway.setGuardian, (next)), may)) {
            watchful = next;
        }
    }

    function halt(uint256 number) external {
        if (number % 4 != 0 || frozen()) return;
        vm.prank(admin);
        if (halted) audit.resume(place);
        else audit.halt(place);
        halted = !halted;
    }

    function pause(uint256 number) external {
        if (!stopped && number % 4 != 0) return;
        vm.prank(pauser);
        if (stopped) points.resume();
        else points.pause();
        stopped = !stopped;
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 10 minutes, 2 hours));
    }

    function waitLong(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 days, 20 days));
    }

    // --- what must hold

    /// Nothing is on the chain but what the withdrawal leaves of heads that stood for the delay allow.
    function checkAllowed() external view {
        uint256 allowed = 0;
        for (uint256 i = 0; i < taken.length; ++i) {
            bool shown = false;
            for (uint256 j = 0; j < heads.length; ++j) {
                if (heads[j].cancelled || block.timestamp < heads[j].maturesAt) continue;
                if (taken[i].log == heads[j].log && taken[i].leafIndex < heads[j].size) shown = true;
            }
            if (shown) allowed += taken[i].total;
        }
        assertLe(points.totalSupply() + burnedForCredit + burnedOtherwise, allowed);
    }

    /// bridge = unexpired supply + unclaimed withdrawals + burns + what has expired, on the chain or on the way.
    function checkBooks() external view {
        uint256 unclaimed = 0;
        for (uint256 i = 0; i < taken.length; ++i) {
            if (!taken[i].paid) unclaimed += taken[i].total;
        }
        uint256 expired = 0;
        for (uint256 epoch = origin; epoch < firstEpoch(); ++epoch) {
            expired += points.supplyAtEpoch(epoch);
        }
        uint256 burned = burnedForCredit + burnedOtherwise;
        assertEq(points.totalSupply() + unclaimed + burned + expired + lapsed, bridge);
    }

    // --- the model

    function account(uint256 number) private view returns (address) {
        return holders[number % holders.length];
    }

    /// The first log has ended, and the gateway has not gone over.
    function frozen() private view returns (bool) {
        return successor != 0 && place != successor;
    }

    /// Whether a claim is paid, and with how much; it is then.
    function pays(Taken storage it, HeadModel storage head, uint256 left) private returns (bool may, uint256 minted) {
        uint256 gone;
        (minted, gone) = split(it.body);
        may = it.log == head.log && it.leafIndex < head.size && !head.cancelled && head.maturesAt <= block.timestamp
            && block.timestamp < it.body.claimBefore && !isPaid(it.body.id) && !stopped && minted != 0 && minted <= left;
        if (!may) return (false, 0);
        it.paid = true;
        lapsed += gone;
    }

    function permit(address owner, uint256 key, uint256 amount, uint256 until)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        IERC20Permit token = IERC20Permit(address(points));
        bytes32 words = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                owner,
                address(gateway),
                amount,
                token.nonces(owner),
                until
            )
        );
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), words)));
    }

    function keep(Withdrawal storage to, Withdrawal memory it) private {
        (to.chainId, to.gateway, to.holder) = (it.chainId, it.gateway, it.holder);
        (to.id, to.claimBefore) = (it.id, it.claimBefore);
        for (uint256 i = 0; i < it.amounts.length; ++i) {
            to.amounts.push(it.amounts[i]);
        }
    }

    function isPaid(bytes32 id) private view returns (bool) {
        for (uint256 i = 0; i < taken.length; ++i) {
            if (taken[i].paid && taken[i].body.id == id) return true;
        }
        return false;
    }

    function split(Withdrawal memory it) private view returns (uint256 minted, uint256 gone) {
        for (uint256 i = 0; i < it.amounts.length; ++i) {
            if (endOf(firstEpoch()) <= endOfDay(it.amounts[i].day)) minted += it.amounts[i].amount;
            else gone += it.amounts[i].amount;
        }
    }

    function claimOf(Taken storage it, HeadModel storage head) private view returns (Claim memory made) {
        made.log = head.log;
        made.leafIndex = it.leafIndex;
        made.body = encodeBody(it.body);
        made.parts = partsOf(made.body);
        made.salt = SALT;
        made.size = head.size;
        made.root = head.root;
        if (it.log != head.log || head.size <= it.leafIndex) return made;
        bytes32[] storage leaves = it.log == written ? hashes : firstHashes;
        made.proof = Reference.path(it.leafIndex, Reference.prefix(leaves, head.size));
    }

    function act(string memory name, address caller, address to, bytes memory call, bool may) private returns (bool) {
        vm.prank(caller);
        (bool success, bytes memory answer) = to.call(call);
        assertEq(success, may, name);
        if (!success) assertTrue(answer.length >= 4 && bytes4(answer) != 0x4e487b71, name);
        if (success) ++done[name];
        return success;
    }
}

contract GatewayInvariantsTest is Test {
    GatewayActors private actors;

    function setUp() public {
        actors = new GatewayActors();
        targetContract(address(actors));
        bytes4[] memory selectors = new bytes4[](19);
        selectors[0] = GatewayActors.withdraw.selector;
        selectors[1] = GatewayActors.anchor.selector;
        selectors[2] = GatewayActors.settle.selector;
        selectors[3] = GatewayActors.cancel.selector;
        selectors[4] = GatewayActors.claim.selector;
        selectors[5] = GatewayActors.claimForged.selector;
        selectors[6] = GatewayActors.transfer.selector;
        selectors[7] = GatewayActors.burn.selector;
        selectors[8] = GatewayActors.burnDirectly.selector;
        selectors[9] = GatewayActors.halt.selector;
        selectors[10] = GatewayActors.pause.selector;
        selectors[11] = GatewayActors.wait_.selector;
        selectors[12] = GatewayActors.waitLong.selector;
        // Twice, because most of them come too early, too late, or again.
        selectors[13] = GatewayActors.claim.selector;
        selectors[14] = GatewayActors.claimBatch.selector;
        selectors[15] = GatewayActors.burnWithPermit.selector;
        selectors[16] = GatewayActors.succeed.selector;
        selectors[17] = GatewayActors.follow.selector;
        selectors[18] = GatewayActors.setGuardian.selector;
        targetSelector(FuzzSelector({ addr: address(actors), selectors: selectors }));
    }

    function invariant_nothingIsMintedThatTheLogDidNotWithdraw_andTheBooksAddUp() public view {
        actors.checkAllowed();
        actors.checkBooks();
    }

    /// A run in which nothing is ever paid or burned would show nothing.
    function test_theActsReachTheirGoals() public {
        actors.withdraw(0, [uint64(500), 400], [uint256(300), 50], 30 days);
        actors.anchor(0);
        actors.settle(0);
        actors.wait_(2 hours);
        actors.claim(1, 0, 0);
        actors.claimForged(1, 0, 5, true);
        actors.transfer(0, 1, 100);
        actors.burn(0, 200);
        actors.waitLong(20 days);
        actors.burnDirectly(0, 50);
        // The same once more on the log that follows: what was paid there under an id is not paid here.
        actors.succeed(0);
        actors.follow(0);
        actors.withdraw(7, [uint64(500), 400], [uint256(300), 50], 30 days);
        actors.withdraw(1, [uint64(300), 200], [uint256(300), 50], 30 days);
        actors.anchor(0);
        actors.settle(0);
        actors.setGuardian(1, 2);
        actors.wait_(2 hours);
        actors.claimBatch(1, [uint256(1), 2], [uint256(1), 1]);
        actors.claimBatch(1, [uint256(2), 0], [uint256(1), 0]);
        actors.burnWithPermit(1, 50, false, true);
        string[5] memory acts = ["claim", "transfer", "burn", "burnWithPermit", "setGuardian"];
        for (uint256 i = 0; i < acts.length; ++i) {
            assertEq(actors.done(acts[i]), 1, acts[i]);
        }
        string[4] memory again = ["claimBatch", "succeed", "follow", "burnDirectly"];
        for (uint256 i = 0; i < again.length; ++i) {
            assertEq(actors.done(again[i]), 1, again[i]);
        }
        assertEq(actors.done("withdraw"), 3);
        assertEq(actors.done("settle"), 2);
        actors.checkAllowed();
        actors.checkBooks();
    }
}
