// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice An amount that may be spent until the end of a day.
/// @param day The last local day, counted from 1970-01-01; 2^31 - 1 for never.
/// @param amount In the program's smallest unit.
struct ExpiryAmount {
    int32 day;
    uint64 amount;
}

/// @notice What a `withdrawal` leaf tells a gateway: whom to give which points.
/// @param chainId The chain of the gateway.
/// @param gateway The gateway that is meant.
/// @param holder Who gets the points.
/// @param id Random; a withdrawal is paid once by it.
/// @param claimBefore Until when it may be claimed, in seconds after 1970 UTC; from then on the books take it back.
/// @param amounts By expiry day.
struct Withdrawal {
    uint64 chainId;
    address gateway;
    address holder;
    bytes32 id;
    uint64 claimBefore;
    ExpiryAmount[] amounts;
}

/// @title The body of a `withdrawal` leaf, as docs/formats.md lays it out
/// @notice Reads opened bytes and refuses what an encoder would not have written. That these are the committed bytes is the caller's
/// to know.
library WithdrawalFormat {
    uint256 internal constant FIXED_BYTES = 89;
    uint256 internal constant AMOUNT_BYTES = 12;
    uint256 internal constant AMOUNTS_MAX = 64;

    /// A withdrawal with this many amounts does not have this many bytes.
    error WithdrawalLength(uint256 length, uint256 count);
    /// A withdrawal has 1 to 64 amounts.
    error WithdrawalCount(uint256 count);
    /// The amount at this position is zero.
    error AmountZero(uint256 position);
    /// The day at this position is not after the one before it.
    error DaysNotAscending(uint256 position);

    /// @notice Reads a body.
    function decode(bytes calldata body) internal pure returns (Withdrawal memory withdrawal) {
        require(FIXED_BYTES <= body.length, WithdrawalLength(body.length, 0));
        uint64 chainId;
        address gateway;
        address holder;
        bytes32 id;
        uint64 claimBefore;
        uint256 count;
        assembly ("memory-safe") {
            let start := body.offset
            chainId := shr(192, calldataload(start))
            gateway := shr(96, calldataload(add(start, 8)))
            holder := shr(96, calldataload(add(start, 28)))
            id := calldataload(add(start, 48))
            let last := calldataload(add(start, 80))
            claimBefore := shr(192, last)
            count := byte(8, last)
        }
        require(0 < count && count <= AMOUNTS_MAX, WithdrawalCount(count));
        require(body.length == FIXED_BYTES + AMOUNT_BYTES * count, WithdrawalLength(body.length, count));
        withdrawal.chainId = chainId;
        withdrawal.gateway = gateway;
        withdrawal.holder = holder;
        withdrawal.id = id;
        withdrawal.claimBefore = claimBefore;
        withdrawal.amounts = new ExpiryAmount[](count);
        for (uint256 i = 0; i < count; ++i) {
            int32 day;
            uint64 amount;
            assembly ("memory-safe") {
                let both := calldataload(add(body.offset, add(89, mul(i, 12))))
                day := sar(224, both)
                amount := and(shr(160, both), 0xffffffffffffffff)
            }
            require(amount != 0, AmountZero(i));
            require(i == 0 || withdrawal.amounts[i - 1].day < day, DaysNotAscending(i));
            withdrawal.amounts[i] = ExpiryAmount({ day: day, amount: amount });
        }
    }
}
