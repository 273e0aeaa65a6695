// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { AuditLog } from "../../src/AuditLog.sol";
import { ILoyaltyPoints, Settings } from "../../src/ILoyaltyPoints.sol";
import { Claim, IPointsGateway } from "../../src/IPointsGateway.sol";
import { LeafFormat } from "../../src/Leaf.sol";
import { PointsGateway } from "../../src/PointsGateway.sol";
import { Reference } from "../Reference.sol";

/// Proven by Halmos for every claim of one amount against every head of two leaves: what the gateway pays is in a settled head that
/// has stood for the delay, means this gateway, is as much as the leaf says, and is paid once. And for every burn out of two
/// epochs: it takes as much as it says, oldest first, and nothing but the amount or the reference stops it.
contract PointsGatewaySymbolic is Test {
    bytes32 private constant LOG = "a log";
    address private constant GUARDIAN = address(0x6a);
    uint256 private constant NOW = 1_800_000_000;

    AuditLog private audit;
    ILoyaltyPoints private points;
    PointsGateway private gateway;
    bytes32 private place;

    function setUp() public {
        vm.warp(NOW);
        audit = new AuditLog();
        place = audit.register(LOG, address(this), address(0), address(this), 1 hours);
        address code = deployCode("LoyaltyPoints.sol:LoyaltyPoints");
        Settings memory settings = Settings({
            name: "Points",
            symbol: "PTS",
            decimals: 2,
            epochLength: 30 days,
            epochOffset: 0,
            validity: 4,
            mintMax: type(uint64).max,
            upgrader: address(this),
            minter: address(0),
            pauser: address(0)
        });
        points = ILoyaltyPoints(address(new ERC1967Proxy(code, abi.encodeCall(ILoyaltyPoints.initialize, (settings)))));
        gateway = new PointsGateway(audit, place, points, GUARDIAN, 0, 1, 0);
        (bool granted,) =
            address(points).call(abi.encodeWithSignature("grantRole(bytes32,address)", keccak256("MINT_ROLE"), gateway));
        assert(granted);
    }

    struct Made {
        uint64 chainId;
        address to;
        address holder;
        bytes32 id;
        uint64 before;
        uint64 amount;
        bytes32 salt;
        bytes32 header;
        bytes32 details;
        bytes32 entry;
        uint64 leafIndex;
        bytes32 sibling;
    }

    function claimOf(Made calldata it, uint64 size, bytes32 root) private pure returns (Claim memory claim) {
        claim.log = LOG;
        claim.size = size;
        claim.root = root;
        // Where the verifier writes in memory depends on it: a path for each.
        if (it.leafIndex == 0) claim.leafIndex = 0;
        else if (it.leafIndex == 1) claim.leafIndex = 1;
        else claim.leafIndex = it.leafIndex;
        claim.salt = it.salt;
        // 101 bytes: one amount, which never expires in the books.
        claim.body =
            abi.encodePacked(it.chainId, it.to, it.holder, it.id, it.before, uint8(1), type(int32).max, it.amount);
        claim.parts.header = it.header;
        claim.parts.details = it.details;
        claim.parts.body = sha256(bytes.concat(LeafFormat.T_BODY, it.salt, claim.body));
        claim.parts.entries = new bytes32[](1);
        claim.parts.entries[0] = it.entry;
        claim.proof = new bytes32[](1);
        claim.proof[0] = it.sibling;
    }

    function tryClaim(Claim memory claim) private returns (bool paid) {
        (paid,) = address(gateway).call(abi.encodeCall(PointsGateway.claim, (claim)));
    }

    /// A head of two leaves, whatever they are, anchored and settled, and a claim from it once the delay has passed.
    function check_claim_paysWhatTheLeafSaysOnce(Made calldata it, bytes32 root) external {
        vm.assume(root != 0);
        audit.anchor(place, 2, root, new bytes32[](0));
        gateway.settle(place);
        vm.warp(NOW + 1 hours);
        Claim memory claim = claimOf(it, 2, root);
        if (!tryClaim(claim)) {
            assert(!gateway.claimed(it.id));
            return;
        }
        assert(it.chainId == block.chainid && it.to == address(gateway));
        assert(block.timestamp < it.before);
        assert(it.leafIndex < 2);
        bytes32 commitment = sha256(
            abi.encodePacked(LeafFormat.T_COMMITMENT, it.header, it.details, claim.parts.body, uint8(1), it.entry)
        );
        bytes32 leaf = Reference.leafHash(abi.encodePacked(uint8(1), uint8(2), LOG, it.leafIndex, commitment));
        assert(Reference.climb(claim.leafIndex, 2, leaf, claim.proof, 1) == root);
        assert(points.totalSupply() == it.amount);
        assert(points.balanceOf(it.holder) == it.amount);
        assert(gateway.claimed(it.id));
        // The same again, and another leaf with the same id.
        assert(!tryClaim(claim));
        claim.salt = it.header;
        claim.parts.body = sha256(bytes.concat(LeafFormat.T_BODY, claim.salt, claim.body));
        assert(!tryClaim(claim));
    }

    /// Nothing is paid a second before the delay has passed.
    function check_claim_waitsForTheDelay(Made calldata it, bytes32 root) external {
        vm.assume(root != 0);
        audit.anchor(place, 2, root, new bytes32[](0));
        gateway.settle(place);
        vm.warp(NOW + 1 hours - 1);
        assert(!tryClaim(claimOf(it, 2, root)));
    }

    /// Nothing is ever paid against a head that was cancelled, though it is settled again, nor against one that nobody settled:
    /// and this is why, not that it is too early, which would pass.
    function check_claim_needsASettledHead(Made calldata it, bytes32 root, uint64 size, bytes32 other) external {
        vm.assume(root != 0);
        audit.anchor(place, 2, root, new bytes32[](0));
        gateway.settle(place);
        vm.prank(GUARDIAN);
        gateway.cancel(LOG, 2, root);
        (bool again,) = address(gateway).call(abi.encodeCall(PointsGateway.settle, (place)));
        assert(!again);
        vm.warp(NOW + 1 days);
        (bool paid, bytes memory why) =
            address(gateway).call(abi.encodeCall(PointsGateway.claim, (claimOf(it, size, other))));
        assert(!paid);
        assert(bytes4(why) == IPointsGateway.NotSettled.selector);
    }

    /// Of points of two epochs, whatever they are, a burn for credit takes as much as it says, the earliest first, paused or not;
    /// and it is refused for no other reason than that there are not as many, that it is too small, or that it names nobody.
    function check_burn_takesWhatItSays(uint16 early, uint16 late, uint16 amount, bytes32 creditTo, bool paused)
        external
    {
        uint256 epoch = points.currentEpoch();
        vm.startPrank(address(gateway));
        points.mint(address(this), epoch - 1, early);
        // Another day: what was minted today stays one number, and not a sum.
        vm.warp(NOW + 1 days);
        points.mint(address(this), epoch, late);
        vm.stopPrank();
        points.approve(address(gateway), type(uint256).max);
        if (paused) {
            (bool granted,) = address(points)
                .call(abi.encodeWithSignature("grantRole(bytes32,address)", keccak256("PAUSE_ROLE"), GUARDIAN));
            assert(granted);
            vm.prank(GUARDIAN);
            points.pause();
        }
        uint256 before = uint256(early) + late;
        (bool done,) = address(gateway).call(abi.encodeCall(PointsGateway.burn, (amount, creditTo)));
        if (!done) {
            assert(amount == 0 || creditTo == 0 || before < amount);
            assert(points.totalSupply() == before);
            return;
        }
        assert(amount != 0 && creditTo != 0);
        assert(points.totalSupply() == before - amount);
        assert(points.balanceOf(address(this)) == before - amount);
        assert(points.balanceOfAtEpoch(epoch - 1, address(this)) == (amount < early ? early - amount : 0));
        assert(gateway.burns() == 1);
    }
}
