// Redeems by the TypeScript client: node sdk/examples/redeem.mjs URL KEY MEMBER
import { ApiError, client } from "../dist/client.js";

const [url, key, member] = process.argv.slice(2);
const daftari = client({ url, key });

const redeemed = await daftari.redeem({ body: { user_id: member, points: 10, merchant_reference: "order-984" } });
console.log(redeemed.status, redeemed.balance.available);
try {
  await daftari.redeem({ body: { user_id: member, points: 1_000_000 } });
} catch (error) {
  // A program decides by the code; people read the message.
  if (!(error instanceof ApiError) || error.code !== "INSUFFICIENT_BALANCE") throw error;
  console.log(error.code, error.problem.current_balance);
}
