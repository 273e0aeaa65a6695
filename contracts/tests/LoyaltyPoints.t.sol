// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IERC20Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { Initializable } from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import { UUPSUpgradeable } from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { IERC20Metadata } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { IERC165 } from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import { IERC7818 } from "../src/IERC7818.sol";
import { BurnItem, EpochAmount, ILoyaltyPoints, MintItem, Refusal, Settings } from "../src/ILoyaltyPoints.sol";
import { PointsBase } from "./PointsBase.sol";

/// What each function of the token does, and each way in which it refuses.
contract LoyaltyPointsTest is PointsBase {
    address private immutable alice = makeAddr("alice");
    address private immutable bob = makeAddr("bob");

    function setUp() public {
        vm.warp(START);
        points = deployPoints(settingsFor(minter));
    }

    function control() private view returns (IAccessControl) {
        return IAccessControl(address(points));
    }

    function isMissing(address account, bytes32 role) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, account, role);
    }

    function isShort(address from, uint256 balance, uint256 needed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, from, balance, needed);
    }

    function isRefused(Refusal why, address to, uint256 epoch, uint256 amount) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ILoyaltyPoints.MintRefused.selector, why, to, epoch, amount);
    }

    /// Ten points in each epoch of the window.
    function fill(address holder) private {
        for (uint256 epoch = firstEpoch(); epoch <= lastEpoch(); ++epoch) {
            mint(holder, epoch, 10);
        }
    }

    // --- how it is made

    function test_initialize_saysWhatItIs() public view {
        IERC20Metadata metadata = IERC20Metadata(address(points));
        assertEq(metadata.name(), "Points");
        assertEq(metadata.symbol(), "PTS");
        assertEq(metadata.decimals(), 2);
        assertEq(points.epochLength(), EPOCH);
        assertEq(uint8(points.epochType()), uint8(IERC7818.EPOCH_TYPE.TIME_BASED));
        assertEq(points.validityDuration(), VALIDITY);
        assertEq(points.totalSupply(), 0);
        assertFalse(points.paused());
        (uint256 mintMax, uint256 left) = points.mintAllowance();
        assertEq(mintMax, MINT_MAX);
        assertEq(left, MINT_MAX);
    }

    function testFuzz_initialize_saysHowMuchMayBeMinted(uint64 mintMax) public {
        Settings memory settings = settingsFor(minter);
        settings.mintMax = mintMax;
        vm.expectEmit();
        emit ILoyaltyPoints.MintMaxChanged(0, mintMax);
        deployPoints(settings);
    }

    function test_initialize_onlyOnce() public {
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        points.initialize(settingsFor(minter));
    }

    function test_initialize_neverTheImplementation() public {
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        ILoyaltyPoints(implementation).initialize(settingsFor(minter));
    }

    function checkSettingRefused(Settings memory settings) private {
        bytes memory call = abi.encodeCall(ILoyaltyPoints.initialize, (settings));
        vm.expectRevert(ILoyaltyPoints.SettingOutOfRange.selector);
        new ERC1967Proxy(implementation, call);
    }

    function test_initialize_refusesSettingsOutOfRange() public {
        Settings memory settings = settingsFor(minter);
        settings.epochLength = 1 hours - 1;
        settings.epochOffset = 0;
        checkSettingRefused(settings);
        settings.epochLength = 366 days + 1;
        checkSettingRefused(settings);
        settings = settingsFor(minter);
        settings.epochOffset = EPOCH;
        checkSettingRefused(settings);
        settings = settingsFor(minter);
        settings.validity = 0;
        checkSettingRefused(settings);
        settings.validity = 65;
        checkSettingRefused(settings);
        settings.validity = 64;
        settings.epochLength = 366 days;
        checkSettingRefused(settings);
        settings = settingsFor(minter);
        settings.upgrader = address(0);
        checkSettingRefused(settings);
    }

    function test_initialize_takesSettingsAtTheirLimits() public {
        Settings memory settings = settingsFor(address(0));
        (settings.epochLength, settings.epochOffset, settings.validity) = (1 hours, 1 hours - 1, 64);
        settings.pauser = address(0);
        ILoyaltyPoints it = deployPoints(settings);
        assertFalse(it.isEpochExpired(it.currentEpoch() - 63));
        assertTrue(it.isEpochExpired(it.currentEpoch() - 64));
        (settings.epochLength, settings.epochOffset, settings.validity) = (366 days, 0, 56);
        it = deployPoints(settings);
        assertFalse(it.isEpochExpired(1));
        assertTrue(it.isEpochExpired(0));
    }

    function test_supportsInterface() public view {
        IERC165 it = IERC165(address(points));
        assertTrue(it.supportsInterface(type(IERC20).interfaceId));
        assertTrue(it.supportsInterface(type(IERC7818).interfaceId));
        assertTrue(it.supportsInterface(type(IAccessControl).interfaceId));
        assertTrue(it.supportsInterface(type(IERC165).interfaceId));
        assertFalse(it.supportsInterface(0xffffffff));
    }

    /// ERC-7201's formula, where the code has a number.
    function test_storageIsWhereErc7201PutsIt() public view {
        bytes32 slot = keccak256(abi.encode(uint256(keccak256("daftari.LoyaltyPoints")) - 1)) & ~bytes32(uint256(0xff));
        // forge-lint: disable-next-line(unsafe-typecast) the word's lowest 64 bits
        assertEq(uint64(uint256(vm.load(address(points), slot))), MINT_MAX);
    }

    // --- roles

    function test_roles_areApart() public {
        assertTrue(control().hasRole(UPGRADE_ROLE, upgrader));
        assertTrue(control().hasRole(MINT_ROLE, minter));
        assertTrue(control().hasRole(PAUSE_ROLE, pauser));
        address[3] memory holders = [upgrader, minter, pauser];
        bytes32[3] memory roles = [UPGRADE_ROLE, MINT_ROLE, PAUSE_ROLE];
        for (uint256 i = 0; i < 9; ++i) {
            (address holder, bytes32 role) = (holders[i / 3], roles[i % 3]);
            vm.prank(upgrader);
            if (i / 3 != i % 3) vm.expectRevert(abi.encodeWithSelector(ILoyaltyPoints.RolesApart.selector, holder));
            control().grantRole(role, holder);
        }
    }

    function testFuzz_roles_onlyTheUpgraderGivesAndTakes(address caller, uint8 which, address account) public {
        vm.assume(caller != upgrader);
        bytes32 role = [UPGRADE_ROLE, MINT_ROLE, PAUSE_ROLE, bytes32(0)][which % 4];
        bytes32 needed = role == 0 ? bytes32(0) : UPGRADE_ROLE;
        vm.expectRevert(isMissing(caller, needed));
        vm.prank(caller);
        control().grantRole(role, account);
        vm.expectRevert(isMissing(caller, needed));
        vm.prank(caller);
        control().revokeRole(role, account);
    }

    function test_roles_canBeRotated() public {
        vm.startPrank(upgrader);
        control().revokeRole(MINT_ROLE, minter);
        control().grantRole(MINT_ROLE, alice);
        vm.stopPrank();
        uint256 epoch = lastEpoch();
        vm.expectRevert(isMissing(minter, MINT_ROLE));
        vm.prank(minter);
        points.mint(bob, epoch, 1);
        vm.prank(alice);
        points.mint(bob, epoch, 1);
        assertEq(points.balanceOf(bob), 1);
    }

    function testFuzz_strangersHaveNoPower(address stranger) public {
        vm.assume(stranger != upgrader && stranger != minter && stranger != pauser);
        vm.startPrank(stranger);
        vm.expectRevert(isMissing(stranger, MINT_ROLE));
        points.mint(stranger, 1, 1);
        vm.expectRevert(isMissing(stranger, MINT_ROLE));
        points.mintEndingBy(stranger, type(uint256).max, 1);
        vm.expectRevert(isMissing(stranger, MINT_ROLE));
        points.mintBatch(0, new MintItem[](0));
        vm.expectRevert(isMissing(stranger, PAUSE_ROLE));
        points.pause();
        vm.expectRevert(isMissing(stranger, PAUSE_ROLE));
        points.resume();
        vm.expectRevert(isMissing(stranger, UPGRADE_ROLE));
        points.setMintMax(1);
        vm.expectRevert(isMissing(stranger, UPGRADE_ROLE));
        UUPSUpgradeable(address(points)).upgradeToAndCall(implementation, "");
        vm.stopPrank();
    }

    // --- minting

    function testFuzz_mint(address to, uint256 epoch, uint64 amount) public {
        vm.assume(to != address(0) && to != address(points));
        epoch = bound(epoch, firstEpoch(), lastEpoch());
        amount = uint64(bound(amount, 0, MINT_MAX));
        vm.expectEmit(address(points));
        emit IERC20.Transfer(address(0), to, amount);
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.Minted(to, epoch, amount);
        mint(to, epoch, amount);
        assertEq(points.balanceOf(to), amount);
        assertEq(points.balanceOfAtEpoch(epoch, to), amount);
        assertEq(points.totalSupply(), amount);
        assertEq(points.supplyAtEpoch(epoch), amount);
        (, uint256 left) = points.mintAllowance();
        assertEq(left, MINT_MAX - amount);
    }

    function testFuzz_mint_refusesEpochsOutsideTheWindow(uint256 epoch) public {
        vm.assume(epoch < firstEpoch() || lastEpoch() < epoch);
        vm.expectRevert(isRefused(Refusal.Epoch, alice, epoch, 1));
        mint(alice, epoch, 1);
    }

    /// Points end no later than asked, and no sooner than they must: to the second.
    function test_mintEndingBy_toTheSecond() public {
        uint256 first = firstEpoch();
        vm.startPrank(minter);
        (bool minted, uint256 epoch) = points.mintEndingBy(alice, endOf(first) - 1, 1);
        assertFalse(minted);
        (minted, epoch) = points.mintEndingBy(alice, endOf(first), 1);
        assertTrue(minted);
        assertEq(epoch, first);
        (, epoch) = points.mintEndingBy(alice, endOf(first + 1) - 1, 1);
        assertEq(epoch, first);
        (, epoch) = points.mintEndingBy(alice, endOf(first + 1), 1);
        assertEq(epoch, first + 1);
        (, epoch) = points.mintEndingBy(alice, endOf(lastEpoch()) + 1000 days, 1);
        assertEq(epoch, lastEpoch());
        vm.stopPrank();
    }

    function test_mint_refusesReceivers() public {
        uint256 epoch = lastEpoch();
        vm.expectRevert(isRefused(Refusal.Receiver, address(0), epoch, 1));
        mint(address(0), epoch, 1);
        vm.expectRevert(isRefused(Refusal.Receiver, address(points), epoch, 1));
        mint(address(points), epoch, 1);
    }

    function testFuzz_mint_refusesMoreThanTheRate(uint256 amount, uint64 before) public {
        before = uint64(bound(before, 0, MINT_MAX));
        amount = bound(amount, MINT_MAX - before + 1, type(uint256).max);
        uint256 epoch = lastEpoch();
        mint(alice, epoch, before);
        vm.expectRevert(isRefused(Refusal.Rate, alice, epoch, amount));
        mint(alice, epoch, amount);
    }

    function test_mint_theRateBeginsAnewEachDay() public {
        mint(alice, lastEpoch(), MINT_MAX);
        (, uint256 left) = points.mintAllowance();
        assertEq(left, 0);
        // Burning gives nothing of it back.
        vm.prank(alice);
        points.burn(MINT_MAX);
        (, left) = points.mintAllowance();
        assertEq(left, 0);
        vm.warp((block.timestamp / 1 days + 1) * 1 days - 1);
        (, left) = points.mintAllowance();
        assertEq(left, 0);
        vm.warp(block.timestamp + 1);
        (, left) = points.mintAllowance();
        assertEq(left, MINT_MAX);
        mint(alice, lastEpoch(), MINT_MAX);
    }

    function test_mint_refusesMoreThanAnEpochHolds() public {
        vm.prank(upgrader);
        points.setMintMax(type(uint64).max);
        uint256 epoch = lastEpoch();
        mint(alice, epoch, type(uint64).max);
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(isRefused(Refusal.Supply, bob, epoch, 1));
        mint(bob, epoch, 1);
        // A neighbour in the same word is not touched by a full lane.
        mint(bob, epoch - 1, 5);
        vm.prank(alice);
        points.transfer(bob, type(uint64).max);
        assertEq(points.balanceOf(bob), uint256(type(uint64).max) + 5);
        assertEq(points.balanceOfAtEpoch(epoch, bob), type(uint64).max);
    }

    function testFuzz_setMintMax(uint64 mintMax, uint64 minted) public {
        minted = uint64(bound(minted, 0, MINT_MAX));
        mint(alice, lastEpoch(), minted);
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.MintMaxChanged(MINT_MAX, mintMax);
        vm.prank(upgrader);
        points.setMintMax(mintMax);
        (uint256 now_, uint256 left) = points.mintAllowance();
        assertEq(now_, mintMax);
        assertEq(left, minted < mintMax ? mintMax - minted : 0);
        uint256 epoch = lastEpoch();
        vm.expectRevert(isRefused(Refusal.Rate, alice, epoch, left + 1));
        mint(alice, epoch, left + 1);
    }

    function testFuzz_mintEndingBy(uint256 endsBy, uint64 amount) public {
        amount = uint64(bound(amount, 0, MINT_MAX));
        endsBy = bound(endsBy, 0, block.timestamp + 2 * uint256(EPOCH) * VALIDITY);
        vm.prank(minter);
        (bool minted, uint256 epoch) = points.mintEndingBy(alice, endsBy, amount);
        if (endsBy < endOf(firstEpoch())) {
            assertFalse(minted);
            assertEq(points.balanceOf(alice), 0);
            return;
        }
        assertTrue(minted);
        assertLe(points.expiresAt(epoch), endsBy);
        assertTrue(epoch == lastEpoch() || endsBy < points.expiresAt(epoch + 1), "the latest such epoch");
        assertEq(points.balanceOfAtEpoch(epoch, alice), amount);
    }

    function test_mintEndingBy_refuses() public {
        uint256 epoch = lastEpoch();
        vm.startPrank(minter);
        vm.expectRevert(isRefused(Refusal.Receiver, address(0), epoch, 1));
        points.mintEndingBy(address(0), type(uint256).max, 1);
        vm.expectRevert(isRefused(Refusal.Rate, alice, epoch, MINT_MAX + 1));
        points.mintEndingBy(alice, type(uint256).max, MINT_MAX + 1);
        vm.stopPrank();
    }

    // --- what expires

    function testFuzz_expiry_followsTheClock(uint64 later) public {
        later = uint64(bound(later, 0, 2 * uint256(EPOCH) * VALIDITY));
        uint256 first = firstEpoch();
        fill(alice);
        vm.warp(START + later);
        assertEq(points.currentEpoch(), lastEpoch());
        uint256 expected = 0;
        for (uint256 epoch = first; epoch < first + VALIDITY; ++epoch) {
            bool expired = endOf(epoch) <= block.timestamp;
            assertEq(points.expiresAt(epoch), endOf(epoch));
            assertEq(points.isEpochExpired(epoch), expired);
            assertEq(points.balanceOfAtEpoch(epoch, alice), expired ? 0 : 10);
            if (!expired) expected += 10;
        }
        assertEq(points.balanceOf(alice), expected);
        assertEq(points.totalSupply(), expected);
        vm.expectRevert(isShort(alice, expected, expected + 1));
        vm.prank(alice);
        points.transfer(bob, expected + 1);
        vm.expectRevert(isShort(alice, expected, expected + 1));
        vm.prank(alice);
        points.burn(expected + 1);
        vm.prank(alice);
        points.transfer(bob, expected);
        assertEq(points.balanceOf(bob), expected);
    }

    function test_recordExpiry_saysItOnce() public {
        uint256 epoch = firstEpoch();
        fill(alice);
        vm.expectRevert(abi.encodeWithSelector(ILoyaltyPoints.EpochNotExpired.selector, epoch));
        points.recordExpiry(epoch);
        vm.warp(endOf(epoch));
        assertEq(points.supplyAtEpoch(epoch), 10);
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.EpochExpired(epoch, 10);
        assertEq(points.recordExpiry(epoch), 10);
        assertEq(points.recordExpiry(epoch), 0);
        assertEq(points.supplyAtEpoch(epoch), 0);
        assertEq(points.totalSupply(), 110);
        assertEq(points.balanceOf(alice), 110);
    }

    // --- transfers

    function testFuzz_transfer_takesTheEarliestFirst(uint256 value) public {
        value = bound(value, 0, 120);
        fill(alice);
        vm.expectEmit(address(points));
        emit IERC20.Transfer(alice, bob, value);
        vm.prank(alice);
        assertTrue(points.transfer(bob, value));
        uint256 first = firstEpoch();
        for (uint256 i = 0; i < VALIDITY; ++i) {
            uint256 moved = value < 10 * i ? 0 : value < 10 * (i + 1) ? value - 10 * i : 10;
            assertEq(points.balanceOfAtEpoch(first + i, bob), moved);
            assertEq(points.balanceOfAtEpoch(first + i, alice), 10 - moved);
            assertEq(points.supplyAtEpoch(first + i), 10);
        }
        assertEq(points.totalSupply(), 120);
    }

    function testFuzz_transfer_toOneselfChangesNothing(uint256 value) public {
        value = bound(value, 0, 120);
        fill(alice);
        vm.prank(alice);
        assertTrue(points.transfer(alice, value));
        assertEq(points.balanceOf(alice), 120);
        assertEq(points.balanceOfAtEpoch(firstEpoch(), alice), 10);
    }

    function testFuzz_transferFrom(uint256 value, uint256 allowed) public {
        value = bound(value, 0, 200);
        allowed = bound(allowed, 0, 200);
        fill(alice);
        vm.prank(alice);
        assertTrue(points.approve(address(this), allowed));
        if (allowed < value) {
            vm.expectRevert(
                abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(this), allowed, value)
            );
            points.transferFrom(alice, bob, value);
        } else if (120 < value) {
            vm.expectRevert(isShort(alice, 120, value));
            points.transferFrom(alice, bob, value);
        } else {
            assertTrue(points.transferFrom(alice, bob, value));
            assertEq(points.balanceOf(bob), value);
            assertEq(points.allowance(alice, address(this)), allowed - value);
        }
    }

    function test_transfer_refusesTheZeroAddress() public {
        fill(alice);
        uint256 epoch = lastEpoch();
        bytes memory reason = abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0));
        vm.startPrank(alice);
        vm.expectRevert(reason);
        points.transfer(address(0), 1);
        vm.expectRevert(reason);
        points.transferAtEpoch(epoch, address(0), 1);
        vm.stopPrank();
    }

    function testFuzz_transferAtEpoch(uint256 epoch, uint256 value) public {
        epoch = bound(epoch, firstEpoch() - 3, lastEpoch() + 3);
        value = bound(value, 0, 20);
        fill(alice);
        bool expired = epoch < firstEpoch();
        uint256 there = lastEpoch() < epoch ? 0 : 10;
        vm.prank(alice);
        if (expired) {
            vm.expectRevert(abi.encodeWithSelector(IERC7818.ERC7818TransferredExpiredToken.selector, alice, epoch));
        } else if (there < value) {
            vm.expectRevert(isShort(alice, there, value));
        }
        points.transferAtEpoch(epoch, bob, value);
        if (!expired && value <= there) {
            assertEq(points.balanceOfAtEpoch(epoch, bob), value);
            assertEq(points.balanceOf(bob), value);
            assertEq(points.balanceOf(alice), 120 - value);
        }
    }

    function testFuzz_transferFromAtEpoch(uint256 epoch, uint256 value) public {
        epoch = bound(epoch, firstEpoch(), lastEpoch());
        value = bound(value, 1, 10);
        fill(alice);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(this), 0, value)
        );
        points.transferFromAtEpoch(epoch, alice, bob, value);
        vm.prank(alice);
        points.approve(address(this), 10);
        vm.expectEmit(address(points));
        emit IERC20.Transfer(alice, bob, value);
        assertTrue(points.transferFromAtEpoch(epoch, alice, bob, value));
        assertEq(points.balanceOfAtEpoch(epoch, bob), value);
        assertEq(points.allowance(alice, address(this)), 10 - value);
    }

    function testFuzz_permit(uint256 key, uint256 value, address spender) public {
        vm.assume(spender != address(0));
        key = bound(key, 1, 2 ** 250);
        address owner = vm.addr(key);
        IERC20Permit it = IERC20Permit(address(points));
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 what = keccak256(abi.encode(typeHash, owner, spender, value, it.nonces(owner), block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", it.DOMAIN_SEPARATOR(), what)));
        it.permit(owner, spender, value, block.timestamp, v, r, s);
        assertEq(points.allowance(owner, spender), value);
        vm.expectRevert();
        it.permit(owner, spender, value, block.timestamp, v, r, s);
    }

    // --- burning

    function testFuzz_burn_takesTheEarliestFirst(uint256 value) public {
        value = bound(value, 0, 120);
        fill(alice);
        vm.expectEmit(address(points));
        emit IERC20.Transfer(alice, address(0), value);
        vm.prank(alice);
        EpochAmount[] memory amounts = points.burn(value);
        assertEq(amounts.length, (value + 9) / 10);
        uint256 sum = 0;
        for (uint256 i = 0; i < amounts.length; ++i) {
            assertEq(amounts[i].epoch, firstEpoch() + i);
            assertEq(points.supplyAtEpoch(amounts[i].epoch), 10 - amounts[i].amount);
            sum += amounts[i].amount;
        }
        assertEq(sum, value);
        assertEq(points.totalSupply(), 120 - value);
        assertEq(points.balanceOf(alice), 120 - value);
    }

    function test_burn_saysWhichEpochs() public {
        fill(alice);
        EpochAmount[] memory expected = new EpochAmount[](2);
        expected[0] = EpochAmount({ epoch: firstEpoch(), amount: 10 });
        expected[1] = EpochAmount({ epoch: firstEpoch() + 1, amount: 3 });
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.Burned(alice, expected);
        vm.prank(alice);
        points.burn(13);
    }

    function testFuzz_burnFrom(uint256 value, uint256 allowed) public {
        value = bound(value, 1, 120);
        allowed = bound(allowed, 0, 200);
        fill(alice);
        vm.prank(alice);
        points.approve(address(this), allowed);
        if (allowed < value) {
            vm.expectRevert(
                abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(this), allowed, value)
            );
            points.burnFrom(alice, value);
            return;
        }
        points.burnFrom(alice, value);
        assertEq(points.balanceOf(alice), 120 - value);
        assertEq(points.allowance(alice, address(this)), allowed - value);
    }

    // --- pausing

    function test_pause_stopsMintingAndTransfersAndNoBurn() public {
        fill(alice);
        uint256 epoch = lastEpoch();
        vm.prank(alice);
        points.approve(bob, 50);
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.Paused(pauser);
        vm.prank(pauser);
        points.pause();
        assertTrue(points.paused());
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        vm.prank(pauser);
        points.pause();

        vm.startPrank(minter);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.mint(alice, epoch, 1);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.mintEndingBy(alice, type(uint256).max, 1);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.mintBatch(0, new MintItem[](0));
        vm.stopPrank();
        vm.startPrank(alice);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.transfer(bob, 1);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.transferAtEpoch(epoch, bob, 1);
        points.burn(20);
        points.approve(bob, 60);
        vm.stopPrank();
        vm.startPrank(bob);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.transferFrom(alice, bob, 1);
        vm.expectRevert(ILoyaltyPoints.IsPaused.selector);
        points.transferFromAtEpoch(epoch, alice, bob, 1);
        points.burnFrom(alice, 20);
        BurnItem[] memory items = new BurnItem[](1);
        items[0] = BurnItem({ from: alice, amount: 40 });
        assertEq(points.burnBatch(0, items), 1);
        vm.stopPrank();
        assertEq(points.totalSupply(), 40);

        vm.expectEmit(address(points));
        emit ILoyaltyPoints.Resumed(pauser);
        vm.prank(pauser);
        points.resume();
        vm.expectRevert(ILoyaltyPoints.NotPaused.selector);
        vm.prank(pauser);
        points.resume();
        vm.prank(alice);
        points.transfer(bob, 40);
    }

    // --- batches

    function test_mintBatch_skipsWhatFailsAndMintsTheRest() public {
        uint256 epoch = lastEpoch();
        vm.prank(upgrader);
        points.setMintMax(100);
        MintItem[] memory items = new MintItem[](6);
        items[0] = MintItem({ to: alice, epoch: epoch, amount: 60 });
        items[1] = MintItem({ to: address(0), epoch: epoch, amount: 1 });
        items[2] = MintItem({ to: bob, epoch: epoch + 1, amount: 1 });
        items[3] = MintItem({ to: bob, epoch: epoch, amount: 41 });
        items[4] = MintItem({ to: bob, epoch: epoch - 1, amount: 40 });
        items[5] = MintItem({ to: address(points), epoch: epoch, amount: 0 });
        Refusal[6] memory why =
            [Refusal.None, Refusal.Receiver, Refusal.Epoch, Refusal.Rate, Refusal.None, Refusal.Receiver];
        for (uint256 i = 0; i < 6; ++i) {
            if (why[i] == Refusal.None) continue;
            vm.expectEmit(address(points));
            emit ILoyaltyPoints.Skipped("batch", i, why[i]);
        }
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.BatchDone(minter, "batch", 2, 4);
        vm.prank(minter);
        assertEq(points.mintBatch("batch", items), 2);
        assertEq(points.balanceOf(alice), 60);
        assertEq(points.balanceOf(bob), 40);
        assertTrue(points.batchUsed(minter, "batch"));
        (, uint256 left) = points.mintAllowance();
        assertEq(left, 0);
        vm.expectRevert(abi.encodeWithSelector(ILoyaltyPoints.BatchUsed.selector, minter, bytes32("batch")));
        vm.prank(minter);
        points.mintBatch("batch", items);
    }

    function testFuzz_mintBatch_isEachMint(address[5] memory to, uint8[5] memory ages, uint32[5] memory amounts)
        public
    {
        MintItem[] memory items = new MintItem[](5);
        for (uint256 i = 0; i < 5; ++i) {
            items[i] = MintItem({ to: to[i], epoch: lastEpoch() + 1 - ages[i] % 16, amount: amounts[i] });
        }
        uint256 snapshot = vm.snapshotState();
        bool[5] memory expected;
        for (uint256 i = 0; i < 5; ++i) {
            vm.prank(minter);
            try points.mint(items[i].to, items[i].epoch, items[i].amount) {
                expected[i] = true;
            } catch { }
        }
        uint256[5] memory balances;
        uint256 supply = points.totalSupply();
        for (uint256 i = 0; i < 5; ++i) {
            balances[i] = points.balanceOf(to[i]);
        }
        vm.revertToState(snapshot);
        vm.prank(minter);
        uint256 done = points.mintBatch("batch", items);
        for (uint256 i = 0; i < 5; ++i) {
            if (expected[i]) --done;
            assertEq(points.balanceOf(to[i]), balances[i]);
        }
        assertEq(done, 0);
        assertEq(points.totalSupply(), supply);
    }

    function testFuzz_burnBatch_skipsWhatFailsAndBurnsTheRest(uint256 own, uint256 value, uint256 allowed) public {
        own = bound(own, 0, 20);
        value = bound(value, 1, 200);
        allowed = bound(allowed, 0, 200);
        fill(alice);
        mint(address(this), lastEpoch(), 10);
        vm.prank(alice);
        points.approve(address(this), allowed);
        BurnItem[] memory items = new BurnItem[](4);
        items[0] = BurnItem({ from: alice, amount: value });
        items[1] = BurnItem({ from: bob, amount: 1 });
        items[2] = BurnItem({ from: address(this), amount: own });
        items[3] = BurnItem({ from: address(0), amount: 0 });
        bool first = value <= allowed && value <= 120;
        if (!first) {
            vm.expectEmit(address(points));
            emit ILoyaltyPoints.Skipped("b", 0, allowed < value ? Refusal.Allowance : Refusal.Balance);
        }
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.Skipped("b", 1, Refusal.Allowance);
        if (10 < own) {
            vm.expectEmit(address(points));
            emit ILoyaltyPoints.Skipped("b", 2, Refusal.Balance);
        }
        vm.expectEmit(address(points));
        emit ILoyaltyPoints.Skipped("b", 3, Refusal.Allowance);
        uint256 done = points.burnBatch("b", items);
        assertEq(done, (first ? 1 : 0) + (own <= 10 ? 1 : 0));
        assertEq(points.balanceOf(alice), first ? 120 - value : 120);
        assertEq(points.balanceOf(address(this)), own <= 10 ? 10 - own : 10);
        assertEq(points.allowance(alice, address(this)), first ? allowed - value : allowed);
        vm.expectRevert(abi.encodeWithSelector(ILoyaltyPoints.BatchUsed.selector, address(this), bytes32("b")));
        points.burnBatch("b", items);
        // Another caller's ids are its own.
        vm.prank(bob);
        points.burnBatch("b", new BurnItem[](0));
    }
}
