// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { BurnItem } from "../src/ILoyaltyPoints.sol";
import { PointsBase } from "./PointsBase.sol";

/// Where a token that is in use has what: read slot by slot, against words that are written here. Whoever changes a word of this file
/// changes what an upgrade would find in the storage of the tokens that there are; adding to it is harmless.
contract StorageLayoutTest is PointsBase {
    bytes32 private constant OURS = 0x0fa5b4367a0ae0d2e6db5bfdcf5edeff30f4f4b45277d802694c71806b48ac00;
    bytes32 private constant ACCESS_CONTROL = 0x02dd7bc7dec4dceedda775e58dd541e08a116c6c53815c0bd028192f7b626800;
    bytes32 private constant ERC20 = 0x52c63247e1f47db19d5ce0460030c497f067ca4cebf71ba98eeadabe20bace00;
    bytes32 private constant NONCES = 0x5ab42ced628888259c08ac98db1eb0cf702fc1501344311d8b100cd1bfe4bb00;
    bytes32 private constant EIP712 = 0xa16a46d94261c7517cc8ff89f61c0ce93598e3c849801011dee649a6a557d100;
    bytes32 private constant INITIALIZABLE = 0xf0c57e16840df040f15088dc2f81fe391c3923bec73e23a9662efc9c229c6a00;
    bytes32 private constant IMPLEMENTATION = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    address private constant HOLDER = address(0xa11ce);
    address private constant SPENDER = address(0xb0b);
    bytes32 private constant BATCH = "a batch";

    function setUp() public {
        vm.warp(START);
        points = deployPoints(settingsFor(minter));
        // Epoch 694 is running: lanes 2 and 3 of word 173.
        assertEq(lastEpoch(), 694);
        mint(HOLDER, 691, 0x1111);
        mint(HOLDER, 694, 0x2222);
    }

    function check(bytes32 slot, uint256 word) private view {
        assertEq(uint256(vm.load(address(points), slot)), word);
    }

    function memberOf(bytes32 base, uint256 member) private pure returns (bytes32) {
        return bytes32(uint256(base) + member);
    }

    function inMap(bytes32 key, bytes32 map) private pure returns (bytes32) {
        return keccak256(abi.encode(key, map));
    }

    function inMap(address key, bytes32 map) private pure returns (bytes32) {
        return keccak256(abi.encode(key, map));
    }

    function test_terms() public view {
        // paused, decimals 2, validity 12, epochs from 10,800 on, of 2,592,000 s, day 20,833, minted 0x3333, at most 1,000,000
        check(memberOf(OURS, 0), 0x00_02_0c_00002a30_00278d00_00005161_0000000000003333_00000000000f4240);
    }

    function test_amounts() public {
        check(inMap(bytes32(uint256(172)), memberOf(OURS, 1)), 0x1111 << 192);
        check(inMap(bytes32(uint256(173)), memberOf(OURS, 1)), 0x2222 << 128);
        bytes32 purse = inMap(HOLDER, memberOf(OURS, 2));
        check(inMap(bytes32(uint256(172)), purse), 0x1111 << 192);
        check(inMap(bytes32(uint256(173)), purse), 0x2222 << 128);
        vm.prank(pauser);
        points.pause();
        check(memberOf(OURS, 0), 0x01_02_0c_00002a30_00278d00_00005161_0000000000003333_00000000000f4240);
    }

    function test_batches() public {
        bytes32 slot = inMap(keccak256(abi.encode(HOLDER, BATCH)), memberOf(OURS, 3));
        check(slot, 0);
        vm.prank(HOLDER);
        points.burnBatch(BATCH, new BurnItem[](0));
        check(slot, 1);
    }

    function test_whatIsInherited() public {
        vm.prank(HOLDER);
        points.approve(SPENDER, 55);
        check(inMap(SPENDER, inMap(HOLDER, memberOf(ERC20, 1))), 55);
        check(memberOf(ERC20, 3), (uint256(bytes32("Points"))) | 12);
        check(memberOf(ERC20, 4), (uint256(bytes32("PTS"))) | 6);
        check(memberOf(EIP712, 2), (uint256(bytes32("Points"))) | 12);
        check(inMap(minter, inMap(MINT_ROLE, ACCESS_CONTROL)), 1);
        check(memberOf(inMap(MINT_ROLE, ACCESS_CONTROL), 1), uint256(UPGRADE_ROLE));
        check(INITIALIZABLE, 1);
        check(IMPLEMENTATION, uint256(uint160(implementation)));
        vm.store(address(points), inMap(HOLDER, NONCES), bytes32(uint256(7)));
        assertEq(IERC20Permit(address(points)).nonces(HOLDER), 7);
    }
}
