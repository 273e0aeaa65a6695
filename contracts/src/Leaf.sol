// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The commitments of a leaf's parts. Together they give the leaf's own, and each opens alone.
/// @param header Of the header.
/// @param details Of the details.
/// @param body Of the body; zeros exactly where the kind has none.
/// @param entries Of the entries, in the leaf's order.
struct Commitments {
    bytes32 header;
    bytes32 details;
    bytes32 body;
    bytes32[] entries;
}

/// @title Leaves of version 1, as docs/formats.md lays them out
/// @notice Reads leaves from their bytes and opens their commitments part by part. Whatever an encoder would not have written is
/// refused, with the same rules as the other implementations, so that a receipt has one verdict everywhere.
library LeafFormat {
    uint256 internal constant LEAF_BYTES = 74;
    uint8 internal constant VERSION = 1;
    uint8 internal constant KIND_POSTING = 1;
    uint8 internal constant KIND_WITHDRAWAL = 2;
    uint8 internal constant KIND_LAST = 7;
    uint256 internal constant ENTRIES_MAX = 255;

    bytes32 internal constant T_COMMITMENT = "daftari/v1/commitment";
    bytes32 internal constant T_HEADER = "daftari/v1/header";
    bytes32 internal constant T_DETAILS = "daftari/v1/details";
    bytes32 internal constant T_BODY = "daftari/v1/body";
    bytes32 internal constant T_ENTRY = "daftari/v1/entry";

    /// A leaf has 74 bytes, not this many.
    error LeafLength(uint256 length);
    /// The leaf's first byte is no version known here.
    error LeafVersion(uint8 version);
    /// The leaf's second byte is no kind of version 1.
    error LeafKind(uint8 kind);
    /// Only a posting or a withdrawal has entries.
    error EntriesMisplaced(uint8 kind, uint256 count);
    /// A leaf has at most 255 entries.
    error TooManyEntries(uint256 count);
    /// A posting's body commitment is zeros, that of every other kind is not.
    error BodyMisplaced(uint8 kind, bytes32 body);
    /// The parts do not give the leaf's commitment.
    error CommitmentDiffers(bytes32 committed, bytes32 computed);
    /// The opened bytes under this salt do not give the part's commitment.
    error PartDiffers(bytes32 committed, bytes32 computed);
    /// The body of this kind concerns nobody in particular, so its salt is zeros.
    error PublicBodySalted(uint8 kind, bytes32 salt);
    /// The leaf has no entry at this position, counted from 0.
    error NoSuchEntry(uint256 position, uint256 count);

    /// @notice Reads a leaf, 74 bytes: which log, which place in it, and a commitment to everything else.
    /// @return kind 1 posting, 2 withdrawal, 3 map, 4 key, 5 incident, 6 orphan, 7 succession.
    /// @return log The id of the log that it belongs to.
    /// @return leafIndex Its place in that log, counted from 0.
    /// @return committed The hash over its parts' commitments.
    function decode(bytes calldata encoded)
        internal
        pure
        returns (uint8 kind, bytes32 log, uint64 leafIndex, bytes32 committed)
    {
        require(encoded.length == LEAF_BYTES, LeafLength(encoded.length));
        uint8 version;
        assembly ("memory-safe") {
            let first := calldataload(encoded.offset)
            version := byte(0, first)
            kind := byte(1, first)
            log := calldataload(add(encoded.offset, 2))
            leafIndex := shr(192, calldataload(add(encoded.offset, 34)))
            committed := calldataload(add(encoded.offset, 42))
        }
        require(version == VERSION, LeafVersion(version));
        require(0 < kind && kind <= KIND_LAST, LeafKind(kind));
    }

    /// @notice Reads a leaf and makes sure that these are its parts.
    function decodeWithParts(bytes calldata encoded, Commitments calldata parts)
        internal
        pure
        returns (uint8 kind, uint64 leafIndex)
    {
        bytes32 committed;
        (kind,, leafIndex, committed) = decode(encoded);
        require(isPosting(kind) || parts.entries.length == 0, EntriesMisplaced(kind, parts.entries.length));
        require((kind == KIND_POSTING) == (parts.body == 0), BodyMisplaced(kind, parts.body));
        bytes32 computed = commitment(parts);
        require(committed == computed, CommitmentDiffers(committed, computed));
    }

    /// @notice Whether a leaf of this kind is a posting, with entries.
    function isPosting(uint8 kind) internal pure returns (bool) {
        return kind == KIND_POSTING || kind == KIND_WITHDRAWAL;
    }

    /// @notice The commitment of a leaf with these parts.
    function commitment(Commitments calldata parts) internal pure returns (bytes32) {
        uint256 count = parts.entries.length;
        require(count <= ENTRIES_MAX, TooManyEntries(count));
        // forge-lint: disable-next-item(unsafe-typecast) the line above keeps it within a byte
        return
            sha256(abi.encodePacked(T_COMMITMENT, parts.header, parts.details, parts.body, uint8(count), parts.entries));
    }

    /// @notice Makes sure that a part's commitment opens to these bytes under this salt.
    function requireOpens(bytes32 committed, bytes32 tag, bytes32 salt, bytes calldata part) internal pure {
        bytes32 computed = sha256(bytes.concat(tag, salt, part));
        require(committed == computed, PartDiffers(committed, computed));
    }

    /// @notice The commitment of the entry at this position, counted from 0.
    function entryAt(Commitments calldata parts, uint256 position) internal pure returns (bytes32) {
        require(position < parts.entries.length, NoSuchEntry(position, parts.entries.length));
        return parts.entries[position];
    }
}
