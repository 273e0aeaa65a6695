/** keccak256, plainly, to derive again what the verifier has as constants. Tests only. */
export function keccak256(input: Uint8Array): Buffer {
  const rate = 136;
  const padded = Buffer.alloc(Math.ceil((input.length + 1) / rate) * rate);
  padded.set(input);
  padded[input.length] = 0x01;
  padded[padded.length - 1]! |= 0x80;
  let lanes = Array.from({ length: 25 }, () => 0n);
  for (let block = 0; block < padded.length; block += rate) {
    lanes = permute(lanes.map((lane, at) => (at < rate / 8 ? lane ^ padded.readBigUInt64LE(block + 8 * at) : lane)));
  }
  const digest = Buffer.alloc(32);
  for (let at = 0; at < 4; at += 1) digest.writeBigUInt64LE(lanes[at]!, 8 * at);
  return digest;
}

const rotate = (lane: bigint, by: number): bigint => BigInt.asUintN(64, (lane << BigInt(by)) | (lane >> BigInt(64 - by)));

function permute(lanes: bigint[]): bigint[] {
  let state = lanes;
  let feedback = 1;
  for (let round = 0; round < 24; round += 1) {
    const columns = [0, 1, 2, 3, 4].map((x) => [0, 5, 10, 15, 20].reduce((sum, y) => sum ^ state[x + y]!, 0n));
    state = state.map((lane, at) => lane ^ columns[((at % 5) + 4) % 5]! ^ rotate(columns[((at % 5) + 1) % 5]!, 1));
    const moved = [...state];
    let [x, y] = [1, 0];
    for (let step = 0; step < 24; step += 1) {
      const [nextX, nextY] = [y, (2 * x + 3 * y) % 5];
      moved[nextX + 5 * nextY] = rotate(state[x + 5 * y]!, (((step + 1) * (step + 2)) / 2) % 64);
      [x, y] = [nextX, nextY];
    }
    state = moved.map((lane, at) => {
      const row = at - (at % 5);
      return lane ^ (BigInt.asUintN(64, ~moved[row + ((at + 1) % 5)]!) & moved[row + ((at + 2) % 5)]!);
    });
    for (let bit = 0; bit < 7; bit += 1) {
      if ((feedback & 1) === 1) state[0]! ^= 1n << BigInt(2 ** bit - 1);
      feedback = feedback & 0x80 ? ((feedback << 1) ^ 0x171) & 0xff : feedback << 1;
    }
  }
  return state;
}
