// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { BurnItem, ILoyaltyPoints, MintItem, Refusal } from "../src/ILoyaltyPoints.sol";
import { PointsBase } from "./PointsBase.sol";

/// Any account does any act with the token at any time, beside a plain model that has one number for each holder and epoch, and that
/// says which act must succeed.
contract PointsActors is PointsBase {
    address[] public accounts;
    uint256 public immutable origin;
    mapping(address => mapping(uint256 => uint256)) private held;
    mapping(address => mapping(address => uint256)) private allowed;
    mapping(uint256 => uint256) private recorded;
    mapping(uint256 => uint256) private mintedOn;
    mapping(string act => uint256) public done;
    mapping(address => uint256) private keys;
    uint256 private mintMax = MINT_MAX;
    bool private stopped;

    constructor() {
        vm.warp(START);
        points = deployPoints(settingsFor(minter));
        origin = firstEpoch();
        for (uint256 i = 0; i < 4; ++i) {
            (address holder, uint256 key) = makeAddrAndKey(vm.toString(i));
            accounts.push(holder);
            keys[holder] = key;
        }
    }

    // --- the acts

    function mint(uint256 who, uint256 to, uint256 age, uint256 amount) external {
        address caller = who % 8 == 0 ? account(who) : minter;
        (address receiver, uint256 epoch) = (account(to), epochOf(age));
        amount = bound(amount, 0, MINT_MAX / 5);
        bool may = caller == minter && !stopped && why(receiver, epoch, amount) == Refusal.None;
        if (act("mint", caller, abi.encodeCall(points.mint, (receiver, epoch, amount)), may)) {
            count(receiver, epoch, amount);
        }
    }

    function mintEndingBy(uint256 to, uint256 ahead, uint256 amount) external {
        address receiver = account(to);
        uint256 endsBy = block.timestamp + bound(ahead, 0, 400 days);
        amount = bound(amount, 0, MINT_MAX / 5);
        uint256 epoch = lastEpoch();
        while (firstEpoch() <= epoch && endsBy < endOf(epoch)) --epoch;
        bool any = firstEpoch() <= epoch;
        bool may = !stopped && (!any || why(receiver, epoch, amount) == Refusal.None);
        bytes memory call = abi.encodeCall(points.mintEndingBy, (receiver, endsBy, amount));
        if (act("mintEndingBy", minter, call, may) && any) count(receiver, epoch, amount);
    }

    function mintBatch(bytes32 batch, uint256[3] memory to, uint256[3] memory ages, uint256[3] memory amounts)
        external
    {
        if (stopped || points.batchUsed(minter, batch)) return;
        MintItem[] memory items = new MintItem[](3);
        uint256 expected = 0;
        for (uint256 i = 0; i < 3; ++i) {
            address receiver = to[i] % 5 == 0 ? address(0) : account(to[i]);
            items[i] = MintItem(receiver, epochOf(ages[i]), bound(amounts[i], 0, MINT_MAX / 2));
            if (why(receiver, items[i].epoch, items[i].amount) != Refusal.None) continue;
            count(receiver, items[i].epoch, items[i].amount);
            ++expected;
        }
        vm.prank(minter);
        assertEq(points.mintBatch(batch, items), expected);
    }

    function transfer(uint256 from, uint256 to, uint256 amount) external {
        (address sender, address receiver) = (account(from), account(to));
        amount = bound(amount, 0, sumOf(sender) + 1);
        bool may = !stopped && amount <= sumOf(sender);
        if (act("transfer", sender, abi.encodeCall(points.transfer, (receiver, amount)), may)) {
            move(sender, receiver, amount);
        }
    }

    function transferFrom(uint256 who, uint256 from, uint256 to, uint256 amount) external {
        (address caller, address sender, address receiver) = (account(who), account(from), account(to));
        amount = bound(amount, 0, sumOf(sender) + 1);
        bool may = !stopped && amount <= sumOf(sender) && amount <= allowed[sender][caller];
        bytes memory call = abi.encodeCall(points.transferFrom, (sender, receiver, amount));
        if (act("transferFrom", caller, call, may)) {
            spend(sender, caller, amount);
            move(sender, receiver, amount);
        }
    }

    function transferAtEpoch(uint256 from, uint256 to, uint256 age, uint256 amount) external {
        (address sender, address receiver, uint256 epoch) = (account(from), account(to), epochOf(age));
        amount = bound(amount, 0, held[sender][epoch] + 1);
        bool may = !stopped && firstEpoch() <= epoch && amount <= held[sender][epoch];
        bytes memory call = abi.encodeCall(points.transferAtEpoch, (epoch, receiver, amount));
        if (act("transferAtEpoch", sender, call, may)) {
            held[sender][epoch] -= amount;
            held[receiver][epoch] += amount;
        }
    }

    function transferFromAtEpoch(uint256 who, uint256 from, uint256 to, uint256 age, uint256 amount) external {
        (address caller, address sender, address receiver) = (account(who), account(from), account(to));
        uint256 epoch = epochOf(age);
        amount = bound(amount, 0, held[sender][epoch] + 1);
        bool may = !stopped && firstEpoch() <= epoch && amount <= held[sender][epoch];
        bytes memory call = abi.encodeCall(points.transferFromAtEpoch, (epoch, sender, receiver, amount));
        if (act("transferFromAtEpoch", caller, call, may && amount <= allowed[sender][caller])) {
            spend(sender, caller, amount);
            held[sender][epoch] -= amount;
            held[receiver][epoch] += amount;
        }
    }

    /// Never asks whether anything is stopped.
    function burn(uint256 from, uint256 amount) external {
        address sender = account(from);
        amount = bound(amount, 0, sumOf(sender) + 1);
        bool may = amount <= sumOf(sender);
        if (act("burn", sender, abi.encodeCall(points.burn, (amount)), may)) move(sender, address(0), amount);
    }

    function burnFrom(uint256 who, uint256 from, uint256 amount) external {
        (address caller, address sender) = (account(who), account(from));
        amount = bound(amount, 0, sumOf(sender) + 1);
        bool may = amount <= sumOf(sender) && amount <= allowed[sender][caller];
        if (act("burnFrom", caller, abi.encodeCall(points.burnFrom, (sender, amount)), may)) {
            spend(sender, caller, amount);
            move(sender, address(0), amount);
        }
    }

    /// What fails is passed over; the same holder may come twice.
    function burnBatch(uint256 who, bytes32 batch, uint256[3] memory from, uint256[3] memory amounts) external {
        address caller = account(who);
        if (points.batchUsed(caller, batch)) return;
        BurnItem[] memory items = new BurnItem[](3);
        uint256 expected = 0;
        for (uint256 i = 0; i < 3; ++i) {
            address holder = from[i] % 5 == 0 ? address(0) : account(from[i]);
            items[i] = BurnItem({ from: holder, amount: bound(amounts[i], 0, sumOf(holder) + 1) });
            bool may = holder == caller || (holder != address(0) && items[i].amount <= allowed[holder][caller]);
            if (!may || sumOf(holder) < items[i].amount) continue;
            if (holder != caller) spend(holder, caller, items[i].amount);
            move(holder, address(0), items[i].amount);
            ++expected;
        }
        vm.prank(caller);
        assertEq(points.burnBatch(batch, items), expected);
    }

    /// Somebody hands in what the owner signed, once.
    function permit(uint256 who, uint256 from, uint256 to, uint256 amount) external {
        (address owner, address spender) = (account(from), account(to));
        amount = bound(amount, 0, MINT_MAX);
        bytes memory call = signed(owner, spender, amount);
        act("permit", account(who), call, true);
        allowed[owner][spender] = amount;
        act("permit", account(who), call, false);
    }

    function setMintMax(uint256 who, uint64 next) external {
        address caller = who % 2 == 0 ? upgrader : account(who);
        next = uint64(bound(next, MINT_MAX / 2, 2 * MINT_MAX));
        if (act("setMintMax", caller, abi.encodeCall(points.setMintMax, (next)), caller == upgrader)) mintMax = next;
    }

    function approve(uint256 from, uint256 to, uint256 amount) external {
        (address owner, address spender) = (account(from), account(to));
        amount = amount % 4 == 0 ? type(uint256).max : bound(amount, 0, MINT_MAX);
        act("approve", owner, abi.encodeCall(points.approve, (spender, amount)), true);
        allowed[owner][spender] = amount;
    }

    function recordExpiry(uint256 who, uint256 back) external {
        uint256 epoch = origin + bound(back, 0, lastEpoch() - origin);
        bool may = epoch < firstEpoch();
        if (act("recordExpiry", account(who), abi.encodeCall(points.recordExpiry, (epoch)), may)) {
            recorded[epoch] = sumAt(epoch);
        }
    }

    function pause(uint256 who) external {
        address caller = who % 2 == 0 ? pauser : account(who);
        bool may = caller == pauser && !stopped;
        if (act("pause", caller, abi.encodeCall(points.pause, ()), may)) stopped = true;
    }

    function resume(uint256 who) external {
        address caller = who % 8 == 0 ? account(who) : pauser;
        bool may = caller == pauser && stopped;
        if (act("resume", caller, abi.encodeCall(points.resume, ()), may)) stopped = false;
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 20 days));
    }

    function signed(address owner, address spender, uint256 amount) private view returns (bytes memory) {
        IERC20Permit it = IERC20Permit(address(points));
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 what = keccak256(abi.encode(typeHash, owner, spender, amount, it.nonces(owner), block.timestamp));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", it.DOMAIN_SEPARATOR(), what));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[owner], digest);
        return abi.encodeCall(it.permit, (owner, spender, amount, block.timestamp, v, r, s));
    }

    // --- what must hold

    function checkBalances() external view {
        uint256 total = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            assertEq(points.balanceOf(accounts[i]), sumOf(accounts[i]));
            total += sumOf(accounts[i]);
        }
        assertEq(points.totalSupply(), total);
        (, uint256 left) = points.mintAllowance();
        uint256 minted = mintedOn[block.timestamp / 1 days];
        assertEq(left, minted < mintMax ? mintMax - minted : 0);
    }

    function checkEpochs() external view {
        for (uint256 epoch = origin; epoch <= lastEpoch(); ++epoch) {
            uint256 sum = 0;
            for (uint256 i = 0; i < accounts.length; ++i) {
                uint256 balance = points.balanceOfAtEpoch(epoch, accounts[i]);
                assertEq(balance, epoch < firstEpoch() ? 0 : held[accounts[i]][epoch]);
                sum += balance;
            }
            if (firstEpoch() <= epoch) assertEq(points.supplyAtEpoch(epoch), sum);
            else assertEq(points.supplyAtEpoch(epoch), sumAt(epoch) - recorded[epoch]);
        }
    }

    /// Whoever holds anything can leave with all of it, whatever has been done so far.
    function checkExit() external {
        uint256 snapshot = vm.snapshotState();
        for (uint256 i = 0; i < accounts.length; ++i) {
            vm.prank(accounts[i]);
            points.burn(sumOf(accounts[i]));
        }
        assertEq(points.totalSupply(), 0);
        vm.revertToState(snapshot);
    }

    // --- the model

    function why(address to, uint256 epoch, uint256 amount) private view returns (Refusal) {
        if (to == address(0)) return Refusal.Receiver;
        if (epoch < firstEpoch() || lastEpoch() < epoch) return Refusal.Epoch;
        return mintedOn[block.timestamp / 1 days] + amount > mintMax ? Refusal.Rate : Refusal.None;
    }

    function count(address to, uint256 epoch, uint256 amount) private {
        held[to][epoch] += amount;
        mintedOn[block.timestamp / 1 days] += amount;
    }

    function spend(address owner, address spender, uint256 amount) private {
        if (allowed[owner][spender] != type(uint256).max) allowed[owner][spender] -= amount;
    }

    function move(address from, address to, uint256 amount) private {
        for (uint256 epoch = firstEpoch(); amount != 0; ++epoch) {
            uint256 part = held[from][epoch] < amount ? held[from][epoch] : amount;
            held[from][epoch] -= part;
            if (to != address(0)) held[to][epoch] += part;
            amount -= part;
        }
    }

    function sumOf(address holder) private view returns (uint256 sum) {
        for (uint256 epoch = firstEpoch(); epoch <= lastEpoch(); ++epoch) {
            sum += held[holder][epoch];
        }
    }

    function sumAt(uint256 epoch) private view returns (uint256 sum) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += held[accounts[i]][epoch];
        }
    }

    function account(uint256 number) private view returns (address) {
        return accounts[number % accounts.length];
    }

    /// Mostly within the window, and up to two beside it.
    function epochOf(uint256 age) private view returns (uint256) {
        return lastEpoch() + 2 - age % (VALIDITY + 4);
    }

    function act(string memory name, address caller, bytes memory call, bool may) private returns (bool) {
        vm.prank(caller);
        (bool success, bytes memory answer) = address(points).call(call);
        assertEq(success, may, name);
        if (!success) assertTrue(answer.length >= 4 && bytes4(answer) != 0x4e487b71, name);
        if (success) ++done[name];
        return success;
    }
}

contract PointsInvariantsTest is PointsBase {
    PointsActors private actors;

    function setUp() public {
        actors = new PointsActors();
        targetContract(address(actors));
        bytes4[] memory selectors = new bytes4[](17);
        selectors[0] = PointsActors.mint.selector;
        selectors[1] = PointsActors.mintEndingBy.selector;
        selectors[2] = PointsActors.mintBatch.selector;
        selectors[3] = PointsActors.transfer.selector;
        selectors[4] = PointsActors.transferFrom.selector;
        selectors[5] = PointsActors.transferAtEpoch.selector;
        selectors[6] = PointsActors.burn.selector;
        selectors[7] = PointsActors.burnFrom.selector;
        selectors[8] = PointsActors.approve.selector;
        selectors[9] = PointsActors.recordExpiry.selector;
        selectors[10] = PointsActors.pause.selector;
        selectors[11] = PointsActors.resume.selector;
        selectors[12] = PointsActors.wait_.selector;
        selectors[13] = PointsActors.transferFromAtEpoch.selector;
        selectors[14] = PointsActors.burnBatch.selector;
        selectors[15] = PointsActors.permit.selector;
        selectors[16] = PointsActors.setMintMax.selector;
        targetSelector(FuzzSelector({ addr: address(actors), selectors: selectors }));
    }

    /// Balances are what the model says, epoch by epoch; they sum to the supply; what has expired is nobody's to spend; and everybody
    /// can leave at any time.
    /// forge-config: default.invariant.runs = 12
    function invariant_balancesSum_theExpiredIsGone_everybodyCanLeave() public {
        actors.checkBalances();
        actors.checkEpochs();
        actors.checkExit();
    }
}
