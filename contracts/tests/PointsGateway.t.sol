// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { stdJson } from "forge-std/StdJson.sol";
import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IERC20Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { EpochAmount, ILoyaltyPoints, Refusal } from "../src/ILoyaltyPoints.sol";
import { Claim, IPointsGateway } from "../src/IPointsGateway.sol";
import { LeafFormat } from "../src/Leaf.sol";
import { PointsGateway } from "../src/PointsGateway.sol";
import { ExpiryAmount, Withdrawal, WithdrawalFormat } from "../src/Withdrawal.sol";
import { GatewayBase } from "./GatewayBase.sol";

/// What each function of the gateway does, and each way in which it refuses.
contract PointsGatewayTest is GatewayBase {
    using stdJson for string;

    bytes32 private constant ID = keccak256("a withdrawal");

    function refuse(Claim memory claim, bytes memory reason) private {
        vm.expectRevert(reason);
        gateway.claim(claim);
    }

    function notSettled(Claim memory claim) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IPointsGateway.NotSettled.selector, claim.log, claim.size, claim.root);
    }

    function one(uint256 epoch, uint256 amount) private pure returns (EpochAmount[] memory amounts) {
        amounts = new EpochAmount[](1);
        amounts[0] = EpochAmount({ epoch: epoch, amount: amount });
    }

    // --- how it is made

    function test_itSaysWhatItIs() public view {
        assertEq(address(gateway.audit()), address(audit));
        assertEq(address(gateway.points()), address(points));
        assertEq(gateway.place(), place);
        assertEq(gateway.guardian(), guardian);
        assertEq(gateway.claimDelay(), 1 hours);
        assertEq(gateway.burnMin(), BURN_MIN);
        assertEq(gateway.burns(), 0);
        assertEq(gateway.zone(), ZONE);
    }

    function deploy(address guardian_, uint64 delay, uint256 burnMin, int32 zone) private returns (PointsGateway) {
        return new PointsGateway(audit, place, points, guardian_, delay, burnMin, zone);
    }

    function test_itRefusesSettingsOutOfRange() public {
        bytes4 reason = IPointsGateway.SettingOutOfRange.selector;
        vm.expectRevert(reason);
        deploy(address(0), 0, 1, 0);
        vm.expectRevert(reason);
        deploy(guardian, 0, 0, 0);
        vm.expectRevert(reason);
        deploy(guardian, 30 days + 1, 1, 0);
        vm.expectRevert(reason);
        deploy(guardian, 0, 1, 14 hours + 1);
        vm.expectRevert(reason);
        deploy(guardian, 0, 1, -14 hours - 1);
        assertEq(deploy(guardian, 30 days, 1, -14 hours).claimDelay(), 30 days);
        assertEq(deploy(guardian, 0, 1, 14 hours).zone(), 14 hours);
    }

    // --- settling

    function test_settle() public {
        anchorAt(7);
        vm.expectEmit(address(gateway));
        emit IPointsGateway.Settled(LOG, 7, rootOf(7), uint64(block.timestamp) + CLAIM_DELAY);
        gateway.settle(place);
        assertEq(gateway.maturesAt(LOG, 7, rootOf(7)), block.timestamp + CLAIM_DELAY);
        assertEq(gateway.maturesAt(LOG, 8, rootOf(7)), 0);
        // A second time would begin the delay anew.
        vm.warp(block.timestamp + 10);
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.AlreadySettled.selector, LOG, 7, rootOf(7)));
        gateway.settle(place);
    }

    function testFuzz_settle_refusesOtherPlaces(bytes32 other) public {
        vm.assume(other != place);
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.OtherPlace.selector, place, other));
        gateway.settle(other);
    }

    function test_settle_refusesAnEmptyLog() public {
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.NothingAnchored.selector, place));
        gateway.settle(place);
    }

    function test_settle_refusesAHaltedLog() public {
        anchorAt(7);
        vm.prank(admin);
        audit.halt(place);
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.LogHalted.selector, place));
        gateway.settle(place);
        vm.prank(admin);
        audit.resume(place);
        gateway.settle(place);
    }

    function testFuzz_cancel(uint64 later) public {
        later = uint64(bound(later, 0, 2 * CLAIM_DELAY));
        Claim memory claim = append(2, encodeBody(someWithdrawal(ID, 10)));
        settleAt(claim, 4);
        uint64 maturesAt = uint64(block.timestamp) + CLAIM_DELAY;
        vm.warp(block.timestamp + later);
        if (CLAIM_DELAY <= later) {
            vm.expectRevert(abi.encodeWithSelector(IPointsGateway.AlreadyMature.selector, maturesAt));
            vm.prank(guardian);
            gateway.cancel(LOG, 4, claim.root);
            gateway.claim(claim);
            return;
        }
        vm.expectEmit(address(gateway));
        emit IPointsGateway.SettlementCancelled(LOG, 4, claim.root);
        vm.prank(guardian);
        gateway.cancel(LOG, 4, claim.root);
        assertEq(gateway.maturesAt(LOG, 4, claim.root), type(uint64).max);
        // For ever: it is neither claimed against, nor settled or cancelled again.
        vm.warp(block.timestamp + 10 * CLAIM_DELAY);
        refuse(claim, notSettled(claim));
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.AlreadySettled.selector, LOG, 4, claim.root));
        gateway.settle(place);
        vm.expectRevert(notSettled(claim));
        vm.prank(guardian);
        gateway.cancel(LOG, 4, claim.root);
    }

    function testFuzz_cancel_refusesEverybodyElse(address caller) public {
        vm.assume(caller != guardian);
        anchorAt(4);
        gateway.settle(place);
        bytes32 root = rootOf(4);
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.NotGuardian.selector, caller));
        vm.prank(caller);
        gateway.cancel(LOG, 4, root);
    }

    function testFuzz_guardian_isNamedFromTheStart(address first) public {
        vm.assume(first != address(0));
        vm.expectEmit();
        emit IPointsGateway.GuardianChanged(address(0), first);
        assertEq(deploy(first, 0, 1, 0).guardian(), first);
    }

    function testFuzz_setGuardian(address caller, address next) public {
        vm.assume(caller != upgrader && next != address(0));
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.NotUpgrader.selector, caller));
        vm.prank(caller);
        gateway.setGuardian(next);
        vm.startPrank(upgrader);
        vm.expectRevert(IPointsGateway.SettingOutOfRange.selector);
        gateway.setGuardian(address(0));
        vm.expectEmit(address(gateway));
        emit IPointsGateway.GuardianChanged(guardian, next);
        gateway.setGuardian(next);
        assertEq(gateway.guardian(), next);
    }

    // --- claiming

    function testFuzz_claim(address submitter, address to, uint64 amount, uint8 before, uint8 after_) public {
        vm.assume(to != address(0) && to != address(points));
        amount = uint64(bound(amount, 1, MINT_MAX));
        grow(before % 40);
        Withdrawal memory it = someWithdrawal(ID, amount);
        it.holder = to;
        Claim memory claim = append(2, encodeBody(it));
        settleAt(claim, uint64(hashes.length) + after_ % 40);
        vm.warp(block.timestamp + CLAIM_DELAY);
        vm.expectEmit(address(gateway));
        emit IPointsGateway.Claimed(ID, to, one(lastEpoch(), amount), 0);
        vm.prank(submitter);
        gateway.claim(claim);
        assertEq(points.balanceOf(to), amount);
        assertEq(points.totalSupply(), amount);
        assertTrue(gateway.claimed(ID));
        refuse(claim, abi.encodeWithSelector(IPointsGateway.AlreadyClaimed.selector, ID));
    }

    function testFuzz_claim_refusesBeforeTheDelay(uint64 later) public {
        later = uint64(bound(later, 0, CLAIM_DELAY - 1));
        Claim memory claim = append(2, encodeBody(someWithdrawal(ID, 10)));
        settleAt(claim, 4);
        uint64 maturesAt = uint64(block.timestamp) + CLAIM_DELAY;
        vm.warp(block.timestamp + later);
        refuse(claim, abi.encodeWithSelector(IPointsGateway.NotMature.selector, maturesAt));
    }

    function testFuzz_claim_refusesHeadsThatAreNotSettled(uint64 size, bytes32 root, bytes32 log) public {
        Claim memory claim = settled(someWithdrawal(ID, 10));
        vm.assume(size != claim.size && root != claim.root && log != claim.log);
        (uint64 size_, bytes32 root_) = (claim.size, claim.root);
        claim.size = size;
        refuse(claim, notSettled(claim));
        (claim.size, claim.root) = (size_, root);
        refuse(claim, notSettled(claim));
        (claim.root, claim.log) = (root_, log);
        refuse(claim, notSettled(claim));
    }

    /// The head in the audit contract is not enough: it has not stood for the delay.
    function test_claim_refusesAnAnchoredHeadThatNobodySettled() public {
        settled(someWithdrawal(ID, 10));
        Claim memory claim = append(2, encodeBody(someWithdrawal("another", 10)));
        anchorAt(uint64(hashes.length));
        prove(claim, uint64(hashes.length));
        refuse(claim, notSettled(claim));
    }

    function testFuzz_claim_refusesWhatIsNotInTheLog(uint8 what, bytes32 with) public {
        Claim memory claim = settled(someWithdrawal(ID, 10));
        vm.assume(with != 0);
        what = what % 7;
        if (what == 0) claim.leafIndex ^= 1;
        else if (what == 1) claim.parts.header ^= with;
        else if (what == 2) claim.parts.details ^= with;
        else if (what == 3) claim.parts.entries[1] ^= with;
        else if (what == 4) claim.proof[0] ^= with;
        else if (what == 5) claim.proof = new bytes32[](0);
        else claim.parts.body ^= with;
        refuse(claim, abi.encodeWithSelector(IPointsGateway.NotIncluded.selector, claim.leafIndex));
    }

    function testFuzz_claim_refusesAnotherBody(bytes32 salt, bytes memory body) public {
        Claim memory claim = settled(someWithdrawal(ID, 10));
        vm.assume(salt != SALT);
        (claim.salt, claim.body) = (salt, body);
        bytes32 computed = sha256(bytes.concat(bytes32("daftari/v1/body"), salt, body));
        refuse(claim, abi.encodeWithSelector(LeafFormat.PartDiffers.selector, claim.parts.body, computed));
    }

    /// No other kind of leaf pays, whatever its body says.
    function testFuzz_claim_refusesOtherKinds(uint8 kind) public {
        vm.assume(kind != 2);
        Claim memory claim = append(kind, encodeBody(someWithdrawal(ID, 10)));
        settleAt(claim, 4);
        vm.warp(block.timestamp + CLAIM_DELAY);
        refuse(claim, abi.encodeWithSelector(IPointsGateway.NotIncluded.selector, claim.leafIndex));
    }

    function testFuzz_claim_refusesAnotherChainOrGateway(uint64 chainId, address other) public {
        vm.assume(chainId != block.chainid && other != address(gateway));
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.chainId = chainId;
        refuse(settled(it), abi.encodeWithSelector(IPointsGateway.OtherGateway.selector, chainId, address(gateway)));
        it.chainId = uint64(block.chainid);
        it.gateway = other;
        refuse(settled(it), abi.encodeWithSelector(IPointsGateway.OtherGateway.selector, block.chainid, other));
    }

    function testFuzz_claim_refusesFromClaimBeforeOn(uint64 later) public {
        later = uint64(bound(later, 0, 60 days));
        Withdrawal memory it = someWithdrawal(ID, 10);
        Claim memory claim = settled(it);
        vm.warp(block.timestamp + later);
        if (it.claimBefore <= block.timestamp) {
            refuse(claim, abi.encodeWithSelector(IPointsGateway.TooLate.selector, it.claimBefore));
        } else {
            gateway.claim(claim);
        }
    }

    function test_claim_theLastSecondIsTheHolders() public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        Claim memory claim = settled(it);
        vm.warp(it.claimBefore);
        refuse(claim, abi.encodeWithSelector(IPointsGateway.TooLate.selector, it.claimBefore));
        vm.warp(it.claimBefore - 1);
        gateway.claim(claim);
    }

    /// The same id in another leaf is the same withdrawal.
    function test_claim_refusesTheSameIdInAnotherLeaf() public {
        gateway.claim(settled(someWithdrawal(ID, 10)));
        refuse(settled(someWithdrawal(ID, 20)), abi.encodeWithSelector(IPointsGateway.AlreadyClaimed.selector, ID));
        assertEq(points.totalSupply(), 10);
    }

    function test_claim_refusesTheSameIdInASuccessor() public {
        gateway.claim(settled(someWithdrawal(ID, 10)));
        bytes32 successor = freeze();
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.LogHalted.selector, place));
        gateway.settle(place);
        vm.expectEmit(address(gateway));
        emit IPointsGateway.Followed(place, successor);
        gateway.follow();
        assertEq(gateway.place(), successor);
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.NoSuccessor.selector, successor));
        gateway.follow();
        // Two withdrawals in the other log, of which the first is known.
        refuse(inSuccessor(successor, ID, 1), abi.encodeWithSelector(IPointsGateway.AlreadyClaimed.selector, ID));
        gateway.claim(inSuccessor(successor, "another", 2));
        assertEq(points.totalSupply(), 20);
    }

    /// The other log with one leaf, or two, of which the last is this withdrawal.
    function inSuccessor(bytes32 successor, bytes32 id, uint64 size) private returns (Claim memory claim) {
        bytes memory body = encodeBody(someWithdrawal(id, 10));
        claim.log = OTHER_LOG;
        (claim.size, claim.leafIndex, claim.salt, claim.body) = (size, size - 1, SALT, body);
        claim.parts = partsOf(body);
        bytes32 hash = sha256(abi.encodePacked(hex"000102", OTHER_LOG, claim.leafIndex, commitmentOf(claim.parts)));
        (, bytes32 before,,) = audit.head(successor);
        claim.root = size == 1 ? hash : sha256(abi.encodePacked(hex"01", before, hash));
        if (size == 2) {
            claim.proof = new bytes32[](1);
            claim.proof[0] = before;
        }
        bytes32[] memory proof = new bytes32[](size - 1);
        if (size == 2) proof[0] = hash;
        vm.prank(writer);
        audit.anchor(successor, size, claim.root, proof);
        gateway.settle(successor);
        vm.warp(block.timestamp + CLAIM_DELAY);
    }

    function testFuzz_claim_epochsEndNoLaterThanTheLots(uint8 seed, uint16[6] memory gaps, uint32[6] memory amounts)
        public
    {
        Withdrawal memory it = someWithdrawal(ID, 1);
        it.amounts = new ExpiryAmount[](6);
        int32 day = today() - 40 + int32(uint32(seed % 80));
        uint256 total = 0;
        for (uint256 i = 0; i < 6; ++i) {
            day += 1 + int32(uint32(gaps[i] % 100));
            it.amounts[i] = ExpiryAmount({ day: day, amount: 1 + amounts[i] % 100_000 });
            total += it.amounts[i].amount;
        }
        Claim memory claim = settled(it);
        uint256[] memory expected = new uint256[](VALIDITY);
        EpochAmount[] memory minted = new EpochAmount[](6);
        uint256 lapsed = 0;
        uint256 paid = 0;
        for (uint256 i = 0; i < 6; ++i) {
            // The plain way: the latest epoch that ends in time.
            uint256 epoch = lastEpoch();
            while (firstEpoch() <= epoch && endOfDay(it.amounts[i].day) < endOf(epoch)) --epoch;
            if (epoch < firstEpoch()) {
                lapsed += it.amounts[i].amount;
            } else {
                expected[epoch - firstEpoch()] += it.amounts[i].amount;
                minted[paid++] = EpochAmount({ epoch: epoch, amount: it.amounts[i].amount });
            }
        }
        if (paid == 0) {
            refuse(claim, abi.encodeWithSelector(IPointsGateway.AllLapsed.selector, ID));
            return;
        }
        assembly ("memory-safe") {
            mstore(minted, paid)
        }
        vm.expectEmit(address(gateway));
        emit IPointsGateway.Claimed(ID, holder, minted, lapsed);
        gateway.claim(claim);
        for (uint256 i = 0; i < VALIDITY; ++i) {
            assertEq(points.balanceOfAtEpoch(firstEpoch() + i, holder), expected[i]);
        }
        assertEq(points.balanceOf(holder), total - lapsed);
    }

    function test_claim_neverExpiringPointsLastAsLongAsPointsCan() public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.amounts[0].day = type(int32).max;
        gateway.claim(settled(it));
        assertEq(points.balanceOfAtEpoch(lastEpoch(), holder), 10);
    }

    function test_claim_refusesWhatLapsedLongAgo() public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.amounts[0].day = type(int32).min;
        refuse(settled(it), abi.encodeWithSelector(IPointsGateway.AllLapsed.selector, ID));
    }

    function test_claim_waitsForTheRateAndForThePause() public {
        Claim memory claim = settled(someWithdrawal(ID, 10));
        vm.prank(upgrader);
        points.setMintMax(9);
        refuse(
            claim, abi.encodeWithSelector(ILoyaltyPoints.MintRefused.selector, Refusal.Rate, holder, lastEpoch(), 10)
        );
        vm.prank(upgrader);
        points.setMintMax(10);
        vm.prank(pauser);
        points.pause();
        refuse(claim, abi.encodeWithSelector(ILoyaltyPoints.IsPaused.selector));
        assertFalse(gateway.claimed(ID));
        vm.prank(pauser);
        points.resume();
        gateway.claim(claim);
    }

    function test_claim_refusesAHolderWhoCannotHold() public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.holder = address(0);
        Claim memory claim = settled(it);
        refuse(
            claim,
            abi.encodeWithSelector(ILoyaltyPoints.MintRefused.selector, Refusal.Receiver, address(0), lastEpoch(), 10)
        );
    }

    function test_claimBatch_skipsWhatFailsAndPaysTheRest() public {
        Claim[] memory claims = new Claim[](4);
        claims[0] = append(2, encodeBody(someWithdrawal("0", 10)));
        claims[1] = append(2, encodeBody(someWithdrawal("1", MINT_MAX + 1)));
        claims[2] = append(2, encodeBody(someWithdrawal("2", 20)));
        claims[3] = append(2, encodeBody(someWithdrawal("0", 10)));
        anchorAt(9);
        gateway.settle(place);
        for (uint256 i = 0; i < 4; ++i) {
            prove(claims[i], 9);
        }
        vm.warp(block.timestamp + CLAIM_DELAY);
        vm.expectEmit(address(gateway));
        emit IPointsGateway.ClaimSkipped(
            1,
            abi.encodeWithSelector(ILoyaltyPoints.MintRefused.selector, Refusal.Rate, holder, lastEpoch(), MINT_MAX + 1)
        );
        vm.expectEmit(address(gateway));
        emit IPointsGateway.ClaimSkipped(
            3, abi.encodeWithSelector(IPointsGateway.AlreadyClaimed.selector, bytes32("0"))
        );
        assertEq(gateway.claimBatch(claims), 2);
        assertEq(points.balanceOf(holder), 30);
    }

    // --- the body, byte by byte

    /// The vector that Rust wrote: its chain, its gateway, its holder, and the leaf in a log of its id.
    function test_claim_theVector() public {
        string memory json = vm.readFile("../vectors/leaf.json");
        string memory there = ".leaves[2]";
        assertEq(json.readString(string.concat(there, ".kind")), "withdrawal");
        bytes memory leaf = json.readBytes(string.concat(there, ".leaf"));
        Claim memory claim;
        claim.log = json.readBytes32(".log_id");
        claim.leafIndex = 2;
        claim.salt = json.readBytes32(string.concat(there, ".body.salt"));
        claim.body = json.readBytes(string.concat(there, ".body.bytes"));
        claim.parts.header = json.readBytes32(string.concat(there, ".header.commitment"));
        claim.parts.details = json.readBytes32(string.concat(there, ".details.commitment"));
        claim.parts.body = json.readBytes32(string.concat(there, ".body.commitment"));
        bytes32 left = keccak256("the two leaves before");
        claim.size = 3;
        claim.root = sha256(bytes.concat(hex"01", left, sha256(bytes.concat(hex"00", leaf))));
        claim.proof = new bytes32[](1);
        claim.proof[0] = left;

        vm.chainId(0x89);
        vm.warp(1_785_000_000);
        address at9a = address(bytes20(hex"9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a"));
        address at9b = address(bytes20(hex"9b9b9b9b9b9b9b9b9b9b9b9b9b9b9b9b9b9b9b9b"));
        bytes32 itsPlace = register(claim.log);
        bytes memory arguments = abi.encode(audit, itsPlace, points, guardian, uint64(0), BURN_MIN, ZONE);
        deployCodeTo("PointsGateway.sol:PointsGateway", arguments, at9a);
        vm.prank(upgrader);
        IAccessControl(address(points)).grantRole(MINT_ROLE, at9a);
        vm.prank(writer);
        audit.anchor(itsPlace, 3, claim.root, none());
        PointsGateway(at9a).settle(itsPlace);
        vm.warp(block.timestamp + CLAIM_DELAY);
        // 50 points until day 20,400 and 51 for ever.
        PointsGateway(at9a).claim(claim);
        assertTrue(
            PointsGateway(at9a)
                .claimed(bytes32(bytes(hex"9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c")))
        );
        bool inTime = endOf(firstEpoch()) <= endOfDay(20_400);
        assertEq(points.balanceOf(at9b), inTime ? 101 : 51);
        assertGe(points.balanceOfAtEpoch(lastEpoch(), at9b), 51);
    }

    function checkBody(bytes memory body, bytes memory reason) private {
        Claim memory claim = append(2, body);
        settleAt(claim, uint64(hashes.length));
        vm.warp(block.timestamp + CLAIM_DELAY);
        refuse(claim, reason);
    }

    function testFuzz_body_refusesOtherLengths(uint256 length) public {
        bytes memory body = encodeBody(someWithdrawal(ID, 10));
        length = bound(length, 0, 200);
        vm.assume(length != body.length);
        bytes memory other = new bytes(length);
        for (uint256 i = 0; i < length && i < body.length; ++i) {
            other[i] = body[i];
        }
        uint256 count = length < 89 ? 0 : 1;
        checkBody(other, abi.encodeWithSelector(WithdrawalFormat.WithdrawalLength.selector, length, count));
    }

    function test_body_refusesCounts() public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.amounts = new ExpiryAmount[](0);
        checkBody(encodeBody(it), abi.encodeWithSelector(WithdrawalFormat.WithdrawalCount.selector, 0));
        it.amounts = new ExpiryAmount[](65);
        checkBody(encodeBody(it), abi.encodeWithSelector(WithdrawalFormat.WithdrawalCount.selector, 65));
    }

    function testFuzz_body_refusesZeroAmountsAndUnsortedDays(uint8 position, bool zero) public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.amounts = new ExpiryAmount[](64);
        for (uint256 i = 0; i < 64; ++i) {
            it.amounts[i] = ExpiryAmount({ day: today() + int32(int256(i)), amount: 1 });
        }
        uint256 which = bound(position, zero ? 0 : 1, 63);
        if (zero) it.amounts[which].amount = 0;
        else it.amounts[which].day = it.amounts[which - 1].day;
        bytes4 selector = zero ? WithdrawalFormat.AmountZero.selector : WithdrawalFormat.DaysNotAscending.selector;
        checkBody(encodeBody(it), abi.encodeWithSelector(selector, which));
    }

    function test_body_takes64Amounts() public {
        Withdrawal memory it = someWithdrawal(ID, 10);
        it.amounts = new ExpiryAmount[](64);
        for (uint256 i = 0; i < 64; ++i) {
            it.amounts[i] = ExpiryAmount({ day: today() + 200 + int32(int256(i)), amount: 3 });
        }
        gateway.claim(settled(it));
        assertEq(points.balanceOf(holder), 192);
    }

    // --- burning for credit

    function give(uint64 amount) private {
        gateway.claim(settled(someWithdrawal(keccak256(abi.encode("give", hashes.length)), amount)));
    }

    function testFuzz_burn(uint64 amount, bytes32 creditTo) public {
        vm.assume(creditTo != 0);
        amount = uint64(bound(amount, BURN_MIN, 1000));
        give(1000);
        vm.startPrank(holder);
        points.approve(address(gateway), amount);
        vm.expectEmit(address(gateway));
        emit IPointsGateway.BurnedForCredit(1, holder, creditTo, one(lastEpoch(), amount));
        assertEq(gateway.burn(amount, creditTo), 1);
        assertEq(points.totalSupply(), 1000 - amount);
        assertEq(points.balanceOf(holder), 1000 - amount);
        assertEq(gateway.burns(), 1);
    }

    function testFuzz_burn_refuses(uint256 amount, address caller) public {
        amount = bound(amount, 0, BURN_MIN - 1);
        vm.assume(caller != address(0));
        give(1000);
        vm.startPrank(caller);
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.BelowMinimum.selector, amount, BURN_MIN));
        gateway.burn(amount, "credit");
        vm.expectRevert(IPointsGateway.NoCredit.selector);
        gateway.burn(BURN_MIN, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(gateway), 0, BURN_MIN)
        );
        gateway.burn(BURN_MIN, "credit");
    }

    function testFuzz_burnWithPermit(uint256 key, bool front) public {
        key = bound(key, 1, 2 ** 250);
        address owner = vm.addr(key);
        Withdrawal memory it = someWithdrawal(ID, 100);
        it.holder = owner;
        gateway.claim(settled(it));
        IERC20Permit token = IERC20Permit(address(points));
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 what = keccak256(abi.encode(typeHash, owner, address(gateway), 100, 0, block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), what)));
        // Somebody else uses the permit first: it makes no difference.
        if (front) token.permit(owner, address(gateway), 100, block.timestamp, v, r, s);
        vm.prank(owner);
        assertEq(gateway.burnWithPermit(100, "credit", block.timestamp, v, r, s), 1);
        assertEq(points.totalSupply(), 0);
    }

    /// Everything that can be stopped is stopped, and the holder still leaves with credit.
    function test_burn_worksWhenAllElseIsStopped() public {
        give(1000);
        vm.prank(holder);
        points.approve(address(gateway), 600);
        freeze();
        vm.prank(pauser);
        points.pause();
        vm.startPrank(upgrader);
        points.setMintMax(0);
        IAccessControl(address(points)).revokeRole(MINT_ROLE, address(gateway));
        vm.stopPrank();
        vm.startPrank(holder);
        gateway.burn(600, "credit");
        points.approve(address(gateway), 300);
        gateway.burn(300, "more credit");
        points.burn(100);
        assertEq(points.totalSupply(), 0);
    }

    /// The log knows nothing of the token: whatever becomes of that, anchoring goes on.
    function test_aBrokenTokenStopsNoAnchor() public {
        give(1000);
        vm.etch(address(points), hex"fe");
        vm.etch(address(gateway), hex"fe");
        anchorAt(uint64(hashes.length) + 5);
    }

    /// A thief of the writer's key anchors points that the books never gave. The guardian and the log's admin stop it in time.
    function test_aStolenWritersKeyIsStoppedBeforeItMints() public {
        Claim memory forged = append(2, encodeBody(someWithdrawal("forged", MINT_MAX)));
        settleAt(forged, 4);
        vm.warp(block.timestamp + CLAIM_DELAY / 2);
        vm.prank(guardian);
        gateway.cancel(LOG, 4, forged.root);
        vm.prank(admin);
        audit.halt(place);
        vm.warp(block.timestamp + CLAIM_DELAY);
        refuse(forged, notSettled(forged));
        vm.expectRevert(abi.encodeWithSelector(IPointsGateway.LogHalted.selector, place));
        gateway.settle(place);
        assertEq(points.totalSupply(), 0);
    }
}
