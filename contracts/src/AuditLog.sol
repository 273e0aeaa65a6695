// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAuditLog, Role } from "./IAuditLog.sol";
import { Commitments, LeafFormat } from "./Leaf.sol";
import { Details, Entry, Header, PartFormat } from "./Parts.sol";
import { Rfc9162 } from "./Rfc9162.sol";
import { Tip, Tips } from "./Tip.sol";

/// @title AuditLog
/// @dev What `anchor` reads and writes is two slots, a `Head`. Everything slow is a `Charter` beside it.
contract AuditLog is IAuditLog {
    /// @inheritdoc IAuditLog
    uint64 public constant SIZE_MAX = 2 ** 63 - 1;
    /// @inheritdoc IAuditLog
    uint64 public constant DELAY_MIN = 1 hours;
    /// @inheritdoc IAuditLog
    uint64 public constant DELAY_MAX = 30 days;
    /// @inheritdoc IAuditLog
    uint64 public constant PROPOSAL_WINDOW = 14 days;

    /// @dev A frozen log is halted too, so that `anchor` has one flag to look at.
    struct Head {
        bytes32 root;
        Tip tip;
    }

    struct Charter {
        bytes32 log;
        address registrant;
        address admin;
        uint64 delay;
        address standby;
        // Other than zeros exactly when the log is frozen.
        bytes32 successor;
    }

    struct Proposal {
        address holder;
        uint64 readyAt;
    }

    struct SuccessorProposal {
        bytes32 successor;
        uint64 readyAt;
    }

    mapping(bytes32 place => Head) private _heads;
    mapping(bytes32 place => Charter) private _charters;
    mapping(bytes32 place => mapping(uint64 size => bytes32 root)) private _pins;
    mapping(bytes32 place => mapping(Role => Proposal)) private _proposals;
    mapping(bytes32 place => SuccessorProposal) private _successors;

    /// @inheritdoc IAuditLog
    function register(bytes32 log, address writer, address standby, address admin, uint64 delay)
        external
        returns (bytes32 place)
    {
        require(log != 0, LogZero());
        require(writer != address(0), RoleEmpty(Role.Writer));
        require(admin != address(0), RoleEmpty(Role.Admin));
        require(DELAY_MIN <= delay && delay <= DELAY_MAX, DelayOutOfRange(delay));
        place = placeOf(log, msg.sender);
        require(_charters[place].admin == address(0), AlreadyRegistered(place));
        _heads[place].tip = Tips.make(0, writer, false);
        _charters[place] =
            Charter({ log: log, registrant: msg.sender, admin: admin, delay: delay, standby: standby, successor: 0 });
        emit Registered(place, log, msg.sender, writer, standby, admin, delay);
    }

    /// @inheritdoc IAuditLog
    function anchor(bytes32 place, uint64 newSize, bytes32 newRoot, bytes32[] calldata proof) external {
        Head storage current = _heads[place];
        Tip tip = current.tip;
        if (!tip.isOpenTo(msg.sender)) _refuseToAnchor(place, tip);
        uint64 oldSize = tip.size();
        require(oldSize < newSize, NotLonger(place, oldSize, newSize));
        require(newSize <= SIZE_MAX, SizeTooLarge(place, newSize));
        if (oldSize != 0) {
            require(
                Rfc9162.extendsShorter(oldSize, current.root, newSize, newRoot, proof),
                NotAnExtension(place, oldSize, newSize)
            );
        } else {
            // Nothing is there to extend: the writer's word starts the log, and binds it from here on. A place that nobody has
            // registered has no writer, and a simulated call can come from the zero address.
            require(msg.sender != address(0), UnknownPlace(place));
            require(proof.length == 0, ProofNotEmpty(place, proof.length));
            require(newRoot != 0, RootZero(place));
        }
        current.root = newRoot;
        current.tip = Tips.make(newSize, msg.sender, false);
        emit Anchored(place, newSize, newRoot, oldSize);
    }

    /// @inheritdoc IAuditLog
    function pin(bytes32 place) external {
        Head storage current = _heads[place];
        (uint64 size, bytes32 root) = (current.tip.size(), current.root);
        require(size != 0, NothingAnchored(place));
        if (_pins[place][size] != 0) return;
        _pins[place][size] = root;
        emit Pinned(place, size, root);
    }

    /// @inheritdoc IAuditLog
    function takeOver(bytes32 place) external {
        Charter storage terms = _live(place);
        Head storage current = _heads[place];
        Tip tip = current.tip;
        (address from, address to) = (tip.writer(), terms.standby);
        require(msg.sender == terms.admin || msg.sender == from, NotAdminOrWriter(place, msg.sender));
        require(to != address(0), NoStandby(place));
        current.tip = tip.withWriter(to);
        terms.standby = address(0);
        emit StandbyTookOver(place, msg.sender, from, to);
    }

    /// @inheritdoc IAuditLog
    function halt(bytes32 place) external {
        _liveAsAdmin(place);
        Tip tip = _heads[place].tip;
        require(!tip.halted(), IsHalted(place));
        _heads[place].tip = tip.withHalted(true);
        emit Halted(place, msg.sender);
    }

    /// @inheritdoc IAuditLog
    function resume(bytes32 place) external {
        _liveAsAdmin(place);
        Tip tip = _heads[place].tip;
        require(tip.halted(), NotHalted(place));
        _heads[place].tip = tip.withHalted(false);
        emit Resumed(place, msg.sender);
    }

    /// @inheritdoc IAuditLog
    function propose(bytes32 place, Role role, address holder) external {
        Charter storage terms = _liveAsAdmin(place);
        require(holder != address(0) || role == Role.Standby, RoleEmpty(role));
        uint64 readyAt = uint64(block.timestamp) + terms.delay;
        _proposals[place][role] = Proposal({ holder: holder, readyAt: readyAt });
        emit Proposed(place, role, holder, readyAt);
    }

    /// @inheritdoc IAuditLog
    function cancel(bytes32 place, Role role) external {
        _liveAsAdmin(place);
        Proposal memory proposed = _proposals[place][role];
        require(proposed.readyAt != 0, NothingProposed(place));
        delete _proposals[place][role];
        emit Cancelled(place, role, proposed.holder);
    }

    /// @inheritdoc IAuditLog
    function enact(bytes32 place, Role role) external {
        Charter storage terms = _live(place);
        Proposal memory proposed = _proposals[place][role];
        if (role == Role.Admin) {
            require(msg.sender == proposed.holder, NotProposed(place, msg.sender));
        } else {
            require(msg.sender == terms.admin, NotAdmin(place, msg.sender));
        }
        _requireReady(place, proposed.readyAt);
        delete _proposals[place][role];
        address from;
        if (role == Role.Admin) {
            (from, terms.admin) = (terms.admin, proposed.holder);
        } else if (role == Role.Writer) {
            Tip tip = _heads[place].tip;
            (from, _heads[place].tip) = (tip.writer(), tip.withWriter(proposed.holder));
        } else {
            (from, terms.standby) = (terms.standby, proposed.holder);
        }
        emit RoleChanged(place, role, from, proposed.holder);
    }

    /// @inheritdoc IAuditLog
    function proposeSuccessor(bytes32 place, bytes32 successor) external {
        Charter storage terms = _liveAsAdmin(place);
        require(successor != place, OwnSuccessor(place));
        _live(successor);
        uint64 readyAt = uint64(block.timestamp) + terms.delay;
        _successors[place] = SuccessorProposal({ successor: successor, readyAt: readyAt });
        emit SuccessorProposed(place, successor, readyAt);
    }

    /// @inheritdoc IAuditLog
    function cancelSuccessor(bytes32 place) external {
        _liveAsAdmin(place);
        SuccessorProposal memory proposed = _successors[place];
        require(proposed.readyAt != 0, NothingProposed(place));
        delete _successors[place];
        emit SuccessorCancelled(place, proposed.successor);
    }

    /// @inheritdoc IAuditLog
    function succeed(bytes32 place) external {
        Charter storage terms = _liveAsAdmin(place);
        SuccessorProposal memory proposed = _successors[place];
        _requireReady(place, proposed.readyAt);
        // A successor that has ended in the meantime would lead nowhere, or round in a circle.
        _live(proposed.successor);
        delete _successors[place];
        terms.successor = proposed.successor;
        Head storage current = _heads[place];
        Tip tip = current.tip;
        current.tip = tip.withHalted(true);
        emit Succeeded(place, proposed.successor, tip.size(), current.root);
    }

    /// @inheritdoc IAuditLog
    function head(bytes32 place) external view returns (uint64 size, bytes32 root, address writer, bool halted) {
        Head storage current = _heads[place];
        Tip tip = current.tip;
        return (tip.size(), current.root, tip.writer(), tip.halted());
    }

    /// @inheritdoc IAuditLog
    function charter(bytes32 place)
        external
        view
        returns (bytes32 log, address registrant, address admin, address standby, uint64 delay, bytes32 successor)
    {
        Charter storage terms = _charters[place];
        return (terms.log, terms.registrant, terms.admin, terms.standby, terms.delay, terms.successor);
    }

    /// @inheritdoc IAuditLog
    function proposal(bytes32 place, Role role) external view returns (address holder, uint64 readyAt) {
        Proposal storage proposed = _proposals[place][role];
        return (proposed.holder, proposed.readyAt);
    }

    /// @inheritdoc IAuditLog
    function successorProposal(bytes32 place) external view returns (bytes32 successor, uint64 readyAt) {
        SuccessorProposal storage proposed = _successors[place];
        return (proposed.successor, proposed.readyAt);
    }

    /// @inheritdoc IAuditLog
    function pinnedRoot(bytes32 place, uint64 size) external view returns (bytes32 root) {
        return _pins[place][size];
    }

    /// @inheritdoc IAuditLog
    function includes(bytes32 log, address registrant, uint64 size, bytes calldata leaf, bytes32[] calldata proof)
        external
        view
        returns (bool included)
    {
        (, bytes32 named, uint64 leafIndex,) = LeafFormat.decode(leaf);
        require(named == log, OtherLog(log, named));
        require(leafIndex < size, IndexBeyondSize(leafIndex, size));
        bytes32 root = _requireRoot(placeOf(log, registrant), size);
        return Rfc9162.includes(size, root, leafIndex, Rfc9162.leafHash(leaf), proof);
    }

    /// @inheritdoc IAuditLog
    function consistent(bytes32 place, uint64 oldSize, uint64 newSize, bytes32[] calldata proof)
        external
        view
        returns (bool extended)
    {
        return Rfc9162.extends(oldSize, _requireRoot(place, oldSize), newSize, _requireRoot(place, newSize), proof);
    }

    /// @inheritdoc IAuditLog
    function commitmentOf(Commitments calldata parts) external pure returns (bytes32 commitment) {
        return LeafFormat.commitment(parts);
    }

    /// @inheritdoc IAuditLog
    function openHeader(bytes calldata leaf, Commitments calldata parts, bytes32 salt, bytes calldata part)
        external
        pure
        returns (Header memory header)
    {
        (uint8 kind,) = LeafFormat.decodeWithParts(leaf, parts);
        LeafFormat.requireOpens(parts.header, LeafFormat.T_HEADER, salt, part);
        return PartFormat.decodeHeader(kind, part);
    }

    /// @inheritdoc IAuditLog
    function openDetails(bytes calldata leaf, Commitments calldata parts, bytes32 salt, bytes calldata part)
        external
        pure
        returns (Details memory details)
    {
        LeafFormat.decodeWithParts(leaf, parts);
        LeafFormat.requireOpens(parts.details, LeafFormat.T_DETAILS, salt, part);
        return PartFormat.decodeDetails(part);
    }

    /// @inheritdoc IAuditLog
    function openBody(bytes calldata leaf, Commitments calldata parts, bytes32 salt, bytes calldata part)
        external
        pure
        returns (uint8 kind)
    {
        (kind,) = LeafFormat.decodeWithParts(leaf, parts);
        LeafFormat.requireOpens(parts.body, LeafFormat.T_BODY, salt, part);
        require(LeafFormat.isPosting(kind) || salt == 0, LeafFormat.PublicBodySalted(kind, salt));
    }

    /// @inheritdoc IAuditLog
    function openEntry(
        bytes calldata leaf,
        Commitments calldata parts,
        uint256 position,
        bytes32 salt,
        bytes calldata part
    ) external pure returns (Entry memory entry) {
        (, uint64 leafIndex) = LeafFormat.decodeWithParts(leaf, parts);
        LeafFormat.requireOpens(LeafFormat.entryAt(parts, position), LeafFormat.T_ENTRY, salt, part);
        return PartFormat.decodeEntry(leafIndex, part);
    }

    /// @inheritdoc IAuditLog
    function placeOf(bytes32 log, address registrant) public pure returns (bytes32 place) {
        // keccak256(abi.encode(log, registrant)), without a copy in fresh memory.
        assembly ("memory-safe") {
            mstore(0x00, log)
            mstore(0x20, shr(96, shl(96, registrant)))
            place := keccak256(0x00, 0x40)
        }
    }

    /// @inheritdoc IAuditLog
    function rootAt(bytes32 place, uint64 size) public view returns (bytes32 root) {
        // A pin first: it is one slot, and a head that is pinned is the same.
        root = _pins[place][size];
        if (root != 0) return root;
        Head storage current = _heads[place];
        return current.tip.size() == size ? current.root : bytes32(0);
    }

    function _requireRoot(bytes32 place, uint64 size) private view returns (bytes32 root) {
        root = rootAt(place, size);
        require(root != 0, SizeUnknown(place, size));
    }

    function _live(bytes32 place) private view returns (Charter storage terms) {
        terms = _charters[place];
        require(terms.admin != address(0), UnknownPlace(place));
        require(terms.successor == 0, IsFrozen(place, terms.successor));
    }

    function _liveAsAdmin(bytes32 place) private view returns (Charter storage terms) {
        terms = _live(place);
        require(msg.sender == terms.admin, NotAdmin(place, msg.sender));
    }

    function _requireReady(bytes32 place, uint64 readyAt) private view {
        require(readyAt != 0, NothingProposed(place));
        require(readyAt <= block.timestamp, TooEarly(place, readyAt));
        require(block.timestamp < readyAt + PROPOSAL_WINDOW, TooLate(place, readyAt + PROPOSAL_WINDOW));
    }

    /// @dev Apart from `anchor`, which pays for one comparison only.
    function _refuseToAnchor(bytes32 place, Tip tip) private view {
        _live(place);
        require(msg.sender == tip.writer(), NotWriter(place, msg.sender));
        revert IsHalted(place);
    }
}
