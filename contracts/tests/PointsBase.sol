// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { ILoyaltyPoints, Settings } from "../src/ILoyaltyPoints.sol";

/// The token behind its proxy, and its roles. The token is deployed from the build's output: importing it would compile
/// everything here with its settings, and other bytes would be tested than those that are deployed.
abstract contract PointsBase is Test {
    ILoyaltyPoints internal points;
    address internal implementation;

    uint32 internal constant EPOCH = 30 days;
    uint32 internal constant OFFSET = 3 hours;
    uint8 internal constant VALIDITY = 12;
    uint64 internal constant MINT_MAX = 1_000_000;
    uint256 internal constant START = 1_800_000_000;

    bytes32 internal constant UPGRADE_ROLE = keccak256("UPGRADE_ROLE");
    bytes32 internal constant MINT_ROLE = keccak256("MINT_ROLE");
    bytes32 internal constant PAUSE_ROLE = keccak256("PAUSE_ROLE");

    address internal immutable upgrader = makeAddr("upgrader");
    address internal immutable minter = makeAddr("minter");
    address internal immutable pauser = makeAddr("pauser");

    function settingsFor(address minter_) internal view returns (Settings memory) {
        return Settings({
            name: "Points",
            symbol: "PTS",
            decimals: 2,
            epochLength: EPOCH,
            epochOffset: OFFSET,
            validity: VALIDITY,
            mintMax: MINT_MAX,
            upgrader: upgrader,
            minter: minter_,
            pauser: pauser
        });
    }

    function deployPoints(Settings memory settings) internal returns (ILoyaltyPoints) {
        implementation = deployCode("LoyaltyPoints.sol:LoyaltyPoints");
        bytes memory call = abi.encodeCall(ILoyaltyPoints.initialize, (settings));
        return ILoyaltyPoints(address(new ERC1967Proxy(implementation, call)));
    }

    /// The epochs that points can be in now.
    function firstEpoch() internal view returns (uint256) {
        return lastEpoch() + 1 - VALIDITY;
    }

    function lastEpoch() internal view returns (uint256) {
        return (block.timestamp - OFFSET) / EPOCH;
    }

    function endOf(uint256 epoch) internal pure returns (uint256) {
        return OFFSET + (epoch + VALIDITY) * EPOCH;
    }

    function mint(address to, uint256 epoch, uint256 amount) internal {
        vm.prank(minter);
        points.mint(to, epoch, amount);
    }
}
