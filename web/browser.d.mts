import { type Browser } from "playwright-core";

/** Starts a headless Chromium that the caller closes. */
export function launchBrowser(): Promise<Browser>;
export const WAIT_MS: number;
