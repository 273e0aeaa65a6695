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
import { Terms, TermsFormat } from "./Terms.sol";

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
        _storage().terms = TermsFormat.make(
            settings.mintMax, settings.epochLength, settings.epochOffset, settings.validity, settings.decimals
        );
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
        Terms terms = _running();
        _mintOrRefuse(terms, to, epoch, amount);
    }

    /// @inheritdoc ILoyaltyPoints
    function mintEndingBy(address to, uint256 endsBy, uint256 amount)
        external
        onlyRole(MINT_ROLE)
        returns (bool minted, uint256 epoch)
    {
        Terms terms = _running();
        (uint256 first, uint256 current) = terms.window();
        if (endsBy < terms.expiresAt(first)) return (false, 0);
        epoch = (endsBy - terms.epochOffset()) / terms.epochLength() - terms.validity();
        if (current < epoch) epoch = current;
        _mintOrRefuse(terms, to, epoch, amount);
        return (true, epoch);
    }

    /// @inheritdoc ILoyaltyPoints
    function mintBatch(bytes32 batch, MintItem[] calldata items) external onlyRole(MINT_ROLE) returns (uint256 done) {
        Terms terms = _running();
        _useBatch(batch);
        for (uint256 i = 0; i < items.length; ++i) {
            MintItem calldata item = items[i];
            Refusal why;
            (why, terms) = _tryMint(terms, item.to, item.epoch, item.amount);
            if (why == Refusal.None) ++done;
            else emit Skipped(batch, i, why);
        }
        _storage().terms = terms;
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
            // Nobody can burn for the zero address, not even nothing: the allowance could not be spent, and would end the batch.
            if (item.from == address(0) || (!own && allowance(item.from, msg.sender) < item.amount)) {
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
        _storage().terms = _running().withPaused(true);
        emit Paused(msg.sender);
    }

    /// @inheritdoc ILoyaltyPoints
    function resume() external onlyRole(PAUSE_ROLE) {
        Terms terms = _storage().terms;
        require(terms.paused(), NotPaused());
        _storage().terms = terms.withPaused(false);
        emit Resumed(msg.sender);
    }

    /// @inheritdoc ILoyaltyPoints
    function setMintMax(uint64 mintMax) external onlyRole(UPGRADE_ROLE) {
        Terms terms = _storage().terms;
        emit MintMaxChanged(terms.mintMax(), mintMax);
        _storage().terms = terms.withMintMax(mintMax);
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
        (, epoch) = _storage().terms.window();
    }

    /// @inheritdoc IERC7818
    function epochLength() external view returns (uint256 length) {
        return _storage().terms.epochLength();
    }

    /// @inheritdoc IERC7818
    function epochType() external pure returns (EPOCH_TYPE unit) {
        return EPOCH_TYPE.TIME_BASED;
    }

    /// @inheritdoc IERC7818
    function validityDuration() external view returns (uint256 epochs) {
        return _storage().terms.validity();
    }

    /// @inheritdoc ILoyaltyPoints
    function expiresAt(uint256 epoch) external view returns (uint256 time) {
        return _storage().terms.expiresAt(epoch);
    }

    /// @inheritdoc ILoyaltyPoints
    function batchUsed(address by, bytes32 batch) external view returns (bool used) {
        return _storage().batches[_batchKey(by, batch)];
    }

    /// @inheritdoc ILoyaltyPoints
    function paused() external view returns (bool) {
        return _storage().terms.paused();
    }

    /// @inheritdoc ILoyaltyPoints
    function mintAllowance() external view returns (uint256 mintMax, uint256 left) {
        Terms terms = _storage().terms;
        uint256 minted = terms.minted(_period());
        mintMax = terms.mintMax();
        left = minted < mintMax ? mintMax - minted : 0;
    }

    /// @inheritdoc IERC7818
    function isEpochExpired(uint256 epoch) public view returns (bool expired) {
        (uint256 first,) = _storage().terms.window();
        return epoch < first;
    }

    /// @notice The scale of the program: a point is 10^decimals of the smallest unit.
    function decimals() public view override returns (uint8) {
        return _storage().terms.decimals();
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
        (uint256 first, uint256 current) = _running().window();
        mapping(uint256 => uint256) storage giving = _storage().purses[from];
        mapping(uint256 => uint256) storage taking = _storage().purses[to];
        uint256 rest = value;
        for (uint256 number = Lanes.wordOf(first); rest != 0; ++number) {
            require(number <= Lanes.wordOf(current), ERC20InsufficientBalance(from, value - rest, value));
            uint256 moved;
            (moved, rest) = _take(giving, number, first, rest);
            if (moved != 0) taking[number] += moved;
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

    /// @dev Takes as much of `wanted` as one word of a purse has, the earliest epoch first and nothing from before `first`.
    function _take(mapping(uint256 => uint256) storage purse, uint256 number, uint256 first, uint256 wanted)
        private
        returns (uint256 moved, uint256 rest)
    {
        uint256 word = purse[number];
        uint256 unexpired = number == Lanes.wordOf(first) ? Lanes.from(word, first) : word;
        if (unexpired == 0) return (0, wanted);
        (moved, rest) = Lanes.take(unexpired, wanted);
        purse[number] = word - moved;
    }

    function _transferAtEpoch(uint256 epoch, address from, address to, uint256 value) private {
        require(to != address(0), ERC20InvalidReceiver(to));
        (uint256 first,) = _running().window();
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
        (uint256 first, uint256 current) = _storage().terms.window();
        amounts = new EpochAmount[](current - first + 1);
        uint256 count = 0;
        uint256 rest = value;
        for (uint256 number = Lanes.wordOf(first); rest != 0; ++number) {
            require(number <= Lanes.wordOf(current), ERC20InsufficientBalance(from, value - rest, value));
            uint256 moved;
            (moved, rest) = _take(_storage().purses[from], number, first, rest);
            if (moved == 0) continue;
            _storage().supply[number] -= moved;
            for (uint256 epoch = number * 4; epoch < number * 4 + 4; ++epoch) {
                uint256 amount = Lanes.amountAt(moved, epoch);
                if (amount != 0) amounts[count++] = EpochAmount({ epoch: epoch, amount: amount });
            }
        }
        assembly ("memory-safe") {
            mstore(amounts, count)
        }
        emit Transfer(from, address(0), value);
        emit Burned(from, amounts);
    }

    function _mintOrRefuse(Terms terms, address to, uint256 epoch, uint256 amount) private {
        (Refusal why, Terms counted) = _tryMint(terms, to, epoch, amount);
        require(why == Refusal.None, MintRefused(why, to, epoch, amount));
        _storage().terms = counted;
    }

    /// @dev Mints, or says why not. The terms in which it is counted are the caller's to store.
    function _tryMint(Terms terms, address to, uint256 epoch, uint256 amount) private returns (Refusal, Terms) {
        if (to == address(0) || to == address(this)) return (Refusal.Receiver, terms);
        (uint256 first, uint256 current) = terms.window();
        if (epoch < first || current < epoch) return (Refusal.Epoch, terms);
        uint256 period = _period();
        uint256 minted = terms.minted(period);
        if (terms.mintMax() < minted || terms.mintMax() - minted < amount) return (Refusal.Rate, terms);
        if (!_add(to, epoch, amount)) return (Refusal.Supply, terms);
        return (Refusal.None, terms.withMinted(minted + amount, period));
    }

    /// @dev Adds to a purse and to the supply, if the epoch's supply has room for it.
    function _add(address to, uint256 epoch, uint256 amount) private returns (bool fits) {
        uint256 wordNumber = Lanes.wordOf(epoch);
        Storage storage $ = _storage();
        uint256 word = $.supply[wordNumber];
        if (Lanes.LANE_MAX - Lanes.amountAt(word, epoch) < amount) return false;
        uint256 added = Lanes.only(amount, epoch);
        $.supply[wordNumber] = word + added;
        $.purses[to][wordNumber] += added;
        emit Transfer(address(0), to, amount);
        emit Minted(to, epoch, amount);
        return true;
    }

    function _useBatch(bytes32 batch) private {
        bytes32 key = _batchKey(msg.sender, batch);
        mapping(bytes32 => bool) storage batches = _storage().batches;
        require(!batches[key], BatchUsed(msg.sender, batch));
        batches[key] = true;
    }

    /// @dev The terms, where nothing is paused.
    function _running() private view returns (Terms terms) {
        terms = _storage().terms;
        require(!terms.paused(), IsPaused());
    }

    function _sum(mapping(uint256 => uint256) storage words) private view returns (uint256 sum) {
        (uint256 first, uint256 current) = _storage().terms.window();
        uint256 wordNumber = Lanes.wordOf(first);
        sum = Lanes.sum(Lanes.from(words[wordNumber], first));
        for (++wordNumber; wordNumber <= Lanes.wordOf(current); ++wordNumber) {
            sum += Lanes.sum(words[wordNumber]);
        }
    }

    function _period() private view returns (uint256) {
        return block.timestamp / MINT_PERIOD;
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
