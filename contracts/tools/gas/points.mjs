// What the token and the gateway cost: points whose months last a year, deployed as they are for use.
import { audit, register, setHead } from "./audit-log.mjs";
import { address, call, cast, deploy, draw, figure, measure, number, operator, rpc, second, send, sha256 } from "./chain.mjs";
import { sparseTree } from "./tree.mjs";

const LEVELS = 20;
const DAY = 86_400;

const bytesOf = (text) => Buffer.from(text.slice(2), "hex");
const ask = async (to, ...what) => BigInt(await rpc("eth_call", { to, data: call(...what) }, "latest"));

let points, gateway, epoch, log, place;

const TERMS = "(string,string,uint8,uint32,uint32,uint8,uint64,address,address,address),uint256,address[],address[],address,uint64,uint256,int32";
const NOBODY = `0x${"0".repeat(40)}`;

async function deployPoints() {
  ({ log, place } = await register());
  const token = { tuple: ["Points", "PTS", 2, 30 * 86_400, 0, 12, 2n ** 60n, NOBODY, NOBODY, address()] };
  const terms = { tuple: [token, DAY, [operator], [operator], operator, 0, 100, 0] };
  const types = `address,address,bytes32,(${TERMS})`;
  const made = await deploy("PointsDeployment", types, await deploy("LoyaltyPoints"), audit, place, terms);
  const madeOf = async (name) => `0x${(await ask(made, `${name}()`)).toString(16).padStart(40, "0")}`;
  points = await madeOf("points");
  gateway = await madeOf("gateway");
  // Batches are measured with the operator as a second minter.
  const timelock = await madeOf("timelock");
  const grant = call("grantRole(bytes32,address)", cast("keccak", "MINT_ROLE"), operator);
  const change = ["(address,uint256,bytes,bytes32,bytes32", [points, 0, grant, number(0, 32), number(0, 32)]];
  await send({ to: timelock, data: call(`schedule${change[0]},uint256)`, ...change[1], DAY) });
  await rpc("evm_setNextBlockTimestamp", Number((await time()) + BigInt(DAY)));
  await send({ to: timelock, data: call(`execute${change[0]})`, ...change[1]) });
  epoch = await ask(points, "currentEpoch()");
}

export async function measurePoints() {
  await deployPoints();
  const holders = await measureBatches();
  await measureTransfers(holders);
  await measureClaims(holders);
  await measureBurn();
}

const batchOf = (holders) => {
  const items = holders.map((holder) => ({ tuple: [holder, epoch, 12_345] }));
  return { to: points, data: call("mintBatch(bytes32,(address,uint256,uint256)[])", draw(), items) };
};
const addresses = (count) => Array.from({ length: count }, address);
const per = (whole, less, count) => ({
  gas: Math.round((whole.gas - less.gas) / count),
  polygon: Math.round((whole.polygon - less.polygon) / count),
});

async function measureBatches() {
  const batch = (holders) => measure(batchOf(holders));
  await batch(addresses(1));
  const [one, fifty] = [addresses(1), addresses(50)];
  const [firstOne, firstFifty] = [await batch(one), await batch(fifty)];
  const [againOne, againFifty] = [await batch(one), await batch(fifty)];
  figure("batch_mint_1", "batch mint, 1 holder who has the epoch already", againOne);
  figure("batch_mint_50", "batch mint, 50 of them", againFifty);
  // 1,000 do not fit into a transaction of 16.7 million with new holders; with those who have the epoch they do. The trace of so
  // many steps does not fit into a string, but each of them touches what each of the fifty does.
  const thousand = addresses(1000);
  for (let i = 0; i < 1000; i += 250) await send(batchOf(thousand.slice(i, i + 250)));
  const gas = Number((await send(batchOf(thousand))).gasUsed);
  const touches = Math.round(((againFifty.polygon - againFifty.gas - againOne.polygon + againOne.gas) * 999) / 49);
  const polygon = gas + againOne.polygon - againOne.gas + touches;
  figure("batch_mint_1000", "batch mint, 1,000 of them", { gas, polygon });
  const marginal = per(againFifty, againOne, 49);
  figure("batch_mint_marginal", "batch mint, one holder more who has the epoch already", marginal, { gas: 12_000 });
  figure("batch_mint_new_holder", "batch mint, one new holder more", per(firstFifty, firstOne, 49), { gas: 32_000 });
  return one;
}

const transfer = (to, amount = 1000) => ({ to: points, data: call("transfer(address,uint256)", to, amount) });
const mint = (to, at) => send({ to: points, data: call("mint(address,uint256,uint256)", to, at, 100_000) });

async function measureTransfers([holder]) {
  // Points of the window's first word are met at once; for those of its last, the words before are looked at.
  await mint(operator, epoch - 11n);
  await mint(holder, epoch - 11n);
  figure("transfer", "transfer between holders, one epoch, the earliest", await measure(transfer(holder)), { gas: 45_000 });
  figure("transfer_new_holder", "the same to a new holder", await measure(transfer(address())));
  await mint(second, epoch);
  const latest = await measure({ from: second, ...transfer(holder) });
  figure("transfer_latest", "transfer between holders, one epoch, the latest", latest);
  for (let at = epoch - 11n; at < epoch; ++at) {
    await mint(operator, at);
    await mint(holder, at);
  }
  const all = await ask(points, "balanceOf(address)", operator);
  figure("transfer_12_epochs", "transfer of everything, all 12 epochs", await measure(transfer(holder, all)));
}

const tag = (text) => Buffer.concat([Buffer.from(text), Buffer.alloc(32 - text.length)]);

const time = async () => BigInt((await rpc("eth_getBlockByNumber", "latest", false)).timestamp);

/// Withdrawals of one amount each for these holders, evenly spread over a tree of 2^20 leaves whose other nodes are made up, and what
/// claims them.
async function withdrawals(holders) {
  const now = await time();
  const chainId = BigInt(await rpc("eth_chainId"));
  const between = 2 ** LEVELS / holders.length;
  const made = holders.map((holder, n) => {
    const index = Math.floor((n + 0.73) * between);
    const body = Buffer.concat([
      number(chainId, 8), bytesOf(gateway), bytesOf(holder), draw(), number(now + 864_000n, 8),
      number(1, 1), number(now / 86_400n + 700n, 4), number(12_345, 8),
    ]);
    const [salt, header, details, entries] = [draw(), draw(), draw(), [draw(), draw()]];
    const bodyHash = sha256(tag("daftari/v1/body"), salt, body);
    const commitment = sha256(tag("daftari/v1/commitment"), header, details, bodyHash, number(entries.length, 1), ...entries);
    const hash = sha256(Buffer.from([0, 1, 2]), log, number(index, 8), commitment);
    return { index, hash, salt, body, parts: { tuple: [header, details, bodyHash, entries] } };
  });
  const { root, proofs } = sparseTree(LEVELS, made);
  const claims = made.map(({ index, salt, body, parts }, n) => ({ tuple: [log, 2 ** LEVELS, root, index, parts, salt, body, proofs[n]] }));
  return { root, claims };
}

const CLAIM = "(bytes32,uint64,bytes32,uint64,(bytes32,bytes32,bytes32,bytes32[]),bytes32,bytes,bytes32[])";
const claimOf = (claim) => ({ to: gateway, data: call(`claim(${CLAIM})`, claim) });
const batchOfClaims = (claims) => ({ to: gateway, data: call(`claimBatch(${CLAIM}[])`, claims) });

async function settle(root) {
  await setHead(place, 2 ** LEVELS, root);
  const cost = await measure({ to: gateway, data: call("settle(bytes32)", place) });
  await rpc("evm_setNextBlockTimestamp", Number((await time()) + 3600n));
  await rpc("evm_mine");
  return cost;
}

async function measureClaims([holder]) {
  const one = await withdrawals([holder]);
  figure("settle", "a head settled", await settle(one.root));
  const claim = await measure(claimOf(one.claims[0]));
  figure("claim_1m", "claim of one withdrawal, tree of 1 million, holder exists", claim, { gas: 95_000 });
  const fresh = await withdrawals([address()]);
  await settle(fresh.root);
  const fresher = await measure(claimOf(fresh.claims[0]));
  figure("claim_1m_new_holder", "the same, new holder", fresher, { gas: 115_000 });

  const holders = addresses(51);
  await send(batchOf(holders));
  const many = await withdrawals(holders);
  await settle(many.root);
  const single = await measure(batchOfClaims(many.claims.slice(0, 1)));
  const fifty = await measure(batchOfClaims(many.claims.slice(1)));
  figure("claim_batch_1", "a batch of 1 claim, holder exists", single);
  figure("claim_batch_50", "a batch of 50, spread evenly over the tree", fifty);
  figure("claim_batch_marginal", "one claim more in a batch", per(fifty, single, 49));
}

async function measureBurn() {
  const burn = () => ({ to: gateway, data: call("burn(uint256,bytes32)", 100, draw()) });
  await send({ to: points, data: call("approve(address,uint256)", gateway, 2n ** 256n - 1n) });
  await mint(operator, epoch);
  await send(burn());
  figure("burn_for_credit", "burn for credit, one epoch", await measure(burn()));
}
