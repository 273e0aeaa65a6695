// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { IAuditLog } from "./IAuditLog.sol";
import { ILoyaltyPoints, Settings } from "./ILoyaltyPoints.sol";
import { PointsGateway } from "./PointsGateway.sol";

/// @notice What the token and its gateway are made with. The token's upgrader and minter are made here and are left zero in `token`.
/// @param token The token's settings.
/// @param timelockDelay How long a change to the token is announced before it can be made, in seconds.
/// @param proposers Who announces changes and can cancel them; meant to be a multi-signature account.
/// @param executors Who carries them out after the delay; the zero address stands for anybody.
/// @param guardian Who cancels settlements.
/// @param claimDelay How long a settled head has to stand, in seconds; 0 for the default.
/// @param burnMin The least that is burned for credit.
/// @param zone By how many seconds the program's local time is ahead of UTC.
struct PointsTerms {
    Settings token;
    uint256 timelockDelay;
    address[] proposers;
    address[] executors;
    address guardian;
    uint64 claimDelay;
    uint256 burnMin;
    int32 zone;
}

/// @title PointsDeployment: the token, its gateway and its timelock, made in one transaction
/// @notice The token names the gateway as its minter and the gateway names the token, so each has to know the other's address before it
/// is there. Both are made here, in the constructor, and their addresses follow from this contract's own: with CREATE2 that
/// is a hash of everything they are made with. Nobody ever holds a role for a moment, whoever sends the transaction.
contract PointsDeployment {
    /// The timelock that upgrades the token, gives and takes its roles, and appoints the guardian.
    TimelockController public immutable timelock;
    /// The token, behind its proxy.
    ILoyaltyPoints public immutable points;
    /// The only minter.
    PointsGateway public immutable gateway;

    /// @notice The least delay of the timelock: whoever holds points has a day to see what is announced, and to burn them before it.
    uint256 public constant TIMELOCK_DELAY_MIN = 1 days;

    /// @notice Refuses a timelock that would give nobody the time to see anything.
    error TimelockTooShort(uint256 delay);

    /// @param implementation The token's code, deployed before.
    constructor(address implementation, IAuditLog audit, bytes32 place, PointsTerms memory terms) {
        require(TIMELOCK_DELAY_MIN <= terms.timelockDelay, TimelockTooShort(terms.timelockDelay));
        timelock = new TimelockController(terms.timelockDelay, terms.proposers, terms.executors, address(0));
        terms.token.upgrader = address(timelock);
        terms.token.minter = _made(3);
        bytes memory initialize = abi.encodeCall(ILoyaltyPoints.initialize, (terms.token));
        points = ILoyaltyPoints(address(new ERC1967Proxy(implementation, initialize)));
        gateway = new PointsGateway(audit, place, points, terms.guardian, terms.claimDelay, terms.burnMin, terms.zone);
        assert(address(gateway) == terms.token.minter);
    }

    /// @dev The contract that this one makes as its `nth`: the hash of RLP's list of address and nonce.
    function _made(uint8 nth) private view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), nth)))));
    }
}
