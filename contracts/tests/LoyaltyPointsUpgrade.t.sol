// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { IERC1967 } from "@openzeppelin/contracts/interfaces/IERC1967.sol";
import { ERC1967Utils } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";
import { Initializable } from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import { UUPSUpgradeable } from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import { LoyaltyPoints } from "../src/LoyaltyPoints.sol";
import { PointsBase } from "./PointsBase.sol";

/// A next version, with storage of its own.
contract LoyaltyPointsNext is LoyaltyPoints {
    /// @custom:storage-location erc7201:daftari.LoyaltyPointsNext
    struct NextStorage {
        uint256 added;
    }

    bytes32 private constant AT = keccak256("daftari.LoyaltyPointsNext");

    function begin(uint256 value) external reinitializer(2) {
        _next().added = value;
    }

    function added() external view returns (uint256) {
        return _next().added;
    }

    function _next() private pure returns (NextStorage storage $) {
        bytes32 slot = AT;
        assembly {
            $.slot := slot
        }
    }
}

/// The token's code is replaced by its upgrader, a timelock, after its delay, and by nobody else; what holders have stays.
contract LoyaltyPointsUpgradeTest is PointsBase {
    uint256 private constant TIMELOCK_DELAY = 7 days;

    address private immutable alice = makeAddr("alice");
    address private immutable bob = makeAddr("bob");
    address private immutable proposer = makeAddr("proposer");

    TimelockController private timelock;
    address private next;

    function setUp() public {
        vm.warp(START);
        address[] memory proposers = new address[](1);
        proposers[0] = proposer;
        timelock = new TimelockController(TIMELOCK_DELAY, proposers, proposers, address(0));
        points = deployPoints(settingsFor(minter));
        vm.startPrank(upgrader);
        IAccessControl(address(points)).grantRole(UPGRADE_ROLE, address(timelock));
        IAccessControl(address(points)).renounceRole(UPGRADE_ROLE, upgrader);
        vm.stopPrank();
        for (uint256 epoch = firstEpoch(); epoch <= lastEpoch(); ++epoch) {
            mint(alice, epoch, 10);
        }
        mint(bob, lastEpoch(), 7);
        vm.prank(alice);
        points.approve(bob, 55);
        next = address(new LoyaltyPointsNext());
    }

    function upgrade(address to) private pure returns (bytes memory) {
        bytes memory begin = abi.encodeCall(LoyaltyPointsNext.begin, (42));
        return abi.encodeCall(UUPSUpgradeable.upgradeToAndCall, (to, begin));
    }

    function test_upgrade_keepsEverything() public {
        vm.startPrank(proposer);
        timelock.schedule(address(points), 0, upgrade(next), 0, 0, TIMELOCK_DELAY);
        vm.warp(block.timestamp + TIMELOCK_DELAY - 1);
        vm.expectRevert();
        timelock.execute(address(points), 0, upgrade(next), 0, 0);
        vm.warp(block.timestamp + 1);
        vm.expectEmit(address(points));
        emit IERC1967.Upgraded(next);
        timelock.execute(address(points), 0, upgrade(next), 0, 0);
        vm.stopPrank();

        assertEq(LoyaltyPointsNext(address(points)).added(), 42);
        assertEq(points.balanceOf(alice), 120);
        assertEq(points.balanceOf(bob), 7);
        assertEq(points.totalSupply(), 127);
        assertEq(points.balanceOfAtEpoch(firstEpoch(), alice), 10);
        assertEq(points.allowance(alice, bob), 55);
        assertTrue(IAccessControl(address(points)).hasRole(MINT_ROLE, minter));
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        points.initialize(settingsFor(minter));
        vm.prank(bob);
        points.transferFrom(alice, bob, 55);
        assertEq(points.balanceOf(bob), 62);
    }

    function testFuzz_upgrade_refusesStrangers(address stranger) public {
        vm.assume(stranger != address(timelock));
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, UPGRADE_ROLE)
        );
        vm.prank(stranger);
        UUPSUpgradeable(address(points)).upgradeToAndCall(next, "");
    }

    function test_upgrade_refusesWhatIsNoImplementation() public {
        vm.expectRevert(abi.encodeWithSelector(ERC1967Utils.ERC1967InvalidImplementation.selector, address(this)));
        vm.prank(address(timelock));
        UUPSUpgradeable(address(points)).upgradeToAndCall(address(this), "");
    }

    function test_upgrade_refusesTheImplementationItself() public {
        vm.expectRevert(UUPSUpgradeable.UUPSUnauthorizedCallContext.selector);
        UUPSUpgradeable(implementation).upgradeToAndCall(next, "");
    }
}
