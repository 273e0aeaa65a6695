// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IPointsGateway, Claim } from "../src/IPointsGateway.sol";
import { Commitments } from "../src/Leaf.sol";
import { PointsGateway } from "../src/PointsGateway.sol";
import { ExpiryAmount, Withdrawal } from "../src/Withdrawal.sol";
import { Base } from "./Base.sol";
import { PointsBase } from "./PointsBase.sol";
import { Reference } from "./Reference.sol";

/// A log, the token, and the gateway between them; and the honest way to withdraw.
abstract contract GatewayBase is Base, PointsBase {
    PointsGateway internal gateway;

    uint64 internal constant CLAIM_DELAY = 1 hours;
    uint256 internal constant BURN_MIN = 5;
    int32 internal constant ZONE = 3 hours;
    bytes32 private constant T_BODY = "daftari/v1/body";
    bytes32 private constant T_COMMITMENT = "daftari/v1/commitment";
    bytes32 internal constant SALT = keccak256("a salt");

    /// The log that is written: the first one, or its successor.
    bytes32 internal written = LOG;

    address internal immutable guardian = makeAddr("guardian");
    address internal immutable holder = makeAddr("holder");

    function setUp() public virtual override {
        super.setUp();
        // The token names the gateway as its minter before the gateway is there.
        address expected = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        points = deployPoints(settingsFor(expected));
        gateway = new PointsGateway(audit, place, points, guardian, 0, BURN_MIN, ZONE);
        assertEq(address(gateway), expected);
    }

    function today() internal view returns (int32) {
        // forge-lint: disable-next-line(unsafe-typecast) the zone is positive, and days are few
        return int32(int256((block.timestamp + uint256(int256(ZONE))) / 1 days));
    }

    function endOfDay(int32 day) internal pure returns (uint256) {
        // forge-lint: disable-next-line(unsafe-typecast) the tests' days are after 1970
        return uint256((int256(day) + 1) * 1 days - ZONE);
    }

    function encodeBody(Withdrawal memory it) internal pure returns (bytes memory body) {
        body = abi.encodePacked(it.chainId, it.gateway, it.holder, it.id, it.claimBefore, uint8(it.amounts.length));
        for (uint256 i = 0; i < it.amounts.length; ++i) {
            body = abi.encodePacked(body, it.amounts[i].day, it.amounts[i].amount);
        }
    }

    /// A withdrawal of one amount that lasts a year.
    function someWithdrawal(bytes32 id, uint64 amount) internal view returns (Withdrawal memory it) {
        it.chainId = uint64(block.chainid);
        it.gateway = address(gateway);
        it.holder = holder;
        it.id = id;
        it.claimBefore = uint64(block.timestamp + 30 days);
        it.amounts = new ExpiryAmount[](1);
        it.amounts[0] = ExpiryAmount({ day: today() + 365, amount: amount });
    }

    function partsOf(bytes memory body) internal pure returns (Commitments memory parts) {
        parts.header = keccak256("header");
        parts.details = keccak256("details");
        parts.body = sha256(bytes.concat(T_BODY, SALT, body));
        parts.entries = new bytes32[](2);
        parts.entries[0] = keccak256("the holder's entry");
        parts.entries[1] = keccak256("the bridge's entry");
    }

    function commitmentOf(Commitments memory parts) internal pure returns (bytes32) {
        return sha256(
            abi.encodePacked(
                T_COMMITMENT, parts.header, parts.details, parts.body, uint8(parts.entries.length), parts.entries
            )
        );
    }

    /// Writes a leaf of this kind with this body into the log, and says what can be claimed with it.
    function append(uint8 kind, bytes memory body) internal returns (Claim memory claim) {
        claim.log = written;
        claim.leafIndex = uint64(hashes.length);
        claim.parts = partsOf(body);
        claim.salt = SALT;
        claim.body = body;
        hashes.push(Reference.leafHash(encode(kind, written, claim.leafIndex, commitmentOf(claim.parts))));
    }

    /// Shows the leaf in the head of this size.
    function prove(Claim memory claim, uint64 size) internal view {
        claim.size = size;
        claim.root = rootOf(size);
        claim.proof = pathIn(size, claim.leafIndex);
    }

    /// The whole way up to the claim: written, anchored, settled, and the delay has passed.
    function settled(Withdrawal memory it) internal returns (Claim memory claim) {
        claim = append(2, encodeBody(it));
        settleAt(claim, uint64(hashes.length + 3));
        vm.warp(block.timestamp + CLAIM_DELAY);
    }

    function settleAt(Claim memory claim, uint64 size) internal {
        anchorAt(size);
        gateway.settle(place);
        prove(claim, size);
    }
}
