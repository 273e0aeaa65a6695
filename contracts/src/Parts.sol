// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { LeafFormat } from "./Leaf.sol";

/// @notice What a posting is, apart from whose it is and how much.
/// @param postingId The posting's id, a UUID.
/// @param postingKind 1 earn, 2 redeem, 3 transfer, 4 expire, 5 adjust, 6 reverse, and on as docs/formats.md lists; 0 where the
/// leaf is no posting.
/// @param program The program, a UUID; zeros where the leaf concerns the whole log.
/// @param recordedAt When it was recorded, in microseconds since 1970 UTC.
/// @param effectiveAt From when it counts, never after it was recorded.
/// @param ruleSet The hash of the rule set that decided; zeros where none did.
/// @param eventHash The salted hash of the event that caused it; zeros where none did.
/// @param reverses The posting that it reverses; zeros where none.
struct Header {
    bytes16 postingId;
    uint8 postingKind;
    bytes16 program;
    int64 recordedAt;
    int64 effectiveAt;
    bytes32 ruleSet;
    bytes32 eventHash;
    bytes16 reverses;
}

/// @notice Words about a posting, each of them optional and then empty here.
/// @param merchantReference The merchant's own name for the order.
/// @param actor Who asked.
/// @param reason Why.
/// @param description In the caller's words.
/// @param rate The rate used, as `<decimal> <currency>`.
struct Details {
    string merchantReference;
    string actor;
    string reason;
    string description;
    string rate;
}

/// @notice The three balances of an account, or a change of them, in the program's smallest unit.
/// @param available What can be spent.
/// @param held What is reserved by holds.
/// @param pending What is earned and not yet matured.
struct Balances {
    int64 available;
    int64 held;
    int64 pending;
}

/// @notice One account's side of a posting.
/// @param account The account's random id.
/// @param unit The unit; 1 is the program's points.
/// @param sequence The entry's number in the account, from 1, without holes.
/// @param change What changed.
/// @param afterwards What it came to.
/// @param lots The digest of the lot movements, zeros where no lot moved.
/// @param previousLeafIndex The leaf of the account's entry before; 2^64 - 1 for the first.
/// @param previousCommitment The commitment of the account's entry before; zeros for the first.
struct Entry {
    bytes16 account;
    uint16 unit;
    uint64 sequence;
    Balances change;
    Balances afterwards;
    bytes32 lots;
    uint64 previousLeafIndex;
    bytes32 previousCommitment;
}

/// @title What the parts of a leaf say, as docs/formats.md lays them out
/// @notice Reads opened bytes. It does not look at commitments: that these are the committed bytes is the caller's to know.
library PartFormat {
    uint256 internal constant HEADER_BYTES = 129;
    uint256 internal constant ENTRY_BYTES = 146;
    uint256 internal constant TEXT_BYTES_MAX = 2000;
    uint8 internal constant DETAILS_KNOWN = 0x1f;
    uint64 internal constant NO_LEAF = type(uint64).max;

    /// A header has 129 bytes, not this many.
    error HeaderLength(uint256 length);
    /// It takes effect after it was recorded.
    error EffectiveAfterRecorded(int64 effectiveAt, int64 recordedAt);
    /// The posting kind is 0 exactly where the leaf is no posting.
    error PostingKindMisplaced(uint8 kind, uint8 postingKind);
    /// The details have a field that version 1 does not know.
    error UnknownDetails(uint8 presence);
    /// The details end inside a field.
    error DetailsTooShort(uint256 length);
    /// This many bytes of the details are left over.
    error DetailsTooLong(uint256 excess);
    /// A text has 1 to 2,000 bytes, not this many.
    error TextLength(uint256 length);
    /// The text is not UTF-8 from this byte on.
    error TextNotUtf8(uint256 position);
    /// An entry has 146 bytes, not this many.
    error EntryLength(uint256 length);
    /// An entry's sequence begins at 1.
    error SequenceZero();
    /// An account's first entry has none before it.
    error FirstHasPrevious(uint64 previousLeafIndex, bytes32 previousCommitment);
    /// An account's first entry starts from nothing.
    error FirstNotFromZero();
    /// A later entry names the leaf of the one before it, and that leaf stands before its own.
    error PreviousNotBefore(uint64 previousLeafIndex, uint64 leafIndex);

    /// @notice Reads the header of a leaf of this kind.
    function decodeHeader(uint8 kind, bytes calldata part) internal pure returns (Header memory header) {
        require(part.length == HEADER_BYTES, HeaderLength(part.length));
        header.postingId = bytes16(part[0:16]);
        header.postingKind = uint8(part[16]);
        header.program = bytes16(part[17:33]);
        header.recordedAt = int64(uint64(bytes8(part[33:41])));
        header.effectiveAt = int64(uint64(bytes8(part[41:49])));
        header.ruleSet = bytes32(part[49:81]);
        header.eventHash = bytes32(part[81:113]);
        header.reverses = bytes16(part[113:129]);
        require(header.effectiveAt <= header.recordedAt, EffectiveAfterRecorded(header.effectiveAt, header.recordedAt));
        require(LeafFormat.isPosting(kind) == (header.postingKind != 0), PostingKindMisplaced(kind, header.postingKind));
    }

    /// @notice Reads details.
    function decodeDetails(bytes calldata part) internal pure returns (Details memory details) {
        require(part.length != 0, DetailsTooShort(0));
        uint8 presence = uint8(part[0]);
        require(presence <= DETAILS_KNOWN, UnknownDetails(presence));
        uint256 read = 1;
        (details.merchantReference, read) = _text(part, read, presence & 0x01);
        (details.actor, read) = _text(part, read, presence & 0x02);
        (details.reason, read) = _text(part, read, presence & 0x04);
        (details.description, read) = _text(part, read, presence & 0x08);
        (details.rate, read) = _text(part, read, presence & 0x10);
        require(read == part.length, DetailsTooLong(part.length - read));
    }

    /// @notice Reads an entry of the leaf at this index.
    function decodeEntry(uint64 leafIndex, bytes calldata part) internal pure returns (Entry memory entry) {
        require(part.length == ENTRY_BYTES, EntryLength(part.length));
        entry.account = bytes16(part[0:16]);
        entry.unit = uint16(bytes2(part[16:18]));
        entry.sequence = uint64(bytes8(part[18:26]));
        entry.change = _balances(part[26:50]);
        entry.afterwards = _balances(part[50:74]);
        entry.lots = bytes32(part[74:106]);
        entry.previousLeafIndex = uint64(bytes8(part[106:114]));
        entry.previousCommitment = bytes32(part[114:146]);
        require(entry.sequence != 0, SequenceZero());
        if (entry.sequence == 1) {
            require(
                entry.previousLeafIndex == NO_LEAF && entry.previousCommitment == 0,
                FirstHasPrevious(entry.previousLeafIndex, entry.previousCommitment)
            );
            require(keccak256(part[26:50]) == keccak256(part[50:74]), FirstNotFromZero());
        } else {
            require(entry.previousLeafIndex < leafIndex, PreviousNotBefore(entry.previousLeafIndex, leafIndex));
        }
    }

    function _balances(bytes calldata part) private pure returns (Balances memory) {
        return Balances({
            available: int64(uint64(bytes8(part[0:8]))),
            held: int64(uint64(bytes8(part[8:16]))),
            pending: int64(uint64(bytes8(part[16:24])))
        });
    }

    function _text(bytes calldata part, uint256 start, uint8 present) private pure returns (string memory, uint256) {
        if (present == 0) return ("", start);
        require(start + 2 <= part.length, DetailsTooShort(part.length));
        uint256 length = uint16(bytes2(part[start:start + 2]));
        uint256 end = start + 2 + length;
        require(0 < length && length <= TEXT_BYTES_MAX, TextLength(length));
        require(end <= part.length, DetailsTooShort(part.length));
        bytes calldata text = part[start + 2:end];
        _requireUtf8(text);
        return (string(text), end);
    }

    /// @dev RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. The first byte says how many follow and, in four
    /// cases, narrows the second; every other one that follows is 0x80 to 0xbf.
    function _requireUtf8(bytes calldata text) private pure {
        uint256 position = 0;
        while (position < text.length) {
            uint8 first = uint8(text[position]);
            if (first < 0x80) {
                ++position;
                continue;
            }
            require(0xc2 <= first && first <= 0xf4, TextNotUtf8(position));
            uint256 following = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
            require(position + following < text.length, TextNotUtf8(position));
            uint8 second = uint8(text[position + 1]);
            uint8 low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
            uint8 high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
            require(low <= second && second <= high, TextNotUtf8(position));
            for (uint256 i = 2; i <= following; ++i) {
                require(uint8(text[position + i]) & 0xc0 == 0x80, TextNotUtf8(position));
            }
            position += following + 1;
        }
    }
}
