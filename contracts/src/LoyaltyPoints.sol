// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { AccessControlUpgradeable } from "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";
import { ERC20Upgradeable } from "@openzeppelin/contracts-upgradeable/token/ERC20/ERC20Upgradeable.sol";
import {
    ERC20PermitUpgradeable
} from "@openzeppelin/contracts-upgradeable/token/ERC20/extensions/ERC20PermitUpgradeable.sol";
import { UUPSUpgradeable } from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import { IERC7818 } from "./IERC7818.sol";
import { BurnItem, EpochAmount, ILoyaltyPoints, MintItem, Refusal, Settings } from "./ILoyaltyPoints.sol";
import { Lanes } from "./Lanes.sol";

/// @title LoyaltyPoints
/// @dev Allowances, permits, roles and the proxy are OpenZeppelin's. Balances are not: OpenZeppelin's own balances and supply stay
/// unused, and so do its `_mint` and `_burn`.
contract LoyaltyPoints is ERC20PermitUpgradeable, AccessControlUpgradeable, UUPSUpgradeable, ILoyaltyPoints {
    bytes32 public constant UPGRADE_ROLE = keccak256("UPGRADE_ROLE");
    bytes32 public constant MINT_ROLE = keccak256("MINT_ROLE");
    bytes32 public constant PAUSE_ROLE = keccak256("PAUSE_ROLE");

    uint256 private constant EPOCH_LENGTH_MIN = 1 hours;
    uint256 private constant EPOCH_LENGTH_MAX = 366 days;
    uint256 private constant VALIDITY_MAX = 64;
    uint256 private constant MINT_PERIOD = 1 days;

    /// @dev One word: everything that a transfer and a mint have to know and write besides the amounts.
    struct Terms {
        uint64 mintMax;
        uint64 minted;
        // The number of the period in which `minted` was.
        uint32 mintPeriod;
        uint32 epochLength;
        uint32 epochOffset;
        uint8 validity;
        uint8 decimals;
        bool paused;
    }

    /// @custom:storage-location erc7201:daftari.LoyaltyPoints
    struct Storage {
        Terms terms;
        mapping(uint256 wordNumber => uint256 word) supply;
        mapping(address holder => mapping(uint256 wordNumber => uint256 word)) purses;
        mapping(bytes32 callerAndBatch => bool used) batches;
    }

    // keccak256(abi.encode(uint256(keccak256("daftari.LoyaltyPoints")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_AT = 0x0fa5b4367a0ae0d2e6db5bfdcf5edeff30f4f4b45277d802694c71806b48ac00;

    /// @dev The implementation is never to be initialised, only proxies of it.
    constructor() {
        _disableInitializers();
    }

    /// @inheritdoc ILoyaltyPoints
    function initialize(Settings calldata settings) external initializer {
        require(EPOCH_LENGTH_MIN <= settings.epochLength, SettingOutOfRange());
        require(settings.epochLength <= EPOCH_LENGTH_MAX, SettingOutOfRange());
        require(settings.epochOffset < settings.epochLength, SettingOutOfRange());
        require(0 < settings.validity && settings.validity <= VALIDITY_MAX, SettingOutOfRange());
        // So the window never reaches before epoch 0.
        require(settings.validity <= block.timestamp / settings.epochLength, SettingOutOfRange());
        require(settings.upgrader != address(0), SettingOutOfRange());
        __ERC20_init(settings.name, settings.symbol);
        __ERC20Permit_init(settings.name);
        _storage().terms = Terms({
            mintMax: settings.mintMax,
            minted: 0,
            mintPeriod: 0,
            epochLength: settings.epochLength,
            epochOffset: settings.epochOffset,
            validity: settings.validity,
            decimals: settings.decimals,
            paused: false
        });
        // Nobody has OpenZeppelin's default admin role: the upgrader gives and takes its own role and the others.
        _setRoleAdmin(UPGRADE_ROLE, UPGRADE_ROLE);
        _setRoleAdmin(MINT_ROLE, UPGRADE_ROLE);
        _setRoleAdmin(PAUSE_ROLE, UPGRADE_ROLE);
        _grantRole(UPGRADE_ROLE, settings.upgrader);
        if (settings.minter != address(0)) _grantRole(MINT_ROLE, settings.minter);
        if (settings.pauser != address(0)) _grantRole(PAUSE_ROLE, settings.pauser);
        emit MintMaxChanged(0, settings.mintMax);
    }

    /// @inheritdoc ILoyaltyPoints
    function mint(address to, uint256 epoch, uint256 amount) external onlyRole(MINT_ROLE) {
        Terms memory terms = _running();
        Refusal why = _tryMint(terms, to, epoch, amount);
        require(why == Refusal.None, MintRefused(why, to, epoch, amount));
        _count(terms);
    }

    /// @inheritdoc ILoyaltyPoints
    function mintEndingBy(address to, uint256 endsBy, uint256 amount)
        external
        onlyRole(MINT_ROLE)
        returns (bool minted, uint256 epoch)
    {
        Terms memory terms = _running();
        (uint256 first, uint256 current) = _window(terms);
        if (endsBy < _expiresAt(terms, first)) return (false, 0);
        epoch = (endsBy - terms.epochOffset) / terms.epochLength - terms.validity;
        if (current < epoch) epoch = current;
        Refusal why = _tryMint(terms, to, epoch, amount);
        require(why == Refusal.None, MintRefused(why, to, epoch, amount));
        _count(terms);
        return (true, epoch);
    }

    /// @inheritdoc ILoyaltyPoints
    function mintBatch(bytes32 batch, MintItem[] calldata items) external onlyRole(MINT_ROLE) returns (uint256 done) {
        Terms memory terms = _running();
        _useBatch(batch);
        for (uint256 i = 0; i < items.length; ++i) {
            MintItem calldata item = items[i];
            Refusal why = _tryMint(terms, item.to, item.epoch, item.amount);
            if (why == Refusal.None) ++done;
            else emit Skipped(batch, i, why);
        }
        _count(terms);
        emit BatchDone(msg.sender, batch, done, items.length - done);
    }

    /// @inheritdoc ILoyaltyPoints
    function burn(uint256 amount) external returns (EpochAmount[] memory amounts) {
        return _burnOldest(msg.sender, amount);
    }

    /// @inheritdoc ILoyaltyPoints
    function burnFrom(address from, uint256 amount) external returns (EpochAmount[] memory amounts) {
        _spendAllowance(from, msg.sender, amount);
        return _burnOldest(from, amount);
    }

    /// @inheritdoc ILoyaltyPoints
    function burnBatch(bytes32 batch, BurnItem[] calldata items) external returns (uint256 done) {
        _useBatch(batch);
        for (uint256 i = 0; i < items.length; ++i) {
            BurnItem calldata item = items[i];
            bool own = item.from == msg.sender;
            if (!own && allowance(item.from, msg.sender) < item.amount) {
                emit Skipped(batch, i, Refusal.Allowance);
            } else if (balanceOf(item.from) < item.amount) {
                emit Skipped(batch, i, Refusal.Balance);
            } else {
                if (!own) _spendAllowance(item.from, msg.sender, item.amount);
                _burnOldest(item.from, item.amount);
                ++done;
            }
        }
        emit BatchDone(msg.sender, batch, done, items.length - done);
    }

    /// @inheritdoc IERC7818
    function transferAtEpoch(uint256 epoch, address to, uint256 value) external returns (bool done) {
        _transferAtEpoch(epoch, msg.sender, to, value);
        return true;
    }

    /// @inheritdoc IERC7818
    function transferFromAtEpoch(uint256 epoch, address from, address to, uint256 value) external returns (bool done) {
        _spendAllowance(from, msg.sender, value);
        _transferAtEpoch(epoch, from, to, value);
        return true;
    }

    /// @inheritdoc ILoyaltyPoints
    function recordExpiry(uint256 epoch) external returns (uint256 amount) {
        require(isEpochExpired(epoch), EpochNotExpired(epoch));
        mapping(uint256 => uint256) storage supply = _storage().supply;
        uint256 word = supply[Lanes.wordOf(epoch)];
        amount = Lanes.amountAt(word, epoch);
        if (amount == 0) return 0;
        // Holders' own lanes stay as they are: an expired lane is never read again.
        supply[Lanes.wordOf(epoch)] = word - Lanes.only(amount, epoch);
        emit EpochExpired(epoch, amount);
    }

    /// @inheritdoc ILoyaltyPoints
    function pause() external onlyRole(PAUSE_ROLE) {
        Terms storage terms = _storage().terms;
        require(!terms.paused, IsPaused());
        terms.paused = true;
        emit Paused(msg.sender);
    }

    /// @inheritdoc ILoyaltyPoints
    function resume() external onlyRole(PAUSE_ROLE) {
        Terms storage terms = _storage().terms;
        require(terms.paused, NotPaused());
        terms.paused = false;
        emit Resumed(msg.sender);
    }

    /// @inheritdoc ILoyaltyPoints
    function setMintMax(uint64 mintMax) external onlyRole(UPGRADE_ROLE) {
        Terms storage terms = _storage().terms;
        emit MintMaxChanged(terms.mintMax, mintMax);
        terms.mintMax = mintMax;
    }

    /// @inheritdoc ILoyaltyPoints
    function supplyAtEpoch(uint256 epoch) external view returns (uint256 supply) {
        return Lanes.amountAt(_storage().supply[Lanes.wordOf(epoch)], epoch);
    }

    /// @inheritdoc IERC7818
    function balanceOfAtEpoch(uint256 epoch, address account) external view returns (uint256 balance) {
        if (isEpochExpired(epoch)) return 0;
        return Lanes.amountAt(_storage().purses[account][Lanes.wordOf(epoch)], epoch);
    }

    /// @inheritdoc IERC7818
    function currentEpoch() external view returns (uint256 epoch) {
        (, epoch) = _window(_terms());
    }

    /// @inheritdoc IERC7818
    function epochLength() external view returns (uint256 length) {
        return _storage().terms.epochLength;
    }

    /// @inheritdoc IERC7818
    function epochType() external pure returns (EPOCH_TYPE unit) {
        return EPOCH_TYPE.TIME_BASED;
    }

    /// @inheritdoc IERC7818
    function validityDuration() external view returns (uint256 epochs) {
        return _storage().terms.validity;
    }

    /// @inheritdoc ILoyaltyPoints
    function expiresAt(uint256 epoch) external view returns (uint256 time) {
        return _expiresAt(_terms(), epoch);
    }

    /// @inheritdoc ILoyaltyPoints
    function batchUsed(address by, bytes32 batch) external view returns (bool used) {
        return _storage().batches[_batchKey(by, batch)];
    }

    /// @inheritdoc ILoyaltyPoints
    function paused() external view returns (bool) {
        return _storage().terms.paused;
    }

    /// @inheritdoc ILoyaltyPoints
    function mintAllowance() external view returns (uint256 mintMax, uint256 left) {
        Terms memory terms = _inPeriod(_terms());
        return (terms.mintMax, terms.minted < terms.mintMax ? terms.mintMax - terms.minted : 0);
    }

    /// @inheritdoc IERC7818
    function isEpochExpired(uint256 epoch) public view returns (bool expired) {
        (uint256 first,) = _window(_terms());
        return epoch < first;
    }

    /// @notice The scale of the program: a point is 10^decimals of the smallest unit.
    function decimals() public view override returns (uint8) {
        return _storage().terms.decimals;
    }

    /// @inheritdoc ILoyaltyPoints
    function totalSupply() public view override(ERC20Upgradeable, ILoyaltyPoints) returns (uint256 supply) {
        return _sum(_storage().supply);
    }

    /// @notice What an account can spend: what has expired is not in it.
    function balanceOf(address account) public view override(ERC20Upgradeable, IERC20) returns (uint256) {
        return _sum(_storage().purses[account]);
    }

    /// @inheritdoc AccessControlUpgradeable
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IERC20).interfaceId || interfaceId == type(IERC7818).interfaceId
            || super.supportsInterface(interfaceId);
    }

    /// @dev OpenZeppelin's transfers end here, with neither address zero.
    function _update(address from, address to, uint256 value) internal override {
        (uint256 wordNumber, uint256[] memory moved) = _take(_running(), from, value);
        mapping(uint256 => uint256) storage purse = _storage().purses[to];
        for (uint256 i = 0; i < moved.length; ++i) {
            if (moved[i] != 0) purse[wordNumber + i] += moved[i];
        }
        emit Transfer(from, to, value);
    }

    /// @dev The roles are kept apart by construction.
    function _grantRole(bytes32 role, address account) internal override returns (bool) {
        require(role == UPGRADE_ROLE || !hasRole(UPGRADE_ROLE, account), RolesApart(account));
        require(role == MINT_ROLE || !hasRole(MINT_ROLE, account), RolesApart(account));
        require(role == PAUSE_ROLE || !hasRole(PAUSE_ROLE, account), RolesApart(account));
        return super._grantRole(role, account);
    }

    function _authorizeUpgrade(address) internal override onlyRole(UPGRADE_ROLE) { }

    /// @dev Takes a value out of a holder's purse, the earliest epoch first.
    /// @return wordNumber The first word of the window.
    /// @return moved What was taken, word by word from there.
    function _take(Terms memory terms, address from, uint256 value)
        private
        returns (uint256 wordNumber, uint256[] memory moved)
    {
        (uint256 first, uint256 current) = _window(terms);
        wordNumber = Lanes.wordOf(first);
        moved = new uint256[](Lanes.wordOf(current) - wordNumber + 1);
        mapping(uint256 => uint256) storage purse = _storage().purses[from];
        uint256 rest = value;
        for (uint256 i = 0; i < moved.length && rest != 0; ++i) {
            uint256 word = purse[wordNumber + i];
            (moved[i], rest) = Lanes.take(i == 0 ? Lanes.from(word, first) : word, rest);
            if (moved[i] != 0) purse[wordNumber + i] = word - moved[i];
        }
        require(rest == 0, ERC20InsufficientBalance(from, value - rest, value));
    }

    function _transferAtEpoch(uint256 epoch, address from, address to, uint256 value) private {
        require(to != address(0), ERC20InvalidReceiver(to));
        (uint256 first,) = _window(_running());
        require(first <= epoch, ERC7818TransferredExpiredToken(from, epoch));
        mapping(address => mapping(uint256 => uint256)) storage purses = _storage().purses;
        uint256 wordNumber = Lanes.wordOf(epoch);
        uint256 word = purses[from][wordNumber];
        uint256 balance = Lanes.amountAt(word, epoch);
        require(value <= balance, ERC20InsufficientBalance(from, balance, value));
        uint256 moved = Lanes.only(value, epoch);
        purses[from][wordNumber] = word - moved;
        purses[to][wordNumber] += moved;
        emit Transfer(from, to, value);
    }

    /// @dev Never asks whether anything is paused: this is the way out.
    function _burnOldest(address from, uint256 value) private returns (EpochAmount[] memory amounts) {
        (uint256 wordNumber, uint256[] memory moved) = _take(_terms(), from, value);
        mapping(uint256 => uint256) storage supply = _storage().supply;
        amounts = new EpochAmount[](moved.length * 4);
        uint256 count = 0;
        for (uint256 i = 0; i < moved.length; ++i) {
            if (moved[i] == 0) continue;
            supply[wordNumber + i] -= moved[i];
            for (uint256 epoch = (wordNumber + i) * 4; epoch < (wordNumber + i + 1) * 4; ++epoch) {
                uint256 amount = Lanes.amountAt(moved[i], epoch);
                if (amount != 0) amounts[count++] = EpochAmount({ epoch: epoch, amount: amount });
            }
        }
        assembly ("memory-safe") {
            mstore(amounts, count)
        }
        emit Transfer(from, address(0), value);
        emit Burned(from, amounts);
    }

    /// @dev Mints, or says why not. What it counts in `terms` is the caller's to store.
    function _tryMint(Terms memory terms, address to, uint256 epoch, uint256 amount) private returns (Refusal why) {
        if (to == address(0) || to == address(this)) return Refusal.Receiver;
        (uint256 first, uint256 current) = _window(terms);
        if (epoch < first || current < epoch) return Refusal.Epoch;
        if (terms.mintMax < terms.minted || terms.mintMax - terms.minted < amount) return Refusal.Rate;
        uint256 wordNumber = Lanes.wordOf(epoch);
        Storage storage $ = _storage();
        uint256 word = $.supply[wordNumber];
        if (Lanes.LANE_MAX - Lanes.amountAt(word, epoch) < amount) return Refusal.Supply;
        uint256 added = Lanes.only(amount, epoch);
        $.supply[wordNumber] = word + added;
        $.purses[to][wordNumber] += added;
        // forge-lint: disable-next-line(unsafe-typecast) it is no more than `mintMax`
        terms.minted += uint64(amount);
        emit Transfer(address(0), to, amount);
        emit Minted(to, epoch, amount);
    }

    function _useBatch(bytes32 batch) private {
        bytes32 key = _batchKey(msg.sender, batch);
        mapping(bytes32 => bool) storage batches = _storage().batches;
        require(!batches[key], BatchUsed(msg.sender, batch));
        batches[key] = true;
    }

    /// @dev The terms, where nothing is paused, with what was minted in this period.
    function _running() private view returns (Terms memory terms) {
        terms = _inPeriod(_terms());
        require(!terms.paused, IsPaused());
    }

    function _sum(mapping(uint256 => uint256) storage words) private view returns (uint256 sum) {
        (uint256 first, uint256 current) = _window(_terms());
        uint256 wordNumber = Lanes.wordOf(first);
        sum = Lanes.sum(Lanes.from(words[wordNumber], first));
        for (++wordNumber; wordNumber <= Lanes.wordOf(current); ++wordNumber) {
            sum += Lanes.sum(words[wordNumber]);
        }
    }

    function _terms() private view returns (Terms memory) {
        return _storage().terms;
    }

    /// @dev Keeps what was minted, and when.
    function _count(Terms memory terms) private {
        Terms storage kept = _storage().terms;
        (kept.minted, kept.mintPeriod) = (terms.minted, terms.mintPeriod);
    }

    function _inPeriod(Terms memory terms) private view returns (Terms memory) {
        // forge-lint: disable-next-line(unsafe-typecast) days since 1970
        uint32 period = uint32(block.timestamp / MINT_PERIOD);
        if (terms.mintPeriod != period) (terms.mintPeriod, terms.minted) = (period, 0);
        return terms;
    }

    /// @dev The earliest epoch that has not expired, and the running one.
    function _window(Terms memory terms) private view returns (uint256 first, uint256 current) {
        current = (block.timestamp - terms.epochOffset) / terms.epochLength;
        first = current + 1 - terms.validity;
    }

    function _expiresAt(Terms memory terms, uint256 epoch) private pure returns (uint256 time) {
        return terms.epochOffset + (epoch + terms.validity) * terms.epochLength;
    }

    function _batchKey(address by, bytes32 batch) private pure returns (bytes32) {
        return keccak256(abi.encode(by, batch));
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE_AT
        }
    }
}
