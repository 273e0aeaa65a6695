// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Vm } from "forge-std/Vm.sol";
import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { PointsDeployment, PointsTerms } from "../src/PointsDeployment.sol";
import { Base } from "./Base.sol";
import { PointsBase } from "./PointsBase.sol";

/// Everything is made in one transaction, each part knows the others, and whoever sent it has nothing.
contract PointsDeploymentTest is Base, PointsBase {
    uint256 private constant TIMELOCK_DELAY = 7 days;
    bytes32 private constant SALT = "a salt";

    address private immutable safe = makeAddr("safe");
    address private immutable guardian = makeAddr("guardian");
    address private code;

    function setUp() public override {
        super.setUp();
        code = deployCode("LoyaltyPoints.sol:LoyaltyPoints");
    }

    function terms() private view returns (PointsTerms memory it) {
        it.token = settingsFor(address(0));
        it.token.upgrader = address(0);
        it.timelockDelay = TIMELOCK_DELAY;
        it.proposers = new address[](1);
        it.proposers[0] = safe;
        it.executors = new address[](1);
        it.guardian = guardian;
        it.burnMin = 5;
        it.zone = 3 hours;
    }

    function make(PointsTerms memory it) private returns (PointsDeployment) {
        return new PointsDeployment{ salt: SALT }(code, audit, place, it);
    }

    function test_eachPartKnowsTheOthers() public {
        PointsDeployment made = make(terms());
        points = made.points();
        assertEq(address(made.gateway().points()), address(points));
        assertEq(address(made.gateway().audit()), address(audit));
        assertEq(made.gateway().place(), place);
        assertEq(made.gateway().guardian(), guardian);
        assertEq(made.gateway().claimDelay(), 1 hours);
        assertEq(made.gateway().burnMin(), 5);
        assertEq(made.gateway().zone(), 3 hours);
        assertEq(made.timelock().getMinDelay(), TIMELOCK_DELAY);
        (uint256 mintMax,) = points.mintAllowance();
        assertEq(mintMax, MINT_MAX);
    }

    function testFuzz_itRefusesATimelockThatNobodyCouldWatch(uint256 delay) public {
        delay = bound(delay, 0, 1 days - 1);
        PointsTerms memory it = terms();
        it.timelockDelay = delay;
        vm.expectRevert(abi.encodeWithSelector(PointsDeployment.TimelockTooShort.selector, delay));
        make(it);
        it.timelockDelay = 1 days;
        assertEq(make(it).timelock().getMinDelay(), 1 days);
    }

    /// Of all roles there are, each is held by exactly one of those that are meant to: what is granted is told by an event.
    function testFuzz_onlyTheMeantHoldRoles(address deployer) public {
        vm.assume(deployer != safe && deployer != pauser && deployer != address(0));
        vm.recordLogs();
        vm.prank(deployer);
        PointsDeployment made = make(terms());
        uint256 granted = 0;
        IAccessControl token = IAccessControl(address(made.points()));
        TimelockController timelock = made.timelock();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IAccessControl.RoleGranted.selector) continue;
            ++granted;
            address to = address(uint160(uint256(logs[i].topics[2])));
            assertTrue(to != deployer && to != address(made), "a deployer's role");
        }
        assertEq(granted, 7, "three roles of the token, four of the timelock");
        assertTrue(token.hasRole(UPGRADE_ROLE, address(timelock)));
        assertTrue(token.hasRole(MINT_ROLE, address(made.gateway())));
        assertTrue(token.hasRole(PAUSE_ROLE, pauser));
        assertTrue(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(timelock)));
        assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), safe));
        assertTrue(timelock.hasRole(timelock.CANCELLER_ROLE(), safe));
        assertTrue(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)));
    }

    /// The address is a hash of all that it is made with: other terms, another address, and the same ones twice are refused.
    function testFuzz_addressesFollowFromTheTerms(uint64 delay) public {
        delay = uint64(bound(delay, 1 days, 30 days));
        PointsTerms memory it = terms();
        it.timelockDelay = delay;
        bytes memory code_ = abi.encodePacked(type(PointsDeployment).creationCode, abi.encode(code, audit, place, it));
        address expected = vm.computeCreate2Address(SALT, keccak256(code_), address(this));
        assertEq(address(make(it)), expected);
        vm.expectRevert();
        this.makeAgain(it);
        it.timelockDelay = delay + 1;
        assertNotEq(address(make(it)), expected);
    }

    function makeAgain(PointsTerms calldata it) external {
        new PointsDeployment{ salt: SALT }(code, audit, place, it);
    }
}
