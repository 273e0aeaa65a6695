// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { IAuditLog } from "./IAuditLog.sol";
import { EpochAmount, ILoyaltyPoints } from "./ILoyaltyPoints.sol";
import { Claim, IPointsGateway } from "./IPointsGateway.sol";
import { LeafFormat } from "./Leaf.sol";
import { Rfc9162 } from "./Rfc9162.sol";
import { ExpiryAmount, Withdrawal, WithdrawalFormat } from "./Withdrawal.sol";

/// @title PointsGateway
/// @dev A settled head is one slot: the hash of log, size and root leads to when it matures. So a claim reads one slot for it, and what
/// the claimant says about size and root is bound all the same. The contracts that are called, audit and points, call nobody.
contract PointsGateway is IPointsGateway {
    /// What `claimDelay` is where the constructor is given none.
    uint64 public constant CLAIM_DELAY_DEFAULT = 1 hours;
    uint64 private constant CLAIM_DELAY_MAX = 30 days;
    int32 private constant ZONE_MAX = 14 hours;
    uint64 private constant CANCELLED = type(uint64).max;
    bytes32 private constant UPGRADE_ROLE = keccak256("UPGRADE_ROLE");

    /// @inheritdoc IPointsGateway
    IAuditLog public immutable audit;
    /// @inheritdoc IPointsGateway
    ILoyaltyPoints public immutable points;
    /// @inheritdoc IPointsGateway
    uint64 public immutable claimDelay;
    /// @inheritdoc IPointsGateway
    uint256 public immutable burnMin;
    /// @inheritdoc IPointsGateway
    int32 public immutable zone;

    /// @inheritdoc IPointsGateway
    bytes32 public place;
    /// @inheritdoc IPointsGateway
    address public guardian;
    /// @inheritdoc IPointsGateway
    uint256 public burns;
    /// @inheritdoc IPointsGateway
    mapping(bytes32 id => bool) public claimed;

    mapping(bytes32 head => uint64 time) private _maturesAt;

    /// @param claimDelay_ 0 for the default, an hour.
    constructor(
        IAuditLog audit_,
        bytes32 place_,
        ILoyaltyPoints points_,
        address guardian_,
        uint64 claimDelay_,
        uint256 burnMin_,
        int32 zone_
    ) {
        require(guardian_ != address(0) && burnMin_ != 0, SettingOutOfRange());
        require(claimDelay_ <= CLAIM_DELAY_MAX, SettingOutOfRange());
        require(-ZONE_MAX <= zone_ && zone_ <= ZONE_MAX, SettingOutOfRange());
        audit = audit_;
        place = place_;
        points = points_;
        guardian = guardian_;
        claimDelay = claimDelay_ == 0 ? CLAIM_DELAY_DEFAULT : claimDelay_;
        burnMin = burnMin_;
        zone = zone_;
        emit GuardianChanged(address(0), guardian_);
    }

    /// @inheritdoc IPointsGateway
    function settle(bytes32 place_) external {
        require(place_ == place, OtherPlace(place, place_));
        (uint64 size, bytes32 root,, bool halted) = audit.head(place_);
        require(size != 0, NothingAnchored(place_));
        require(!halted, LogHalted(place_));
        (bytes32 log,,,,,) = audit.charter(place_);
        bytes32 head = _head(log, size, root);
        require(_maturesAt[head] == 0, AlreadySettled(log, size, root));
        uint64 time = uint64(block.timestamp) + claimDelay;
        _maturesAt[head] = time;
        emit Settled(log, size, root, time);
    }

    /// @inheritdoc IPointsGateway
    function cancel(bytes32 log, uint64 size, bytes32 root) external {
        require(msg.sender == guardian, NotGuardian(msg.sender));
        bytes32 head = _head(log, size, root);
        uint64 time = _requireSettled(head, log, size, root);
        require(block.timestamp < time, AlreadyMature(time));
        _maturesAt[head] = CANCELLED;
        emit SettlementCancelled(log, size, root);
    }

    /// @inheritdoc IPointsGateway
    function follow() external {
        bytes32 from = place;
        (,,,,, bytes32 to) = audit.charter(from);
        require(to != 0, NoSuccessor(from));
        place = to;
        emit Followed(from, to);
    }

    /// @inheritdoc IPointsGateway
    function claim(Claim calldata claim_) external {
        _requireIncluded(claim_);
        LeafFormat.requireOpens(claim_.parts.body, LeafFormat.T_BODY, claim_.salt, claim_.body);
        Withdrawal memory it = WithdrawalFormat.decode(claim_.body);
        require(it.chainId == block.chainid && it.gateway == address(this), OtherGateway(it.chainId, it.gateway));
        require(block.timestamp < it.claimBefore, TooLate(it.claimBefore));
        require(!claimed[it.id], AlreadyClaimed(it.id));
        claimed[it.id] = true;
        (EpochAmount[] memory minted, uint256 lapsed) = _mint(it);
        require(minted.length != 0, AllLapsed(it.id));
        emit Claimed(it.id, it.holder, minted, lapsed);
    }

    /// @inheritdoc IPointsGateway
    function claimBatch(Claim[] calldata claims) external returns (uint256 paid) {
        for (uint256 i = 0; i < claims.length; ++i) {
            try this.claim(claims[i]) {
                ++paid;
            } catch (bytes memory reason) {
                emit ClaimSkipped(i, reason);
            }
        }
    }

    /// @inheritdoc IPointsGateway
    function burnWithPermit(uint256 amount, bytes32 creditTo, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (uint256 burnId)
    {
        // Whoever saw the permit may have used it already: what counts is the allowance.
        try IERC20Permit(address(points)).permit(msg.sender, address(this), amount, deadline, v, r, s) { } catch { }
        return burn(amount, creditTo);
    }

    /// @inheritdoc IPointsGateway
    function setGuardian(address guardian_) external {
        require(IAccessControl(address(points)).hasRole(UPGRADE_ROLE, msg.sender), NotUpgrader(msg.sender));
        require(guardian_ != address(0), SettingOutOfRange());
        emit GuardianChanged(guardian, guardian_);
        guardian = guardian_;
    }

    /// @inheritdoc IPointsGateway
    function maturesAt(bytes32 log, uint64 size, bytes32 root) external view returns (uint64 time) {
        return _maturesAt[_head(log, size, root)];
    }

    /// @inheritdoc IPointsGateway
    function burn(uint256 amount, bytes32 creditTo) public returns (uint256 burnId) {
        require(burnMin <= amount, BelowMinimum(amount, burnMin));
        require(creditTo != 0, NoCredit());
        burnId = ++burns;
        EpochAmount[] memory amounts = points.burnFrom(msg.sender, amount);
        emit BurnedForCredit(burnId, msg.sender, creditTo, amounts);
    }

    function _mint(Withdrawal memory it) private returns (EpochAmount[] memory minted, uint256 lapsed) {
        minted = new EpochAmount[](it.amounts.length);
        uint256 count = 0;
        for (uint256 i = 0; i < it.amounts.length; ++i) {
            ExpiryAmount memory lot = it.amounts[i];
            (bool done, uint256 epoch) = points.mintEndingBy(it.holder, _endOf(lot.day), lot.amount);
            if (done) minted[count++] = EpochAmount({ epoch: epoch, amount: lot.amount });
            else lapsed += lot.amount;
        }
        assembly ("memory-safe") {
            mstore(minted, count)
        }
    }

    function _requireIncluded(Claim calldata claim_) private view {
        (bytes32 log, uint64 size, bytes32 root) = (claim_.log, claim_.size, claim_.root);
        uint64 time = _requireSettled(_head(log, size, root), log, size, root);
        require(time <= block.timestamp, NotMature(time));
        bytes32 hash =
            sha256(abi.encodePacked(bytes3(0x000102), log, claim_.leafIndex, LeafFormat.commitment(claim_.parts)));
        require(Rfc9162.includes(size, root, claim_.leafIndex, hash, claim_.proof), NotIncluded(claim_.leafIndex));
    }

    function _requireSettled(bytes32 head, bytes32 log, uint64 size, bytes32 root) private view returns (uint64 time) {
        time = _maturesAt[head];
        require(time != 0 && time != CANCELLED, NotSettled(log, size, root));
    }

    /// @dev When the day ends where the program is, 0 for what ended before 1970.
    function _endOf(int32 day) private view returns (uint256 time) {
        int256 end = (int256(day) + 1) * 1 days - zone;
        // forge-lint: disable-next-line(unsafe-typecast) it is positive
        return end < 0 ? 0 : uint256(end);
    }

    function _head(bytes32 log, uint64 size, bytes32 root) private pure returns (bytes32) {
        return keccak256(abi.encode(log, size, root));
    }
}
